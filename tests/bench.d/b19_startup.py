# SPDX-License-Identifier: Apache-2.0
"""From exec to the first answer."""
import json
import os
import statistics
import subprocess
import time

from common import DIR, quickstart, row


def measure(bench):
    server = bench.server
    conf, times = DIR / "httpd.conf", []
    httpd = os.readlink(f"/proc/{server.pid}/exe")
    for _ in range(3):
        os.kill(server.pid, 15)
        while os.path.exists(f"/proc/{server.pid}"):
            time.sleep(0.01)
        start = time.monotonic()
        subprocess.Popen([httpd, "-f", conf, "-k", "start"], stdin=subprocess.DEVNULL)
        while True:
            try:
                server.call("GET", "/_matrix/client/versions")
                break
            except OSError:
                time.sleep(0.002)
        times.append((time.monotonic() - start) * 1e3)
        server.pid = int(json.loads(quickstart("up", "--json"))["pid"])
    row("B19", "start to first answer: ms", f"{statistics.median(times):.0f}", "", "", "<= 500")
