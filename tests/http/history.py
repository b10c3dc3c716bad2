# SPDX-License-Identifier: Apache-2.0
"""
Load that remembers, and a checker of what clients saw: whatever a server acknowledged must stand in every member's sync
history exactly once, in one order, with nothing skipped; a gap must say `limited` and must close by /messages.
"""
import collections
import http.client
import json
import os
import random
import signal
import threading
import time
import urllib.parse

from harness import V3, User, quote

LOST = (OSError, http.client.HTTPException)     # the connection broke, or there was no child to take it
RETRY_SECONDS = 60


def persist(call):
    """Calls until an answer comes that is not 5xx or 429: what a client does whose server is in trouble."""
    end = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            reply = call()
            if reply.status_code < 500 and reply.status_code != 429:
                return reply
            problem = repr(reply)
        except LOST as lost:
            problem = repr(lost)
        assert time.monotonic() < end, f"no answer within {RETRY_SECONDS} s: {problem}"
        time.sleep(random.uniform(0.02, 0.2))


class Failing(threading.Thread):
    """A thread whose failure fails the test."""

    def __init__(self, stop):
        super().__init__(daemon=True)
        self.stop, self.failure = stop, None

    def run(self):
        try:
            self.work()
        except BaseException as failure:    # told by result()
            self.failure = failure
            self.stop.set()

    def result(self):
        self.join(RETRY_SECONDS * 2)
        if self.failure:
            raise self.failure
        assert not self.is_alive(), f"{self} does not end"


def at_any(user, instances):
    """The user's one device, as a caller of each instance."""
    answer = {"access_token": user.token, "user_id": user.user_id, "device_id": user.device_id}
    return [User(server, answer, user.password) for server in instances]


class Writer(Failing):
    """
    Sends into rooms at random: messages, now and then state or a redaction, and, with `moves`, leaves one and joins again.
    `acknowledged` lists (room, event id) in order, but for memberships, whose answers name no event; `kinds` counts.
    """

    def __init__(self, stop, user, rooms, name, instances=None, seed=0, moves=False):
        super().__init__(stop)
        self.user, self.rooms, self.label, self.acknowledged, self.sent = user, rooms, name, [], 0
        self.callers, self.seed, self.moves, self.kinds = at_any(user, instances) if instances else [user], seed, moves, collections.Counter()
        self.dice = random.Random(f"{seed} {name}")

    def call(self, method, tail, body):
        reply = persist(lambda: self.dice.choice(self.callers).call(method, tail, body, status=None, timeout=30))
        assert reply.status_code == 200, reply
        return reply

    def put(self, tail, body):
        return self.call("PUT", tail, body)["event_id"]

    def leave_and_join(self, base):
        """An answer that got lost makes the call be repeated, and leaving twice is forbidden: then the first one has left."""
        reply = persist(lambda: self.dice.choice(self.callers).call("POST", f"{base}/leave", {}, status=None, timeout=30))
        assert reply.status_code in (200, 403), reply
        self.call("POST", f"{base}/join", {})
        self.kinds["leave and join"] += 1

    def work(self):
        dice, mine = self.dice, {}
        while not self.stop.is_set():
            room, self.sent = dice.choice(self.rooms), self.sent + 1
            base, body = f"{V3}/rooms/{quote(room)}", {"msgtype": "m.text", "body": f"{self.label} {self.sent}"}
            chance = dice.random()
            if self.moves and chance > 0.97:
                self.leave_and_join(base)
                continue
            if chance < 0.05:
                event_id = self.put(f"{base}/state/org.example.load/{quote(self.label)}", {"n": self.sent})
                self.kinds["state"] += 1
            elif chance < 0.10 and room in mine:
                event_id = self.put(f"{base}/redact/{quote(mine.pop(room))}/{self.label}-{self.sent}", {})
                self.kinds["redaction"] += 1
            else:
                event_id = self.put(f"{base}/send/m.room.message/{self.label}-{self.sent}", body)
                mine[room] = event_id
                self.kinds["message"] += 1
            self.acknowledged.append((room, event_id))


class Reader(Failing):
    """Follows /sync from `since` until it has seen the `ends` {room: event id}; `seen` maps a room to its event ids as they came."""

    def __init__(self, stop, user, rooms, since, instances=None, limit=None, label="", seed=0):
        super().__init__(stop)
        self.user, self.since, self.seen, self.gaps, self.ends = user, since, {room: [] for room in rooms}, 0, None
        self.callers, self.limit, self.dice = at_any(user, instances) if instances else [user], limit, random.Random(f"{seed} {label}")
        self.state, self.polls, self.initials = {room: {} for room in rooms}, 0, 0

    def get(self, target, timeout=60):
        reply = persist(lambda: self.dice.choice(self.callers).call("GET", target, status=None, timeout=timeout))
        assert reply.status_code == 200, reply
        return reply.json()

    def work(self):
        end = None
        while not self.ends or any(self.ends[room] not in self.seen[room] for room in self.seen):
            if self.ends:
                end = end or time.monotonic() + RETRY_SECONDS
                assert time.monotonic() < end, f"{self.user.user_id} never saw the end"
            answer = self.sync(self.since)
            self.since = answer["next_batch"]
            for room, part in answer.get("rooms", {}).get("join", {}).items():
                if room in self.seen:
                    self.take_state(room, part)
                    self.take(room, part["timeline"])
            if self.limit and self.dice.random() < 0.2:
                time.sleep(self.dice.uniform(0, 1))     # so that more comes than its timeline holds
            if self.limit and self.dice.random() < 0.02:
                self.begin_anew()

    def sync(self, since):
        self.polls += 1
        query = {"timeout": 2000 if since else 0}
        if since:
            query["since"] = since
        if self.limit:
            query["filter"] = json.dumps({"room": {"timeline": {"limit": self.limit}}})
        return self.get(f"{V3}/sync?{urllib.parse.urlencode(query)}")

    def begin_anew(self):
        """
        An initial sync in between: what it shows must continue what is known, and its state replaces ours. Its timeline is
        as good as one that was limited.
        """
        answer = self.sync(None)
        self.since, self.initials = answer["next_batch"], self.initials + 1
        for room in self.seen:
            part = answer["rooms"]["join"][room]
            self.state[room] = {}
            self.take_state(room, part)
            new = [e["event_id"] for e in part["timeline"]["events"]]
            known = set(self.seen[room])
            if known and not known & set(new):
                self.gaps += 1
                new = self.fill(room, part["timeline"]["prev_batch"]) + new
            at = max((i + 1 for i, event_id in enumerate(new) if event_id in known), default=0)
            self.seen[room] += new[at:]     # what stands before it was there before we began, or is known

    def take_state(self, room, part):
        """CS-API: syncing: the state before the timeline, then that which the timeline changes."""
        for event in part.get("state", {}).get("events", []) + part["timeline"]["events"]:
            if "state_key" in event:
                self.state[room][event["type"], event["state_key"]] = event["event_id"]

    def take(self, room, timeline):
        ids = [event["event_id"] for event in timeline["events"]]
        if timeline.get("limited"):
            self.gaps += 1
            ids = self.fill(room, timeline["prev_batch"]) + ids
        self.seen[room] += ids

    def fill(self, room, token):
        """What a limited answer left out: backwards to the last event that is known."""
        known, missed = set(self.seen[room]), []
        while token:
            page = self.get(f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=100&from={quote(token)}")
            for event in page["chunk"]:
                if event["event_id"] in known or (not known and event["type"] == "m.room.create"):
                    return missed[::-1]
                missed.append(event["event_id"])
            token = page.get("end")
        return missed[::-1]


def check(server, writers, readers, rooms):
    """Every reader saw the same, and that is what the database holds; what was acknowledged is in it."""
    acknowledged = {room: [] for room in rooms}
    for writer in writers:
        for room, event_id in writer.acknowledged:
            acknowledged[room].append(event_id)
    for room in rooms:
        stored = stored_ids(server, room)
        place = {event_id: i for i, event_id in enumerate(stored)}
        assert len(place) == len(stored), f"{room}: an event is stored twice"
        assert len(set(acknowledged[room])) == len(acknowledged[room]), f"{room}: two sends were given one event"
        missing = [event_id for event_id in acknowledged[room] if event_id not in place]
        assert not missing, f"{room}: acknowledged and not stored: {missing[:5]} and {len(missing)} in all"
        for reader in readers:
            seen = reader.seen[room]
            first = place[seen[0]] if seen else len(stored)
            assert seen == stored[first:], difference(room, reader, seen, stored[first:])
            assert set(acknowledged[room]) <= set(seen), f"{room}: {reader.user.user_id} never saw all that was acknowledged"
    for writer in writers:      # what one client sends after an answer comes after it
        last = {}
        for room, event_id in writer.acknowledged:
            position = stored_ids(server, room).index(event_id)
            assert position > last.get(room, -1), f"{room}: out of order for {writer.label}"
            last[room] = position


def check_state(server, readers, rooms):
    """What the answers said of a room's state adds up to the state that the room has."""
    for room in rooms:
        now = {(e["type"], e["state_key"]): e["event_id"]
               for e in persist(lambda: readers[0].user.call("GET", f"{V3}/rooms/{quote(room)}/state", status=None)).json()}
        stored = server.sql("select count(*) from cur_state c join room r using (room_nid)" f" where r.room_id = '{room}'")
        assert len(now) == int(stored[0][0]), f"{room}: /state has {len(now)} entries, the database {stored}"
        for reader in readers:
            wrong = {key: (reader.state[room].get(key), event_id) for key, event_id in now.items()
                     if reader.state[room].get(key) != event_id}
            assert not wrong, f"{room}: {reader.user.user_id} has another state (theirs, the room's): {wrong}"


class Disturber(Failing):
    """Until `over`: kill -9 of httpd's children and of PostgreSQL's backends, and graceful restarts, at random."""

    def __init__(self, stop, instances, dice):
        super().__init__(stop)
        self.instances, self.dice, self.over = instances, dice, threading.Event()
        self.done = {"children": 0, "backends": 0, "graceful": 0}

    def work(self):
        deck = []
        while not self.over.wait(self.dice.uniform(0.5, 2.5)) and not self.stop.is_set():
            if not deck:
                deck = ["children"] * 6 + ["backends", "graceful"]
                self.dice.shuffle(deck)
            what = deck.pop()
            self.done[what] += getattr(self, what)(self.dice.choice(self.instances))

    def kill(self, pids):
        if not pids:
            return 0
        try:
            os.kill(self.dice.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return 0
        return 1

    def children(self, server):
        return self.kill(server.children())

    def backends(self, _server):
        """The cluster ends all its backends when one is killed, and recovers from its log."""
        rows = self.instances[0].quickstart("psql", "-X", "-A", "-t", "-c", "select pid from pg_stat_activity where datname ="
                                            " current_database() and pid <> pg_backend_pid()", check=False).stdout
        return self.kill([int(pid) for pid in rows.split()])

    def graceful(self, server):
        return int(server.quickstart("graceful", check=False).returncode == 0)


_stored = {}


def stored_ids(server, room):
    if (server.dsn, room) not in _stored:
        rows = server.sql("select '$' || rtrim(translate(encode(e.event_id, 'base64'), E'+/\\n', '-_'), '=')"
                          f" from event e join room r using (room_nid) where r.room_id = '{room}' order by e.ord")
        _stored[server.dsn, room] = [row[0] for row in rows]
    return _stored[server.dsn, room]


def difference(room, reader, seen, stored):
    at = next((i for i, pair in enumerate(zip(seen, stored)) if pair[0] != pair[1]), min(len(seen), len(stored)))
    return (f"{room}: {reader.user.user_id} saw {len(seen)} events, stored are {len(stored)}; they part at {at}: saw"
            f" {seen[at:at + 4]}, stored {stored[at:at + 4]}; seen twice: {len(seen) - len(set(seen))};"
            f" skipped: {len(set(stored) - set(seen))}; limited answers: {reader.gaps}")


def finish(writers, readers, rooms):
    """Ends writers, then readers, when those have seen all."""
    writers[0].stop.set()
    for writer in writers:
        writer.result()
    ends = {room: writers[0].put(f"{V3}/rooms/{quote(room)}/send/m.room.message/end", {"body": "end"}) for room in rooms}
    for reader in readers:
        reader.ends = ends
    for reader in readers:
        reader.result()


def start(server, nwriters, nreaders, nrooms, instances=None, seed=0):
    """
    Users, rooms all of them are in, and the threads, not started; (writers, readers, rooms). With `instances` they call each of
    them, half of the writers also leave and join again (then only those who stay read), and every second reader has a small timeline.
    """
    stop = threading.Event()
    owner = server.register()
    rooms = [owner.create_room(preset="public_chat", power_level_content_override={"state_default": 0}) for _ in range(nrooms)]
    users = [server.register() for _ in range(nwriters + nreaders)]
    for user in users:
        for room in rooms:
            user.join(room)
    since = users[-1].sync()["next_batch"]
    writers = [Writer(stop, user, rooms, f"w{i}", instances, seed, bool(instances) and i % 2 == 1) for i, user in enumerate(users[:nwriters])]
    readers = [Reader(stop, user, rooms, user.sync(since)["next_batch"], instances, 3 if instances and i % 2 else None, f"r{i}", seed)
               for i, user in enumerate(users) if i >= nwriters or not writers[i].moves]
    for reader in readers if instances else ():     # the state they build on
        answer = reader.sync(None)
        for room in rooms:
            reader.take_state(room, answer["rooms"]["join"][room])
        reader.since, reader.polls = answer["next_batch"], 0
    return writers, readers, rooms
