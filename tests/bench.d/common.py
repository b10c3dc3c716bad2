# SPDX-License-Identifier: Apache-2.0
"""What the workloads share: the server under test, people and rooms on it, the driver, the table of results."""
import functools
import glob
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[1:1] = [str(REPO / "tests"), str(REPO / "tests/http")]
from harness import free_ports  # noqa: E402,F401

BUILD = REPO / ".build"
WORK = BUILD / "bench"
DIR = WORK / "server"
PGBENCH_SQL = REPO / "tests/bench.d/persist.sql"
MESSAGE = json.dumps({"msgtype": "m.text", "body": "x" * 240 + " %n"})
ROWS = []


def note(text):
    print(text, file=sys.stderr, flush=True)


def row(bench, what, value, baseline="", ratio="", bar=""):
    ROWS.append((bench, what, value, baseline, ratio, bar))
    note("  ".join(str(x) for x in ROWS[-1] if x != ""))


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, stdout=subprocess.PIPE, text=True, **kw).stdout


def quickstart(*args, folder=DIR):
    return run(REPO / "conf/quickstart", *args, "--dir", folder)


def clock_ticks(pid, waited_for=False):
    """CPU of a process in ticks; that of its children that ended as well, if asked for. 0 if it is gone."""
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(int(x) for x in fields[11:15 if waited_for else 13])


def children(pid):
    return [int(p) for p in subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, text=True).stdout.split()]


class Homeserver:
    """What a workload needs of any homeserver: `base` (URL), `port`, `dsn`, `pid`; see Server and synapse.Synapse."""

    def sql(self, text):
        return run("psql", "-X", "-At", "-d", self.dsn, "-c", text).strip()

    def call(self, method, path, body=None, token=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        if token:
            request.add_header("Authorization", "Bearer " + token)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def register(self, name):
        return self.call("POST", "/_matrix/client/v3/register", {
            "username": name, "password": "bench-password", "auth": {"type": "m.login.dummy"}})

    def create_room(self, token, body=None):
        return self.call("POST", "/_matrix/client/v3/createRoom", body or {}, token)["room_id"]

    def position(self, token):
        """Where the server's stream is now, as a /sync token. No two ask the same, or an earlier answer might be given again."""
        text = json.dumps({"room": {"rooms": []}, "presence": {"not_types": [f"bench.{time.time_ns()}"]}})
        return self.call("GET", "/_matrix/client/v3/sync?timeout=0&filter=" + urllib.parse.quote(text), token=token)["next_batch"]

    def processes(self):
        return [self.pid]

    def memory_kb(self, field):
        total = 0
        for pid in self.processes():
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
        return total

    def threads(self):
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.processes())

    def cpu_ms(self):
        """CPU so far of the server alone."""
        return sum(clock_ticks(pid) for pid in self.processes()) * 1e3 / os.sysconf("SC_CLK_TCK")

    def cpu_with_database_ms(self):
        """CPU so far of the server and of everything that PostgreSQL runs."""
        if not hasattr(self, "postmaster"):
            data = self.sql("select setting from pg_settings where name = 'data_directory'")
            self.postmaster = int(pathlib.Path(data, "postmaster.pid").read_text().split()[0])
        ticks = clock_ticks(self.postmaster, True) + sum(clock_ticks(pid) for pid in children(self.postmaster))
        return self.cpu_ms() + ticks * 1e3 / os.sysconf("SC_CLK_TCK")


class Server(Homeserver):
    """The server under test, started by conf/quickstart; or one more in another folder."""

    name = "ours"

    def __init__(self, folder=DIR, *options):
        plain, tls = free_ports(2)
        self.folder = folder
        out = quickstart("up", "--server-name", "bench.test", "--http", plain, "--https", tls, "--open-registration", "--no-rate-limits",
                         "--json", "--conf-line", "MatrixPasswordCost 1", "--conf-line", "MatrixPresence off", *options, folder=folder)
        self.about = json.loads(out)
        self.base = self.about["base_url"]
        self.port = self.base.rsplit(":", 1)[1]
        self.dsn = self.about["dsn"]
        self.pid = int(self.about["pid"])

    def processes(self):
        return children(self.pid)

    def restart(self):
        quickstart("restart", folder=self.folder)
        self.pid = int(json.loads(quickstart("up", "--json", folder=self.folder))["pid"])

    def end(self):
        quickstart("down", folder=self.folder)


def build_driver():
    WORK.mkdir(parents=True, exist_ok=True)
    run("cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", WORK / "driver", REPO / "tests/bench.d/driver.c")


def request_file(mode, lines):
    file = WORK / f"{mode}.txt"
    file.write_text("".join(line + "\n" for line in lines))
    return file


def driver(server, mode, lines, *args):
    """Writes the lines to a file and runs the driver on them."""
    out = subprocess.run([WORK / "driver", mode, "127.0.0.1", server.port, request_file(mode, lines), *map(str, args)],
                         stdout=subprocess.PIPE, text=True)
    result = json.loads(out.stdout)
    if result["failed"]:
        note(f"  driver {mode}: {result['failed']} failed: {result['failure']}")
    return result


def sync_line(token, filter=None, **query):
    """One /sync as a line for the driver. "%n" in a filter's text becomes a new number each time."""
    if filter is not None:
        query["filter"] = json.dumps(filter, separators=(",", ":"))
    quoted = "&".join(f"{k}={urllib.parse.quote(str(v)).replace('%25n', '%n')}" for k, v in query.items())
    return f"GET /_matrix/client/v3/sync?{quoted} {token} -"


def send_line(room, token):
    return f"PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/b{time.time_ns()}.%n {token} {MESSAGE}"


def parallel(work, items, threads=8):
    """Runs work(item) for all items on a few threads; results in order."""
    out, todo = [None] * len(items), iter(enumerate(items))
    lock = threading.Lock()

    def loop():
        while True:
            with lock:
                i, item = next(todo, (None, None))
            if i is None:
                return
            out[i] = work(item)
    pool = [threading.Thread(target=loop) for _ in range(threads)]
    [t.start() for t in pool]
    [t.join() for t in pool]
    return out


class People:
    """Users and rooms that the workloads share; made on first use."""

    def __init__(self, server, rooms=100):
        self.server, self.stamp = server, format(int(time.time()), "x")
        self.serial = 0
        self.sender = self.user()
        self.token = self.sender["access_token"]
        self.rooms = parallel(lambda _: server.create_room(self.token), range(rooms), 4)

    def user(self):
        self.serial += 1
        return self.server.register(f"u{self.stamp}x{self.serial}")

    def users(self, n):
        names = []
        for _ in range(n):
            self.serial += 1
            names.append(f"u{self.stamp}x{self.serial}")
        return parallel(self.server.register, names)


class Pgbench:
    """The store's own send statement, on rooms of its own, without HTTP, hashing or signing."""

    def __init__(self, server):
        self.server = server
        self.base = int(server.sql("insert into room (room_id, version) select '!bench' || clock_timestamp() || g, 12"
                                   " from generate_series(0, 63) g returning room_nid").split("\n")[0])
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))[-1]
        self.cache = {}

    def rate(self, clients, seconds):
        if clients not in self.cache:
            out = run(self.bin, "-n", "-M", "prepared", "-c", clients, "-j", min(2, clients), "-T", max(1, round(seconds)), "-D", f"base={self.base}", "-D", "v=0",
                      "-f", PGBENCH_SQL, self.server.dsn)
            tps = float(re.search(r"tps = ([0-9.]+)", out).group(1))
            ms = float(re.search(r"latency average = ([0-9.]+) ms", out).group(1))
            self.cache[clients] = (tps, ms)
        return self.cache[clients]


class Bench:
    """One run: what a workload needs is made when it is first asked for. `kept` is for what one workload leaves for another."""

    def __init__(self, seconds):
        self.seconds, self.kept = seconds, {}

    @functools.cached_property
    def server(self):
        return Server()

    @functools.cached_property
    def people(self):
        return People(self.server)

    @functools.cached_property
    def pgbench(self):
        return Pgbench(self.server)

    def end(self):
        if "server" in self.__dict__:
            self.server.end()


def table(head=("id", "workload", "measured", "baseline", "ratio", "bar")):
    widths = [max(len(str(r[i])) for r in ROWS + [head]) for i in range(6)]
    for r in [head] + ROWS:
        print("  ".join(str(x).ljust(w) for x, w in zip(r, widths)).rstrip())
