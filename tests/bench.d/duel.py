# SPDX-License-Identifier: Apache-2.0
"""Two servers in turns, ours, the peer, ours, the peer; of each figure the median of the rounds, and how many times better ours is."""
import statistics
import time

from common import People, Server, driver, note, parallel, row, send_line
from synapse import Synapse

ROUNDS = 3
ROOMS = 300
EVENTS_A_ROOM = 20                   # about, of which 8 come with createRoom
MEMBERS = 200
CPU = ("cpu_ms", "CPU ms each", False, "")
HEAD = ("id", "workload", "ours", "Synapse", "times better", "bar")


class Side:
    """One of the two: the server, people and rooms on it."""

    def __init__(self, server):
        self.server, self.name, self.kept = server, server.name, {}
        start = time.monotonic()
        note(f"{self.name}: making {ROOMS} rooms …")
        self.people = People(server, ROOMS)
        self.token, self.rooms = self.people.token, self.people.rooms
        note(f"{self.name}: {ROOMS / (time.monotonic() - start):.1f} rooms/s; {MEMBERS} users, {ROOMS * (EVENTS_A_ROOM - 8)} messages …")
        self.members = self.people.users(MEMBERS)
        messages = [(room, n) for n in range(EVENTS_A_ROOM - 8) for room in self.rooms]
        parallel(self.say, messages, 16)
        note(f"{self.name}: ready after {time.monotonic() - start:.0f} s")

    def say(self, message):
        room, n = message
        self.server.call("PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/seed{n}", {"msgtype": "m.text", "body": "x" * 240}, self.token)

    def send_lines(self, n):
        return [send_line(room, self.token) for room in self.rooms[:n]]

    def load(self, lines, clients, seconds):
        return self.drive("load", lines, clients, seconds)

    def drive(self, mode, lines, *args):
        """What the driver says, with `cpu_ms` of server and database together for each answer."""
        before = self.server.cpu_with_database_ms()
        got = driver(self.server, mode, lines, *args)
        got["cpu_ms"] = (self.server.cpu_with_database_ms() - before) / max(1, got["ok"])
        return got


class Duel:
    def __init__(self, seconds):
        self.seconds, self.servers, self.sides = seconds, [], []

    def prepare(self):
        self.servers.append(Server())
        self.servers.append(Synapse(self.servers[0]))
        self.sides = [Side(s) for s in self.servers]

    def turns(self, work, rounds=ROUNDS):
        """work(side) in turns; a list of what it gave for each side."""
        results = [[], []]
        for _ in range(rounds):
            for i, side in enumerate(self.sides):
                results[i].append(work(side))
        return results

    def compare(self, bench, what, work, figures, rounds=ROUNDS):
        """work(side) gives a dict; figures: (key, unit, higher is better, bar)."""
        ours, theirs = self.turns(work, rounds)
        for key, unit, higher, bar in figures:
            a, b = (statistics.median(got[key] for got in side) for side in (ours, theirs))
            ratio = (a / b if higher else b / a) if a and b else float("nan")
            spread = ["" if rounds == 1 else f" ({min(g[key] for g in side):.3g}-{max(g[key] for g in side):.3g})" for side in (ours, theirs)]
            row(bench, f"{what}: {unit}", f"{a:.4g}{spread[0]}", f"{b:.4g}{spread[1]}", f"{ratio:.1f}", bar)

    def end(self):
        for server in reversed(self.servers):
            server.end()


def latency(bar=""):
    return [("p50_ms", "p50 ms", False, bar), ("p99_ms", "p99 ms", False, ""), CPU]


def rate(bar=""):
    return [("rate", "a second", True, bar), ("p50_ms", "p50 ms", False, ""), ("p99_ms", "p99 ms", False, ""), CPU]
