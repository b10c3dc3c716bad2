# SPDX-License-Identifier: Apache-2.0
"""Many senders in one room: as quick as over many, since they share commits."""
import b02_send_many
from common import driver, row, send_line


def measure(bench):
    if "rate over 100 rooms, 16 clients" not in bench.kept:
        b02_send_many.measure(bench)
    for clients in (16, 64):
        many = bench.kept[f"rate over 100 rooms, {clients} clients"]
        got = driver(bench.server, "load", [send_line(bench.people.rooms[0], bench.people.sender["access_token"])], clients, bench.seconds)
        row("B3", f"send, {clients} clients, 1 room: msg/s", f"{got['rate']:.0f}", f"100 rooms {many:.0f}", f"{got['rate'] / many:.2f}", ">= 1")
