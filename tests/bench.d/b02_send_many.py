# SPDX-License-Identifier: Apache-2.0
"""Many senders over many rooms."""
import duel
from common import driver, row, send_line

OPEN_RATE = 10                       # a second: what both can do


def measure(bench):
    server = bench.server
    base_tps, _ = bench.pgbench.rate(16, bench.seconds)
    lines = [send_line(r, bench.people.token) for r in bench.people.rooms]
    for clients, bar in ((16, ">= 0.35"), (64, "")):
        got = driver(server, "load", lines, clients, bench.seconds)
        row("B2", f"send, {clients} clients, 100 rooms: msg/s", f"{got['rate']:.0f}", f"pgbench {base_tps:.0f}", f"{got['rate'] / base_tps:.2f}", bar)
        bench.kept[f"rate over 100 rooms, {clients} clients"] = got["rate"]


def versus(fight):
    for clients in (16, 64):
        fight.compare("B2", f"send, {clients} clients, 100 rooms", lambda side: side.load(side.send_lines(100), clients, fight.seconds), duel.rate(">= 50"))
    fight.compare("B2", f"send, {OPEN_RATE} a second come what may, 100 rooms",
                  lambda side: side.drive("open", side.send_lines(100), 64, fight.seconds, OPEN_RATE), duel.latency())
