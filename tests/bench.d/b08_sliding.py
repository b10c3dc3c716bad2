# SPDX-License-Identifier: Apache-2.0
"""Sliding sync: the first window of a new connection, and one change after it. MSC4186."""
import json
import time
import urllib.parse

import duel
from b06_initial_sync import account
from common import driver, row, send_line, sync_line

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
WINDOW = 20
BAR = 10                             # times a no-op /sync of the same account
# as matrix-rust-sdk asks for its room list
STATE = [["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"], ["m.room.topic", ""],
         ["m.room.avatar", ""], ["m.room.canonical_alias", ""], ["m.room.power_levels", ""], ["m.room.join_rules", ""],
         ["m.room.tombstone", ""], ["m.room.create", ""], ["m.room.history_visibility", ""]]
LIST = {"ranges": [[0, WINDOW - 1]], "timeline_limit": 1, "required_state": STATE, "filters": {"not_room_types": ["m.space"]}}


def line(token, **query):
    """A request of a connection whose name is used for nothing else."""
    body = json.dumps({"conn_id": "bench%n", "lists": {"all": LIST}}, separators=(",", ":"))
    return f"POST {PATH}?{urllib.parse.urlencode(query)} {token} {body}"


def noop_line(server, token):
    return sync_line(token, since=server.position(token), timeout=0)


def change_ms(server, token, room, seconds):
    """The median answer to a position after which one message was sent."""
    body = {"conn_id": "changes", "lists": {"all": LIST}}
    pos, took, end = server.call("POST", PATH, body, token)["pos"], [], time.monotonic() + seconds
    while time.monotonic() < end:
        driver(server, "load", [send_line(room, token)], 1, 0.01)
        began = time.monotonic()
        answer = server.call("POST", f"{PATH}?{urllib.parse.urlencode({'pos': pos})}", body, token)
        took.append((time.monotonic() - began) * 1000)
        assert room in answer["rooms"]
        pos = answer["pos"]
    return sorted(took)[len(took) // 2]


def measure(bench, rooms=(300, 1000)):
    server = bench.server
    for n in rooms:
        token = account(bench.people, server, n)
        noop = driver(server, "load", [noop_line(server, token)], 1, bench.seconds)["p50_ms"]
        first = driver(server, "load", [line(token)], 1, bench.seconds)["p50_ms"]
        row("B8", f"sliding sync, first {WINDOW} of {n} rooms: p50 ms", f"{first:.2f}", f"no-op sync {noop:.3f}", f"{first / noop:.1f}", f"<= {BAR}")
        room = server.create_room(token)
        row("B8", f"sliding sync, {n} rooms, one message: median ms", f"{change_ms(server, token, room, bench.seconds):.2f}", "", "", "")


def versus(fight):
    fight.compare("B8", f"sliding sync, first {WINDOW} of {duel.ROOMS} rooms", lambda side: side.load([line(side.token)], 1, fight.seconds),
                  duel.latency())
