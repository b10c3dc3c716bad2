# SPDX-License-Identifier: Apache-2.0
"""One message to a thousand waiting polls; against a peer to fewer, since a peer takes long."""
import statistics

from common import driver, parallel, row, send_line, sync_line

FILTER = {"room": {"timeline": {"limit": 10}}}


def measure(bench, n=1000):
    server = bench.server
    sender = bench.people.token
    members = bench.people.users(n)
    room = room_of(server, sender, members)
    woken, plain = [], []
    for _ in range(3):
        since = server.position(sender)
        polls = [sync_line(m["access_token"], FILTER, since=since, timeout=30000) for m in members]
        reads, calls = statements(server, lambda: woken.append(driver(server, "fanout", [send_line(room, sender)] + polls, 1)["last_ms"]))
        plain.append(driver(server, "burst", [p.replace("timeout=30000", "timeout=0") for p in polls], 1)["last_ms"])
    row("B4", f"message to {n} waiting members: ms to the last", f"{statistics.median(woken):.0f}",
        f"the same {n} answers as plain requests {statistics.median(plain):.0f}", f"{statistics.median(woken) / statistics.median(plain):.2f}", "<= 3")
    row("B4", "reads of the event for them", reads, "", "", "1")
    row("B4", "statements for each of them", f"{calls / n:.2f}", "the third message", "", "< 0.1")


def statements(server, work):
    """Events that were read, and statements of any kind."""
    server.sql("select pg_stat_statements_reset()")
    work()
    events = server.sql("select coalesce(sum(rows), 0) from pg_stat_statements where toplevel and query like '%e.pdu%'")
    return events, int(server.sql("select coalesce(sum(calls), 0) from pg_stat_statements where toplevel"))


def versus(fight):
    for n, bar in ((10, ""), (100, ""), (200, ">= 40")):
        rooms = {side: room_of(side.server, side.token, side.members[:n]) for side in fight.sides}
        fight.compare("B4", f"message to {n} waiting members", lambda side: fan_out(side, rooms[side], side.members[:n]),
                      [("last_ms", "ms to the last", False, bar), ("cpu_ms", "CPU ms each", False, "")])
    ours = fight.sides[0]
    members = ours.members + ours.people.users(1000 - len(ours.members))
    room = room_of(ours.server, ours.token, members)
    got = [fan_out(ours, room, members) for _ in range(3)]
    row("B4", "message to 1000 waiting members: ms to the last", f"{statistics.median(g['last_ms'] for g in got):.0f}")
    row("B4", "message to 1000 waiting members: CPU ms each", f"{statistics.median(g['cpu_ms'] for g in got):.4f}")


def room_of(server, owner, members):
    room = server.create_room(owner, {"preset": "public_chat"})
    parallel(lambda m: server.call("POST", f"/_matrix/client/v3/join/{room}", {}, m["access_token"]), members)
    return room


def fan_out(side, room, members):
    since = side.server.position(side.token)
    polls = [sync_line(m["access_token"], FILTER, since=since, timeout=30000) for m in members]
    return side.drive("fanout", [send_line(room, side.token)] + polls, 1)
