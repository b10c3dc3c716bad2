# SPDX-License-Identifier: Apache-2.0
"""
Where the specification and Synapse disagree, or where Synapse looks at another time than when it reads a PDU. Each function returns the
place in the specification that decides, or None: then it is a difference.
"""
import ast
import re

import synapse_side as synapse

AUTH_TYPES = {"m.room.power_levels", "m.room.join_rules", "m.room.member"}
SYNAPSE_UNHASHED = {"age_ts", "outlier", "destinations"}
MAX_BYTES = 65536
NO_TARGET = "Rooms v1, rule 11: a redaction that does not say of what passes by the redact level alone"
FIELDS = "Rooms, event format: "


def of_pdu(name, pdu, wrong, got):
    cites = [_of_pdu(name, pdu, what, got) for what in wrong]
    return cites[0] if all(cites) else None


def _of_pdu(name, pdu, what, got):
    if what == "hash_ok" and SYNAPSE_UNHASHED & set(pdu):
        return "SS-API, calculating the content hash: unsigned, signatures and hashes are removed, nothing else"
    if what == "refused":
        return _refused(name, pdu, got["refused"])
    return _accepted(name, pdu, what) if what.startswith("accepted") else None


def _accepted(name, pdu, what):
    if not isinstance(pdu.get("unsigned", {}), dict):
        return "SS-API, signing events: unsigned is covered by neither hash nor signature, and dropped"
    if "event too large" in what and len(synapse.canonical({k: v for k, v in pdu.items() if k != "unsigned"}).encode()) <= MAX_BYTES:
        return "CS-API, size limits: 65,536 bytes of the event as it is (Synapse counts an unsigned of its own)"
    if "Depth too large" in what and int(name) < 6 and pdu["depth"] <= 2**63 - 1:
        return FIELDS + "depth of versions 1 to 5 goes up to 2^63 - 1"
    return None


def _refused(name, pdu, why):
    signatures = pdu.get("signatures")
    if "signatures is no object" in why and not (isinstance(signatures, dict)
                                                 and all(isinstance(s, dict) for s in signatures.values())):
        return FIELDS + "signatures is required (Synapse misses it when it checks signatures)"
    if "hashes holds no sha256" in why and not isinstance(pdu.get("hashes", {}).get("sha256"), str):
        return FIELDS + "hashes is required (Synapse misses it when it checks hashes)"
    if "sender is no user id" in why and server(pdu["sender"]) is None:
        return FIELDS + "sender is a user id (Synapse fails when it looks for the sender's server)"
    if "room_id is no room id" in why and server(pdu["room_id"]) is None:
        return FIELDS + "room_id is a room id (Synapse knows no such room later)"
    if "redacts is no string" in why and not isinstance(pdu["redacts"], str):
        return FIELDS + "redacts is a string"
    return None


def server(user):
    return user.split(":", 1)[1] if isinstance(user, str) and ":" in user else None


def of_decision(name, event, state, got, theirs):
    create = next((p for p in state if p["type"] == "m.room.create"), {"sender": "", "content": {}})
    if event["type"] == "m.room.member" and not got["refused"]:
        target = server(event.get("state_key"))
        if "unfederatable" in theirs and server(event["sender"]) == server(create["sender"]) != target:
            return "Rooms, rule on m.federate: only the sender's domain is compared, not the target's"
        if "Invalid ID" in theirs and target is None:
            return "Rooms, rule on m.room.member: the state_key need not be a user id"
    if int(name) < 3 and event["type"] == "m.room.redaction" and not isinstance(event.get("redacts"), str) and got["refused"]:
        return NO_TARGET
    if int(name) >= 8 and "join_authorised_via_users_server names no user" in got["refused"]:
        return "Rooms v8, rule 4.2: what is no user id cannot have signed, whatever the membership"
    if event["type"] == "m.room.power_levels" and event.get("state_key") != "" and "power level" in got["refused"]:
        return "Rooms, rules on m.room.power_levels: the previous m.room.power_levels event in the room is the one that counts"
    return None


def of_dag(room, wrong):
    """`wrong` is the first difference; what follows from it is not compared."""
    found = re.search(r"engine alone \[\], synapse alone (\[.*\])", wrong[0])
    if room.name == "1" and found and not any(k.split("|")[0] in AUTH_TYPES for k in ast.literal_eval(found.group(1))):
        return "Rooms v1, state resolution: an event that passes authentication is picked; Synapse takes one though none passes"
    found = re.match(r"event (\d+): engine The sender may not redact that event. - synapse allowed", wrong[0])
    if found and int(found.group(1)) in room.redacted:
        return NO_TARGET
    return None
