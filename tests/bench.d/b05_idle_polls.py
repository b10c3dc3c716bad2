# SPDX-License-Identifier: Apache-2.0
"""What a waiting poll costs."""
import os
import re
import subprocess
import time
import urllib.request

from common import WORK, row


def measure(bench, n=5000):
    server = bench.server
    pollers = bench.people.users(10)
    for p in pollers:
        server.call("POST", "/_matrix/client/v3/createRoom", {}, p["access_token"])
    since = [server.call("GET", "/_matrix/client/v3/sync?timeout=0", token=p["access_token"])["next_batch"] for p in pollers]
    lines = [f"GET /_matrix/client/v3/sync?since={since[i % 10]}&timeout=60000 {pollers[i % 10]['access_token']} -" for i in range(n)]
    file = WORK / "hold.txt"
    file.write_text("".join(line + "\n" for line in lines))
    # the notifier's thread comes with the first waiter, whoever that is
    server.call("GET", f"/_matrix/client/v3/sync?since={since[0]}&timeout=100", token=pollers[0]["access_token"])
    before, threads = server.memory_kb("Rss"), server.threads()
    hold = subprocess.Popen([WORK / "driver", "hold", "127.0.0.1", server.port, file, "20"], stdout=subprocess.PIPE, text=True)
    hold.stdout.readline()
    time.sleep(5)
    parked = re.search(r"MatrixParked: (\d+)", urllib.request.urlopen(server.base + "/server-status?auto").read().decode())
    after = server.memory_kb("Rss")
    cpu = cpu_seconds(server)
    time.sleep(5)
    cpu = (cpu_seconds(server) - cpu) / 5 * 100
    row("B5", f"polls waiting, as mod_status counts them", parked.group(1), f"{n} asked")
    row("B5", f"{n} parked polls: KB of RSS each", f"{(after - before) / n:.1f}", "", "", "<= 40")
    row("B5", "threads added", server.threads() - threads, "", "", "0")
    row("B5", "CPU while they wait: %", f"{cpu:.1f}")
    hold.wait()


def cpu_seconds(server):
    ticks = 0
    for pid in server.children():
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
