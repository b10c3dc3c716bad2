# SPDX-License-Identifier: Apache-2.0
"""What a waiting poll costs."""
import re
import subprocess
import time
import urllib.request

from common import WORK, request_file, row, sync_line


def measure(bench, n=5000):
    server = bench.server
    pollers = bench.people.users(10)
    for p in pollers:
        server.create_room(p["access_token"])
    since = [server.position(p["access_token"]) for p in pollers]
    lines = [sync_line(pollers[i % 10]["access_token"], since=since[i % 10], timeout=60000) for i in range(n)]
    # the notifier's thread comes with the first waiter, whoever that is
    server.call("GET", f"/_matrix/client/v3/sync?since={since[0]}&timeout=100", token=pollers[0]["access_token"])
    before, threads = server.memory_kb("Rss"), server.threads()
    hold = subprocess.Popen([WORK / "driver", "hold", "127.0.0.1", server.port, request_file("hold", lines), "20"], stdout=subprocess.PIPE, text=True)
    hold.stdout.readline()
    time.sleep(5)
    parked = re.search(r"MatrixParked: (\d+)", urllib.request.urlopen(server.base + "/server-status?auto").read().decode())
    after = server.memory_kb("Rss")
    cpu = server.cpu_ms()
    time.sleep(5)
    cpu = (server.cpu_ms() - cpu) / 5000 * 100
    row("B5", "polls waiting, as mod_status counts them", parked.group(1), f"{n} asked")
    row("B5", f"{n} parked polls: KB of RSS each", f"{(after - before) / n:.1f}", "", "", "<= 40")
    row("B5", "threads added", server.threads() - threads, "", "", "0")
    row("B5", "CPU while they wait: %", f"{cpu:.1f}")
    hold.wait()


def versus(fight, n=1000):
    """Polls of several devices: each has a filter of its own, so that none is answered along with another."""
    fight.compare("B5", f"{n} polls waiting", lambda side: hold(side, n),
                  [("kb", "KB of PSS each", False, ">= 1"), ("cpu_percent", "CPU % while they wait", False, "")], rounds=1)


def hold(side, n):
    side.server.restart()            # or the polls fit into what an earlier load has left
    since = side.server.position(side.token)
    filters = [{"presence": {"not_types": [f"bench.{i}"]}} for i in range(n)]
    lines = [sync_line(side.members[i % len(side.members)]["access_token"], filters[i], since=since, timeout=120000) for i in range(n)]
    drawn = [sync_line(m["access_token"], since=since, timeout=0) for m in side.members]
    side.load(drawn, 4, 1)           # caches and threads that come with the first
    before = side.server.memory_kb("Pss")
    polls = subprocess.Popen([WORK / "driver", "hold", "127.0.0.1", side.server.port, request_file("hold", lines), "30"], stdout=subprocess.PIPE, text=True)
    polls.stdout.readline()
    time.sleep(15)
    kb, cpu = (side.server.memory_kb("Pss") - before) / n, side.server.cpu_ms()
    time.sleep(5)
    cpu = (side.server.cpu_ms() - cpu) / 5000 * 100
    polls.wait()
    return {"kb": kb, "cpu_percent": cpu}
