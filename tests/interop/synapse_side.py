# SPDX-License-Identifier: Apache-2.0
"""The other side of the comparison: the event code of Synapse, as its package ships it, on events in memory."""
import copy

from canonicaljson import encode_canonical_json
from signedjson.key import decode_signing_key_base64
from signedjson.sign import sign_json
from unpaddedbase64 import encode_base64

import hashlib
from synapse import event_auth
from synapse.api.errors import AuthError, EventSizeError, SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto.event_signing import compute_content_hash, compute_event_signature
from synapse.events import make_event_from_dict
from synapse.federation.federation_base import event_from_pdu_json
from synapse.state import v1, v2
from synapse.storage.databases.main.event_federation import StateDifference
from synapse.synapse_rust.events import redact_event_dict

SERVER = "domain"
KEY = decode_signing_key_base64("ed25519", "1", "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
MAX_PREV, MAX_AUTH = 20, 10      # synapse.handlers.federation_event: _sanity_check_event


class Broken(Exception):
    """Synapse did not refuse: it raised something that no caller of it expects."""


def run(coroutine):
    """Runs what never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def version(name):
    return KNOWN_ROOM_VERSIONS[name]


def canonical(value):
    return encode_canonical_json(value).decode()


def redacted(name, pdu):
    return redact_event_dict(version(name), copy.deepcopy(pdu))


def content_hash(pdu):
    return encode_base64(compute_content_hash(pdu, hashlib.sha256)[1])


def signatures(name, pdu, server=SERVER):
    return compute_event_signature(version(name), copy.deepcopy(pdu), server, KEY)


def sign(value, server):
    return sign_json(value, server, KEY)


def public_key():
    return encode_base64(KEY.verify_key.encode())


def read(name, pdu):
    """(event, None) or (None, why it is refused)."""
    try:
        event = event_from_pdu_json(copy.deepcopy(pdu), version(name))
        event_auth._check_size_limits(event)
        if len(event.prev_event_ids()) > MAX_PREV or len(pdu["auth_events"]) > MAX_AUTH:
            return None, "too many prev_events or auth_events"
        return event, None
    except (SynapseError, EventSizeError) as error:
        return None, str(error)
    except Exception as error:                # malformed beyond what its callers catch: not stored either
        return None, f"{type(error).__name__}: {error}"


def event_of(name, pdu, rejected=None):
    return make_event_from_dict(pdu, version(name), rejected_reason=rejected)


def refused(event, state):
    """None if the state lets the event pass, else why not."""
    try:
        event_auth.check_state_dependent_auth_rules(event, state)
    except SynapseError as error:
        return str(error)
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {error}") from error
    return None


class Store:
    """
    Events of one room. Synapse works the auth difference out in its database, so it is ours here, by the specification: an event is
    not in its own auth chain (Rooms v2, auth chain). Synapse's SQL counts the events of a state as reached (`includes_state`).
    """
    includes_state = False

    def __init__(self):
        self.events = {}
        self.chains = {}

    def add(self, event):
        self.events[event.event_id] = event
        chain = set()
        for auth_id in event.auth_event_ids():
            chain.add(auth_id)
            chain |= self.chains.get(auth_id, set())
        self.chains[event.event_id] = chain

    async def get_events(self, event_ids, redact_behaviour=None, get_prev_content=False, allow_rejected=False):
        return {i: self.events[i] for i in event_ids if i in self.events and (allow_rejected or not self.events[i].rejected_reason)}

    async def get_auth_chain_difference(self, room_id, state_sets, conflicted_state, additional):
        chains = []
        for state in state_sets:
            chain = set(state) if self.includes_state else set()
            for event_id in state:
                chain |= self.chains[event_id]
            chains.append(chain)
        difference = set.union(*chains) - set.intersection(*chains)
        subgraph = None
        if conflicted_state is not None:
            backwards = set(conflicted_state)
            for event_id in conflicted_state:
                backwards |= self.chains[event_id]
            subgraph = {i for i in backwards if i in conflicted_state or self.chains[i] & conflicted_state}
        return StateDifference(difference, subgraph)

    def check(self, event, before):
        """Checks on receipt of a PDU, 4 and 5. None or why it is rejected."""
        try:
            run(event_auth.check_state_independent_auth_rules(self, event))
            listed = [self.events[i] for i in event.auth_event_ids()]
            event_auth.check_state_dependent_auth_rules(event, listed)
            keys = event_auth.auth_types_for_event(event.room_version, event)
            event_auth.check_state_dependent_auth_rules(event, [self.events[before[k]] for k in keys if k in before])
        except SynapseError as error:
            return str(error)
        except Exception as error:
            raise Broken(f"{type(error).__name__}: {error}") from error
        return None

    def resolve(self, name, room_id, sets):
        if all(s == sets[0] for s in sets):
            return sets[0]
        if name == "1":
            return dict(run(v1.resolve_events_with_store(room_id, version(name), sets, None, self.get_events)))
        return dict(run(v2.resolve_events_with_store(Clock, room_id, version(name), sets, None, self)))


class Clock:
    @staticmethod
    async def sleep(duration):
        pass


__all__ = ["AuthError", "Broken", "Store"]
