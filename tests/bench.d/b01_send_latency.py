# SPDX-License-Identifier: Apache-2.0
"""One sender at a time: what a send takes, and what it costs in statements and commits."""
import duel
from common import driver, note, row, send_line


def measure(bench):
    latency(bench)
    statements(bench)


def latency(bench):
    server = bench.server
    base_tps, base_ms = bench.pgbench.rate(1, bench.seconds)
    got = driver(server, "load", [send_line(r, bench.people.token) for r in bench.people.rooms[:20]], 1, bench.seconds)
    row("B1", "send, 1 client, 20 rooms: p50 ms", f"{got['p50_ms']:.2f}", f"pgbench {base_ms:.2f}", f"{got['p50_ms'] / base_ms:.2f}", "<= 4")
    row("B1", "send, 1 client, 20 rooms: p99 ms", f"{got['p99_ms']:.2f}")


def statements(bench):
    """How many statements and commits a plain send costs, as PostgreSQL counts them."""
    server = bench.server
    token, n = bench.people.token, 200
    lines = [send_line(bench.people.rooms[0], token)]
    driver(server, "load", lines, 1, 0.2)
    server.sql("select pg_stat_statements_reset()")
    written = "select pg_snapshot_xmax(pg_current_snapshot())"   # only transactions that write take a number
    before = int(server.sql(written))
    got = driver(server, "load", lines, 1, n / 400)
    commits = int(server.sql(written)) - before
    sends = got["ok"]
    top = server.sql("select calls || ' x ' || left(regexp_replace(query, '\\s+', ' ', 'g'), 60) from pg_stat_statements"
                     " where toplevel and query not like '%pg_stat%' and query not like '%pg_locks%' and query not like '%last_value%'"
                     " order by calls desc limit 3")
    calls = server.sql("select coalesce(sum(calls), 0) from pg_stat_statements where toplevel and query ilike '%persist%'")
    row("B1", "statements per send (pg_stat_statements)", f"{int(calls) / sends:.3f}", f"{sends} sends", "", "1")
    note("  most called: " + top.replace("\n", " | "))
    row("B1", "commits per send (transactions that wrote)", f"{commits / sends:.3f}", f"{sends} sends", "", "1")


def versus(fight):
    fight.compare("B1", "send, 1 client, 20 rooms", lambda side: side.load(side.send_lines(20), 1, fight.seconds), duel.latency(">= 30"))
