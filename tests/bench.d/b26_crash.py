# SPDX-License-Identifier: Apache-2.0
"""
Sends into many rooms, while httpd's children and PostgreSQL's processes are killed and PostgreSQL is restarted: what was acknowledged
and is not stored, what a reader of /sync was not told, and for how
long no request was answered with 200, against the time for which PostgreSQL itself took no connection.
"""
import os
import pathlib
import random
import signal
import statistics
import subprocess
import threading
import time
import urllib.error

import history
from common import WORK, free_ports, note, row
from harness import Server as Tested

ROUNDS = 4                               # of each kind of fall
CALM_S = 2                               # of answers, before the next fall
PG_CTL_TIMEOUT_S = 60


class Probe(threading.Thread):
    """One send after the other, each retried until it is answered with 200; `answered` has when each of those was asked for and came."""

    def __init__(self, user, room):
        super().__init__(daemon=True)
        self.user, self.room, self.answered, self.stop = user, room, [], False

    def run(self):
        n = 0
        while not self.stop:
            began = time.monotonic()
            try:
                target = f"{history.V3}/rooms/{history.quote(self.room)}/send/m.room.message/probe{n}"
                if self.user.request("PUT", target, b'{"body":"probe","msgtype":"m.text"}',
                                     {"Authorization": f"Bearer {self.user.token}"}, timeout=5).status_code == 200:
                    self.answered.append((began, time.monotonic()))
                    n += 1
            except (OSError, urllib.error.URLError, history.http.client.HTTPException):
                pass
            time.sleep(0.005)

    def silence_s(self, since):
        """The longest time without an answer from `since` until a calm time after it."""
        end = time.monotonic() + PG_CTL_TIMEOUT_S
        while not (self.answered and self.answered[-1][0] > since + CALM_S) or self.silence(since) > time.monotonic() - since - CALM_S:
            if time.monotonic() > end:
                return float("inf")
            time.sleep(0.1)
        return self.silence(since)

    def silence(self, since):
        at = [since] + [at for _, at in self.answered if at > since]
        return max((b - a for a, b in zip(at, at[1:])), default=0)


class Connects(threading.Thread):
    """Connects to the database again and again; `answered` as that of Probe."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.dsn, self.answered, self.stop = dsn, [], False

    def run(self):
        while not self.stop:
            began = time.monotonic()
            if subprocess.run(["psql", "-X", "-At", "-c", "select 1", "-d", self.dsn], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0:
                self.answered.append((began, time.monotonic()))
            time.sleep(0.02)

    silence = Probe.silence


def kill(pids):
    if pids:
        os.kill(random.choice(pids), signal.SIGKILL)


def backends(server):
    return [int(pid) for (pid,) in server.sql("select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")]


def data_of(server):
    """The cluster's folder."""
    return pathlib.Path(server.sql("show data_directory")[0][0])


def restart(data, mode):
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1]
    as_owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    subprocess.run([*as_owner, programs, "-D", data, "-m", mode, "-t", str(PG_CTL_TIMEOUT_S), "-s", "-w", "restart"],
                   cwd="/", check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def falls(server, probe, connects):
    """Each kind of fall some times; by kind, seconds without an answer, and without a connection to the database."""
    data, took = data_of(server), {}
    kinds = {"kill -9 of the only child": lambda: kill(server.children()), "kill -9 of a PostgreSQL process": lambda: kill(backends(server)),
             "restart of PostgreSQL": lambda: restart(data, "fast"), "crash and restart of PostgreSQL": lambda: restart(data, "immediate")}
    for _ in range(ROUNDS):
        for kind, fall in kinds.items():
            began = time.monotonic()
            fall()
            took.setdefault(kind, []).append((probe.silence_s(began), connects.silence(began)))
    return took


def compare(server, writers, readers, rooms):
    """How many acknowledged events are not stored; how many stored ones a reader was not told in their order."""
    acknowledged = {room: [e for w in writers for r, e in w.acknowledged if r == room] for room in rooms}
    stored = {room: history.stored_ids(server, room) for room in rooms}
    lost = sum(len(set(acknowledged[room]) - set(stored[room])) for room in rooms)
    gaps = 0
    for reader in readers:
        for room in rooms:
            seen = reader.seen[room]
            should = stored[room][stored[room].index(seen[0]):] if seen else stored[room]
            gaps += len(set(should) - set(seen)) + (seen != should)
    return lost, gaps, sum(map(len, acknowledged.values())), sum(map(len, stored.values()))


def measure(bench):
    plain, tls = free_ports(2)
    server = Tested(str(WORK / "crash"), "--server-name", "crash.test", "--http", str(plain), "--https", str(tls), "--children", "1", ports=False)
    try:
        writers, readers, rooms = history.start(server, 16, 4, 20)
        probe = Probe(server.register(), None)
        probe.room = probe.user.create_room()
        connects = Connects(server.dsn)
        threads = writers + readers + [probe, connects]
        [t.start() for t in threads]
        began = time.monotonic()
        took = falls(server, probe, connects)
        seconds = time.monotonic() - began
        probe.stop = connects.stop = True
        history.finish(writers, readers, rooms)
        tell(took, compare(server, writers, readers, rooms), seconds, len(readers))
    finally:
        server.down()


def tell(took, compared, seconds, nreaders):
    lost, gaps, acknowledged, stored = compared
    nfalls = sum(map(len, took.values()))
    note(f"  {acknowledged} sends acknowledged in {seconds:.0f} s, {stored} events stored, {nfalls} falls")
    row("B26", "acknowledged sends that are not stored", lost, f"{acknowledged} sends, {nfalls} falls", "", "0")
    row("B26", "gaps: events not told, or told in another order", gaps, f"{nreaders} readers of {stored} events", "", "0")
    for kind, times in took.items():
        ours, database = zip(*times)
        row("B26", f"{kind}: s without an answer", f"{statistics.median(ours):.2f} (at most {max(ours):.2f})",
            f"PostgreSQL without connections {statistics.median(database):.2f}", "", "< 2")
