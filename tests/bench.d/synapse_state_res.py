# SPDX-License-Identifier: Apache-2.0
"""The same resolution and auth checks by Synapse in memory. usage: synapse_state_res.py FILE VERSION; run in its virtual environment.
Chains and differences are worked out beforehand: only the algorithm is timed."""
import asyncio
import json
import sys
import time

sys.path.pop(0)                  # this folder, whose synapse.py would be taken for the package
from synapse import event_auth  # noqa: E402
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS  # noqa: E402
from synapse.events import make_event_from_dict  # noqa: E402
from synapse.state import v2  # noqa: E402


class Clock:
    async def sleep(self, duration):
        pass


class Difference:
    def __init__(self, auth_difference, subgraph):
        self.auth_difference, self.conflicted_subgraph = auth_difference, subgraph


class Store:
    def __init__(self, events, difference):
        self.events, self.difference = events, difference

    async def get_events(self, ids, allow_rejected=False):
        return {i: self.events[i] for i in ids if i in self.events}

    async def get_auth_chain_difference(self, room, sets, conflicted, more):
        return Difference(set(self.difference), set(conflicted) if conflicted is not None else None)


def main():
    version = KNOWN_ROOM_VERSIONS[sys.argv[2]]
    events, both, a, b = {}, [], [], []
    for line in open(sys.argv[1], encoding="utf-8"):
        event_id, rest = line.rstrip("\n").split(" ", 1)
        if rest[0] == "{":
            events[event_id] = make_event_from_dict(json.loads(rest), version)
            assert events[event_id].event_id == event_id
        else:
            {"both": both, "a": a, "b": b}[rest].append(event_id)
    key = lambda i: (events[i].type, events[i].state_key)
    common = {key(i): i for i in both}
    sets = [{**common, **{key(i): i for i in side}} for side in (a, b)]

    def chain(ids):
        seen, todo = set(), list(ids)
        while todo:
            for i in events[todo.pop()].auth_event_ids():
                if i not in seen:
                    seen.add(i)
                    todo.append(i)
        return seen

    difference = chain(sets[0].values()) ^ chain(sets[1].values())
    best = 1e9
    for _ in range(3):
        store = Store(events, difference)
        began = time.process_time()
        asyncio.run(v2.resolve_events_with_store(Clock(), next(iter(events.values())).room_id, version, sets, None, store))
        best = min(best, time.process_time() - began)
    listed = [(e, [events[i] for i in e.auth_event_ids()] + ([events[both[0]]] if version.msc4291_room_ids_as_hashes else []))
              for e in events.values() if e.type != "m.room.create"]
    began = time.process_time()
    for event, auth in listed:
        event_auth.check_state_dependent_auth_rules(event, auth)
    checks = time.process_time() - began
    print(f"resolve_ms {best * 1e3:.3f} check_us {checks * 1e6 / len(listed):.3f}")


main()
