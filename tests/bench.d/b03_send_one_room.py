# SPDX-License-Identifier: Apache-2.0
"""Many senders in one room: as quick as over many, since they share commits."""
import b02_send_many
import duel
from common import driver, row, send_line


def measure(bench):
    if "rate over 100 rooms, 16 clients" not in bench.kept:
        b02_send_many.measure(bench)
    for clients in (16, 64):
        many = bench.kept[f"rate over 100 rooms, {clients} clients"]
        got = driver(bench.server, "load", [send_line(bench.people.rooms[0], bench.people.token)], clients, bench.seconds)
        row("B3", f"send, {clients} clients, 1 room: msg/s", f"{got['rate']:.0f}", f"100 rooms {many:.0f}", f"{got['rate'] / many:.2f}", ">= 1")


def versus(fight):
    for clients in (16, 64):
        fight.compare("B3", f"send, {clients} clients, 1 room", lambda side: side.load(side.send_lines(1), clients, fight.seconds), duel.rate(">= 50"))
