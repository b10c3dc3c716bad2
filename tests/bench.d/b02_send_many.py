# SPDX-License-Identifier: Apache-2.0
"""Many senders over many rooms."""
from common import driver, row, send_line


def measure(bench):
    server = bench.server
    base_tps, _ = bench.pgbench.rate(16, bench.seconds)
    lines = [send_line(r, bench.people.sender["access_token"]) for r in bench.people.rooms]
    for clients, bar in ((16, ">= 0.35"), (64, "")):
        got = driver(server, "load", lines, clients, bench.seconds)
        row("B2", f"send, {clients} clients, 100 rooms: msg/s", f"{got['rate']:.0f}", f"pgbench {base_tps:.0f}", f"{got['rate'] / base_tps:.2f}", bar)
        bench.kept[f"rate over 100 rooms, {clients} clients"] = got["rate"]
