# SPDX-License-Identifier: Apache-2.0
"""
Load that remembers, and a checker of what clients saw: whatever a server acknowledged must stand in every member's sync
history exactly once, in one order, with nothing skipped; a gap must say `limited` and must close by /messages.
"""
import http.client
import random
import threading
import time
import urllib.parse

from harness import V3, quote

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


class Writer(Failing):
    """Sends into rooms at random: messages, now and then state or a redaction. `acknowledged` lists (room, event id) in order."""

    def __init__(self, stop, user, rooms, name):
        super().__init__(stop)
        self.user, self.rooms, self.label, self.acknowledged, self.sent = user, rooms, name, [], 0

    def put(self, tail, body):
        reply = persist(lambda: self.user.call("PUT", tail, body, status=None, timeout=30))
        assert reply.status_code == 200, reply
        return reply["event_id"]

    def work(self):
        dice = random.Random(self.label)
        mine = {}
        while not self.stop.is_set():
            room, self.sent = dice.choice(self.rooms), self.sent + 1
            base, body = f"{V3}/rooms/{quote(room)}", {"msgtype": "m.text", "body": f"{self.label} {self.sent}"}
            chance = dice.random()
            if chance < 0.05:
                event_id = self.put(f"{base}/state/org.example.load/{quote(self.label)}", {"n": self.sent})
            elif chance < 0.10 and room in mine:
                event_id = self.put(f"{base}/redact/{quote(mine.pop(room))}/{self.label}-{self.sent}", {})
            else:
                event_id = self.put(f"{base}/send/m.room.message/{self.label}-{self.sent}", body)
                mine[room] = event_id
            self.acknowledged.append((room, event_id))


class Reader(Failing):
    """Follows /sync from `since` until it has seen the `ends` {room: event id}; `seen` maps a room to its event ids as they came."""

    def __init__(self, stop, user, rooms, since):
        super().__init__(stop)
        self.user, self.since, self.seen, self.gaps, self.ends = user, since, {room: [] for room in rooms}, 0, None

    def get(self, target, timeout=60):
        reply = persist(lambda: self.user.call("GET", target, status=None, timeout=timeout))
        assert reply.status_code == 200, reply
        return reply.json()

    def work(self):
        end = None
        while not self.ends or any(self.ends[room] not in self.seen[room] for room in self.seen):
            if self.ends:
                end = end or time.monotonic() + RETRY_SECONDS
                assert time.monotonic() < end, f"{self.user.user_id} never saw the end"
            query = urllib.parse.urlencode({"since": self.since, "timeout": 2000})
            answer = self.get(f"{V3}/sync?{query}")
            self.since = answer["next_batch"]
            for room, part in answer.get("rooms", {}).get("join", {}).items():
                if room in self.seen:
                    self.take(room, part["timeline"])

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


def start(server, nwriters, nreaders, nrooms):
    """Users, rooms all of them are in, and the threads, not started; (writers, readers, rooms)."""
    stop = threading.Event()
    owner = server.register()
    rooms = [owner.create_room(preset="public_chat", power_level_content_override={"state_default": 0}) for _ in range(nrooms)]
    users = [server.register() for _ in range(nwriters + nreaders)]
    for user in users:
        for room in rooms:
            user.join(room)
    since = users[-1].sync()["next_batch"]
    writers = [Writer(stop, user, rooms, f"w{i}") for i, user in enumerate(users[:nwriters])]
    readers = [Reader(stop, user, rooms, user.sync(since)["next_batch"]) for user in users]
    return writers, readers, rooms
