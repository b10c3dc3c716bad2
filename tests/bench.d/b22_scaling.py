# SPDX-License-Identifier: Apache-2.0
"""
A small and a big homeserver in turns: 10 rooms, 100 users and 10,000 events against 100 times as many of each. What one account does
in its ten rooms must not depend on what else there is. MX_BENCH_EVENTS: events of the big one (1,000,000).
"""
import json
import os
import statistics
import subprocess

from common import BUILD, WORK, People, Server, driver, note, parallel, quickstart, row, run, send_line, sync_line

TIMES = 100
ROOMS, MEMBERS = 10, 10                  # of the small one, and of each room
ROUNDS = 7
WAITING = 100
FILTER = {"room": {"timeline": {"limit": 10}}}


class Scaled:
    """A server on which `rooms` rooms hold `events` events, and an account with ten rooms of its own, as many at any size."""

    def __init__(self, name, rooms, events):
        self.server = Server(WORK / f"scale-{name}")
        quickstart("reset", folder=self.server.folder)       # what an earlier run left
        self.server.restart()
        self.people = People(self.server, ROOMS)
        self.token = self.people.token
        self.fill(rooms, events // rooms - MEMBERS - 4)
        self.members = self.people.users(WAITING)
        self.crowd = self.server.create_room(self.token, {"preset": "public_chat"})
        parallel(lambda m: self.server.call("POST", f"/_matrix/client/v3/join/{self.crowd}", {}, m["access_token"]), self.members)
        self.server.sql("vacuum analyze")
        self.figures = {}
        note("  " + name + ": " + self.server.sql(
            "select (select count(*) from room) || ' rooms, ' || (select count(*) from account) || ' users, '"
            " || (select count(*) from event) || ' events, ' || pg_size_pretty(pg_database_size(current_database()))"))

    def fill(self, rooms, messages):
        """By two processes; the members become accounts."""
        out = BUILD / "out/tests/bench.d/fill"
        key = self.server.folder / "signing.key"
        halves = [subprocess.Popen([out, self.server.dsn, key, "bench.test", f"fill{i}", "-", str(n), str(MEMBERS - 1), str(messages)],
                                   stdout=subprocess.PIPE, text=True) for i, n in enumerate((rooms - rooms // 2, rooms // 2))]
        self.rooms = [line for half in halves for line in half.communicate()[0].split()]
        assert all(half.returncode == 0 for half in halves)
        self.server.sql("insert into account (user_nid, created_ts) select user_nid, 0 from mxid where local on conflict do nothing")

    def join_all(self):
        """The account joins every room of those that were filled in."""
        parallel(lambda room: self.server.call("POST", f"/_matrix/client/v3/join/{room}", {}, self.token), self.rooms)

    def keep(self, what, value):
        self.figures.setdefault(what, []).append(value)

    def send(self, seconds):
        got = driver(self.server, "load", [send_line(room, self.token) for room in self.people.rooms], 1, seconds)
        self.keep("send, p50 ms", got["p50_ms"])
        self.keep("send, p99 ms", got["p99_ms"])

    def noop(self, seconds, what):
        got = driver(self.server, "load", [sync_line(self.token, since=self.server.position(self.token), timeout=0)], 1, seconds)
        self.keep(f"{what}, p50 ms", got["p50_ms"])
        self.keep(f"{what}, p99 ms", got["p99_ms"])

    def fanout(self):
        since = self.server.position(self.token)
        polls = [sync_line(m["access_token"], FILTER, since=since, timeout=30000) for m in self.members]
        self.keep(f"message to {WAITING} waiting members, ms to the last",
                  driver(self.server, "fanout", [send_line(self.crowd, self.token)] + polls, 1)["last_ms"])


def measure(bench):
    run("make", "-s", "-C", BUILD / "out", "tests/bench.d/fill")
    events = int(os.environ.get("MX_BENCH_EVENTS", "1000000"))
    sides = []
    try:
        sides.append(Scaled("small", ROOMS, events // TIMES))
        sides.append(Scaled("big", ROOMS * TIMES, events))
        turns(sides, bench.seconds)
        healthy(sides[1])
        for side in sides:
            side.join_all()
        for _ in range(ROUNDS):
            for side in sides:
                side.noop(bench.seconds / 2, "sync without news of an account in every room")
        tell(*sides)
    finally:
        for side in sides:
            side.server.end()


def turns(sides, seconds):
    for i in range(ROUNDS + 1):
        for side in sides:
            side.send(seconds)
            side.noop(seconds / 2, "sync without news")
            side.fanout()
            if not i:
                side.figures.clear()     # the first turn only warms


def tell(small, big):
    for what in small.figures:
        a, b = (statistics.median(side.figures[what]) for side in (small, big))
        bar = "<= 1.5" if "every room" not in what else f"{TIMES} times its rooms"
        spread = "/".join(f"{x:.2f}" for x in sorted(big.figures[what])[:: ROUNDS - 1])
        row("B22", f"{what}, {TIMES} times the data", f"{b:.3f} ({spread})", f"small {a:.3f}", f"{b / a:.2f}", bar)


def healthy(big):
    """What was filled in is what the server would have stored itself."""
    about = subprocess.run([BUILD / "out/matrix-doctor", "--database", big.server.dsn, "--signing-key", big.server.folder / "signing.key",
                            "--json", "--room", big.rooms[0]], stdout=subprocess.PIPE, text=True)
    report = json.loads(about.stdout)
    row("B22", "rooms filled in that matrix-doctor finds unhealthy, of one looked at", report["unhealthy"], "", "", "0")
