# SPDX-License-Identifier: Apache-2.0
"""
Two httpd instances on one database: sends of both against those of one, in turns; a message sent at the one to polls that wait at the
other; and whether readers of either miss an event that committed late. Says who used the processors meanwhile.
"""
import json
import os
import statistics
import subprocess
import threading
import urllib.parse

from common import WORK, Server, children, clock_ticks, driver, note, request_file, row, send_line, sync_line

ROUNDS = 3
CLIENTS = 16                             # of each instance
POLLS = 200
FILTER = {"room": {"timeline": {"limit": 10}}}
ALL = json.dumps({"room": {"timeline": {"limit": 1000}, "state": {"types": []}}, "presence": {"types": []}})
HZ = os.sysconf("SC_CLK_TCK")


class Both:
    """Both instances as one server for the driver, whose connections take their ports in turns."""

    def __init__(self, *servers):
        self.port = ",".join(server.port for server in servers)


def measure(bench):
    one, people = bench.server, bench.people
    two = Server(WORK / "second", "--database-of", one.folder)
    try:
        throughput(bench, one, two)
        fan_out(one, two, people)
        late_rows(bench, one, two)
    finally:
        two.end()


# ---- sends ----

def processes(one, two):
    one.cpu_with_database_ms()
    return {"httpd 1": one.processes(), "httpd 2": two.processes(), "PostgreSQL": [one.postmaster] + children(one.postmaster)}


def ticks(groups):
    return {name: sum(clock_ticks(pid) for pid in pids) for name, pids in groups.items()}


def machine_ticks():
    """Of all processors: (idle, waiting for a disk, busy)."""
    user, nice, system, idle, wait, irq, soft = map(int, open("/proc/stat").readline().split()[1:8])
    return idle, wait, user + nice + system + irq + soft


def load(instances, lines, clients, seconds, groups):
    """What the driver says, and how many processors each group of processes used meanwhile; what is neither idle nor ours is others'."""
    before, machine = ticks(groups), machine_ticks()
    got = driver(Both(*instances), "load", lines, clients, seconds)
    used = {name: (n - before[name]) / HZ / got["seconds"] for name, n in ticks(groups).items()}
    used["driver"] = got["driver_cpu_s"] / got["seconds"]
    idle, wait, busy = ((now - then) / HZ / got["seconds"] for now, then in zip(machine_ticks(), machine))
    used.update({"others": max(0, busy - sum(used.values())), "waiting for the disk": wait, "idle": idle})
    return got["rate"], used


def throughput(bench, one, two):
    lines = [send_line(room, bench.people.token) for room in bench.people.rooms]
    load([one, two], lines, 2 * CLIENTS, 1, {})
    groups = processes(one, two)             # those whose database connections are there now
    rates, shares = {1: [], 2: []}, {1: [], 2: []}
    for _ in range(ROUNDS):
        for n, instances in ((1, [one]), (2, [one, two])):
            rate, used = load(instances, lines, 2 * CLIENTS, bench.seconds, groups)
            rates[n].append(rate)
            shares[n].append(used)
    a, b = (statistics.median(rates[n]) for n in (1, 2))
    row("B27", f"sends of two instances, {2 * CLIENTS} clients: msg/s", f"{b:.0f}", f"one instance {a:.0f}", f"{b / a:.2f}", ">= 1.5 where processors are left")
    for n in (1, 2):
        text = ", ".join(f"{name} {statistics.median(s[name] for s in shares[n]):.2f}" for name in shares[n][0])
        row("B27", f"processors used of {os.cpu_count()}, {n} instance{'s' * (n - 1)}", text)


# ---- fan-out ----

def fan_out(one, two, people):
    members = people.users(POLLS)
    room = one.create_room(people.token, {"preset": "public_chat"})
    for m in members:
        one.call("POST", f"/_matrix/client/v3/join/{room}", {}, m["access_token"])
    took = {one: [], two: []}
    for _ in range(ROUNDS):
        for at in (one, two):
            since = at.position(people.token)
            polls = [sync_line(m["access_token"], FILTER, since=since, timeout=30000) for m in members]
            took[at].append(driver(Both(one, at), "fanout", [send_line(room, people.token)] + polls, 1)["last_ms"])
    a, b = (statistics.median(took[at]) for at in (one, two))
    row("B27", f"message to {POLLS} polls that wait at the other instance: ms to the last", f"{b:.0f}", f"at its own {a:.0f}", f"{b / a:.2f}")


# ---- late rows ----

class Follower(threading.Thread):
    """Reads all that an instance tells of the rooms, with a timeline long enough that nothing is left out."""

    def __init__(self, server, token, since):
        super().__init__()
        self.server, self.token, self.since, self.seen, self.limited, self.stop = server, token, since, {}, 0, False

    def run(self):
        while True:
            last = self.stop
            answer = self.server.call("GET", f"/_matrix/client/v3/sync?timeout=100&since={self.since}&filter={urllib.parse.quote(ALL)}", token=self.token)
            self.since = answer["next_batch"]
            for room, part in answer.get("rooms", {}).get("join", {}).items():
                self.seen.setdefault(room, []).extend(event["event_id"] for event in part["timeline"]["events"])
                self.limited += part["timeline"]["limited"]
            if last:
                return


def late_rows(bench, one, two):
    rooms, token = bench.people.rooms[:20], bench.people.token
    begin = int(one.sql("select max(nid) from event"))
    followers = [Follower(server, token, server.position(token)) for server in (one, two)]
    [f.start() for f in followers]
    file = request_file("late", [send_line(room, token) for room in rooms])
    sender = subprocess.run([WORK / "driver", "load", "127.0.0.1", Both(one, two).port, file, str(CLIENTS), str(bench.seconds)],
                            stdout=subprocess.PIPE, text=True)
    for f in followers:
        f.stop = True
        f.join()
    stored = {}
    for line in one.sql("select r.room_id || ' $' || rtrim(translate(encode(e.event_id, 'base64'), E'+/\\n', '-_'), '=')"
                        f" from event e join room r using (room_nid) where e.nid > {begin} order by e.ord").split("\n"):
        room, event_id = line.split()
        stored.setdefault(room, []).append(event_id)
    missed = sum(len(set(ids) - set(f.seen.get(room, []))) for f in followers for room, ids in stored.items())
    wrong = sum(f.seen.get(room, []) != ids for f in followers for room, ids in stored.items())
    limited = sum(f.limited for f in followers)
    note(f"  {json.loads(sender.stdout)['ok']} sends followed at both instances, {limited} answers were limited")
    row("B27", "late rows: events that a reader of either was never told", missed, f"{sum(map(len, stored.values()))} events, {limited} limited answers", "", "0")
    row("B27", "rooms whose events came in another order than they are stored, or twice", wrong, "", "", "0")
