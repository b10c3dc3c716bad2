# SPDX-License-Identifier: Apache-2.0
"""Sliding sync over several children and hosts: a position is good everywhere, and nothing is lost on the way."""
import random
import threading
import time

import pytest

from harness import V3, User, quote
from sliding_calls import Connection, a_list, texts

SENDERS, ROOMS, SECONDS = 3, 4, 8


@pytest.fixture(scope="module")
def instances(make_module_server):
    first = make_module_server("--server-name", "slide.example", "--children", "2", name="slide-first")
    second = make_module_server("--database-of", first.dir, "--children", "2", name="slide-second")
    return first, second


def at(server, user):
    return User(server, {"access_token": user.token, "user_id": user.user_id, "device_id": user.device_id}, user.password)


def test_sliding_sync_instances_001_a_position_is_good_at_the_other(instances):
    user = instances[0].register()
    client, there = Connection(user, all=a_list(state=[["m.room.member", "$LAZY"]])), at(instances[1], user)
    for i in range(6):
        room = user.create_room()
        answer = client.next(user=there if i % 2 else user)
        assert set(answer["rooms"]) == {room} and answer["rooms"][room]["initial"] is True
        assert not client.next(user=user if i % 2 else there)["rooms"]


def test_sliding_sync_instances_002_a_restart_keeps_positions(make_server):
    server = make_server("--children", "2", name="slide-restart")
    user = server.register()
    room, client = user.create_room(), Connection(user, all=a_list())
    client.next()
    server.quickstart("restart")
    user.send(room, "after")
    answer = client.next()
    assert texts(answer, room) == ["after"] and "initial" not in answer["rooms"][room]


class Follower(threading.Thread):
    """Follows by sliding sync, at any instance, its window too small for all rooms; fills gaps by /messages."""

    def __init__(self, user, instances, rooms, window, seed):
        super().__init__()
        self.client = Connection(user, all=a_list(0, window - 1, limit=5, state=[["m.room.member", "$LAZY"], ["org.x", "*"]]))
        self.callers, self.dice = [at(server, user) for server in instances], random.Random(seed)
        self.seen, self.state, self.ends, self.gaps, self.failure = {room: [] for room in rooms}, {}, None, 0, None

    def run(self):
        try:
            end = time.monotonic() + SECONDS + 60
            while not self.ends or any(self.ends[room] not in self.seen[room] for room in self.seen):
                assert time.monotonic() < end, "never saw the end"
                if self.ends:
                    self.client.lists["all"]["ranges"] = [[0, 99]]
                self.turn()
        except Exception as failure:        # told by the test's own thread
            self.failure = failure

    def turn(self):
        caller = self.dice.choice(self.callers)
        if self.dice.random() < 0.2:
            self.client.ask(user=caller)    # an answer that is lost
        answer = self.client.next(timeout=1000 if self.client.pos else 0, user=caller)
        for room, part in answer["rooms"].items():
            for event in part.get("required_state", []):
                self.state[room, event["type"], event["state_key"]] = event["event_id"]
            self.take(room, part)
        if self.dice.random() < 0.2:
            time.sleep(self.dice.uniform(0, 0.5))
        self.client.lists["all"]["ranges"] = [[0, self.dice.randrange(1, ROOMS)]]

    def take(self, room, part):
        ids = [e["event_id"] for e in part["timeline"]]
        if part.get("limited"):
            self.gaps += 1
            ids = self.fill(room, part["prev_batch"]) + ids
        if part.get("unstable_expanded_timeline") or part.get("initial"):
            ids = [i for i in ids if i not in self.seen[room]]
        self.seen[room] += ids

    def fill(self, room, token):
        known, missed = set(self.seen[room]), []
        while token:
            page = self.client.user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=100&from={quote(token)}").json()
            for event in page["chunk"]:
                if event["event_id"] in known:
                    return missed[::-1]
                missed.append(event["event_id"])
            token = page.get("end")
        return missed[::-1]


def write(user, instances, rooms, stop, sent, seed):
    dice, callers, n = random.Random(seed), [at(server, user) for server in instances], 0
    while not stop.is_set():
        room, caller, n = dice.choice(rooms), dice.choice(callers), n + 1
        if dice.random() < 0.1:
            sent[room].append(caller.put_state(room, "org.x", {"n": n, "by": seed}, key=str(seed))["event_id"])
        else:
            sent[room].append(caller.send(room, f"{seed} {n}"))


def test_sliding_sync_instances_003_nothing_is_lost(instances):
    """All that was acknowledged is seen once and in the room's order by each who follows, gaps being said by `limited`; the state is the room's."""
    owner, others = instances[0].register(), [instances[i % 2].register() for i in range(SENDERS - 1)]
    rooms = [owner.create_room(preset="public_chat", power_level_content_override={"state_default": 0}) for _ in range(ROOMS)]
    for other in others:
        for room in rooms:
            other.join(room)
    followers = [Follower(other, instances, rooms, 2, seed) for seed, other in enumerate(others)]
    stop, sent = threading.Event(), {room: [] for room in rooms}
    writers = [threading.Thread(target=write, args=(user, instances, rooms, stop, sent, seed)) for seed, user in enumerate([owner, *others])]
    for thread in followers + writers:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in writers:
        thread.join()
    ends = {room: owner.send(room, "the end") for room in rooms}
    for follower in followers:
        follower.ends = ends
    for follower in followers:
        follower.join()
        assert not follower.failure, follower.failure
    for room in rooms:
        order = [row[0] for row in stored(owner, room)]
        for follower in followers:
            seen = follower.seen[room]
            assert len(seen) == len(set(seen)) and set(sent[room]) <= set(seen)
            assert seen == [i for i in order if i in set(seen)], "in the room's order"
            assert order[order.index(seen[0]):] == seen, "without a hole"
            now = {e["state_key"]: e["event_id"] for e in owner.call("GET", f"{V3}/rooms/{quote(room)}/state").json() if e["type"] == "org.x"}
            assert {key[2]: value for key, value in follower.state.items() if key[:2] == (room, "org.x")} == now
    assert all(follower.gaps for follower in followers), "the test is to have gaps"


def stored(user, room):
    events, token = [], None
    while True:
        page = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=f&limit=100" + (f"&from={quote(token)}" if token else "")).json()
        events += [(e["event_id"],) for e in page["chunk"]]
        token = page.get("end")
        if not token:
            return events
