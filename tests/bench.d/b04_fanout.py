# SPDX-License-Identifier: Apache-2.0
"""One message to a thousand waiting polls."""
import statistics

from common import driver, parallel, row, send_line


def measure(bench, n=1000):
    server = bench.server
    sender = bench.people.sender["access_token"]
    room = server.call("POST", "/_matrix/client/v3/createRoom", {"preset": "public_chat"}, sender)["room_id"]
    members = bench.people.users(n)
    parallel(lambda m: server.call("POST", f"/_matrix/client/v3/join/{room}", {}, m["access_token"]), members)
    flt = '{"room":{"timeline":{"limit":10}}}'.replace('"', "%22").replace("{", "%7B").replace("}", "%7D").replace(":", "%3A")
    woken, plain = [], []
    for _ in range(3):
        since = server.call("GET", "/_matrix/client/v3/sync?timeout=0", token=sender)["next_batch"]
        polls = [f"GET /_matrix/client/v3/sync?since={since}&timeout=30000&filter={flt} {m['access_token']} -" for m in members]
        calls = statements_reading_events(server, lambda: woken.append(driver(server, "fanout", [send_line(room, sender)] + polls, 1)["last_ms"]))
        plain.append(driver(server, "burst", [p.replace("timeout=30000", "timeout=0") for p in polls], 1)["last_ms"])
    row("B4", f"message to {n} waiting members: ms to the last", f"{statistics.median(woken):.0f}",
        f"the same {n} answers as plain requests {statistics.median(plain):.0f}", f"{statistics.median(woken) / statistics.median(plain):.2f}", "<= 3")
    row("B4", "reads of the event for them", calls, "", "", "1")


def statements_reading_events(server, work):
    server.sql("select pg_stat_statements_reset()")
    work()
    return server.sql("select coalesce(sum(rows), 0) from pg_stat_statements where toplevel and query like '%e.pdu%'")
