# SPDX-License-Identifier: Apache-2.0
"""What messages of 300 B take on disk, each with its transaction id; before and after are both vacuumed."""
from common import driver, row, send_line


def measure(bench):
    server, people = bench.server, bench.people
    tables = "('event', 'txn')"
    size = f"select sum(pg_total_relation_size(c.oid)) from pg_class c where relname in {tables} and relkind = 'r'"
    for table in ("event", "txn"):
        server.sql(f"vacuum full {table}")
    server.sql("checkpoint")
    bytes_before, n_before = int(server.sql(size)), int(server.sql("select count(*) from event"))
    wal = server.sql("select pg_current_wal_lsn()")
    driver(server, "load", [send_line(r, people.sender["access_token"]) for r in people.rooms[:20]], 16, max(bench.seconds, 10))
    wal_bytes = int(server.sql(f"select pg_current_wal_lsn() - '{wal}'::pg_lsn"))
    for table in ("event", "txn"):
        server.sql(f"vacuum {table}")
    n = int(server.sql("select count(*) from event")) - n_before
    body = server.sql("select avg(octet_length(pdu))::int from event where type_nid = (select type_nid from ev_type where type = 'm.room.message')")
    row("B18", "B per message, indexes and transaction id included", f"{(int(server.sql(size)) - bytes_before) / n:.0f}",
              f"{n} messages, body {body} B", "", "<= 1200")
    row("B18", "B of WAL per message", f"{wal_bytes / n:.0f}", "", "", "<= 2000")
