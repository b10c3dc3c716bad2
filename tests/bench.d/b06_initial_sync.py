# SPDX-License-Identifier: Apache-2.0
"""The first /sync of an account with many rooms. Each request has a filter of its own, so that no earlier answer is given again."""
import time

import duel
from common import driver, row, sync_line

LAZY = {"state": {"lazy_load_members": True}}
KINDS = {"lazy, timeline 1": {**LAZY, "timeline": {"limit": 1}}, "lazy, timeline 20": {**LAZY, "timeline": {"limit": 20}},
         "all members, timeline 10": {"timeline": {"limit": 10}}}
BAR_MS = 1                           # a room


def line(kind, token):
    return sync_line(token, {"room": KINDS[kind], "presence": {"not_types": [f"bench.{time.time_ns()}.%n"]}}, timeout=0)


def measure(bench, rooms=(300, 1000)):
    server = bench.server
    for n in rooms:
        token = account(bench.people, server, n)
        for kind in KINDS:
            got = driver(server, "load", [line(kind, token)], 1, bench.seconds)
            row("B6", f"first sync of {n} rooms, {kind}: ms a room", f"{got['p50_ms'] / n:.3f}", f"{got['p50_ms']:.0f} ms", "", f"<= {BAR_MS}")


def account(people, server, n):
    """A user in n rooms of 20 events."""
    token = people.user()["access_token"]
    rooms = [server.create_room(token) for _ in range(n)]
    for room in rooms:
        for k in range(duel.EVENTS_A_ROOM - 8):
            server.call("PUT", f"/_matrix/client/v3/rooms/{room}/send/m.room.message/s{k}", {"msgtype": "m.text", "body": "x" * 240}, token)
    return token


def versus(fight):
    for kind in KINDS:
        fight.compare("B6", f"first sync of {duel.ROOMS} rooms, {kind}", lambda side: first(side, kind, fight.seconds),
                      [("a_room", "ms a room", False, ""), ("p50_ms", "p50 ms", False, ""), duel.CPU])
    ours, n = fight.sides[0], 1000
    token = account(ours.people, ours.server, n)
    for kind in KINDS:
        got = ours.load([line(kind, token)], 1, fight.seconds)
        row("B6", f"first sync of {n} rooms, {kind}: ms a room", f"{got['p50_ms'] / n:.3f}", "", "", f"ours <= {BAR_MS}")


def first(side, kind, seconds):
    got = side.load([line(kind, side.token)], 1, seconds)
    return {**got, "a_room": got["p50_ms"] / duel.ROOMS}
