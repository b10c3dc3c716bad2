# SPDX-License-Identifier: Apache-2.0
"""What states take on disk, and how long an old state takes to read."""
import json
import subprocess

from common import REPO, WORK, row, run

OUT = REPO / ".build/out"
CHANGES = 20000
READS = 501

# A room grows to its members, then random members change; each change is a batch's worth of snapshot, log and state event.
GROW = """
truncate snapshot, room_state_log, state_event, event cascade;
create or replace procedure bench_grow(room int8, members int4, changes int4) language plpgsql as $$
declare
    snap int8; last int8 := 0; nid int8; key int8; began timestamptz; spent interval := '0'; worst interval := '0';
begin
    for i in 1..members + changes loop
        nid := nextval('stream_seq') + 1;
        perform setval('stream_seq', nid + (random() * 20)::int8);      -- other rooms write too
        key := case when i <= members then i else 1 + (random() * (members - 1))::int8 end;
        began := clock_timestamp();
        snap := snapshot_add(room, last, array[key], array[nid], least(i, members), uuid_send(gen_random_uuid()));
        if i > members then
            spent := spent + (clock_timestamp() - began);
            worst := greatest(worst, clock_timestamp() - began);
        end if;
        insert into event (nid, room_nid, ord, ts, snap_nid, sender_nid, depth, type_nid, event_id, pdu)
            values (nid, room, nid, 0, last, 1, i, 1, sha256(int8send(nid)), '{}');
        insert into state_event (nid, room_nid, skey_nid, auth_nids, replaces, snap_after)
            values (nid, room, key, array[1, 2, 3, nid - 1], nid - 1, snap);
        insert into room_state_log values (room, nid, snap);
        last := snap;
        if i % 500 = 0 then
            commit;
        end if;
    end loop;
    create temp table bench_time as select extract(epoch from spent) * 1e6 / changes as us, extract(epoch from worst) * 1e3 as worst_ms;
end $$;
"""


def build_reader():
    program = WORK / "state_read"
    flags = subprocess.run(["apr-1-config", "--includes", "--cppflags", "--link-ld", "--libs"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    system = subprocess.run(["make", "-s", "-C", OUT, "-f", "-", "flags"], input="include Makefile\nflags:\n\t@echo $(SYSTEM_LIBS)\n",
                            check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", f"-I{REPO}/mod_matrix", "-o", program, REPO / "tests/bench.d/state_read.c",
                    OUT / ".libs/libmx.a", *system, *flags], check=True)
    return program


def measure(bench):
    server = bench.server
    reader = build_reader()
    server.sql("set client_min_messages = warning; drop schema if exists bench_state cascade")
    server.sql("create schema bench_state")
    dsn = server.dsn + " options='-c search_path=bench_state'"       # a schema of our own in the same database

    def psql(*commands):
        args = [a for c in commands for a in ("-c", c)]
        return run("psql", "-X", "-At", "-q", "-d", dsn, *args).strip().split("\n")[-1]

    for file in sorted((REPO / "sql").glob("*.sql")):
        run("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", file)
    for members in (500, 50000):
        us, worst = psql(GROW.split("create or")[0], "create or" + GROW.split("create or")[1], f"call bench_grow(1, {members}, {CHANGES})",
                         "vacuum analyze snapshot, state_event, room_state_log", "select us::int || '|' || worst_ms::int from bench_time").split("|")
        n = members + CHANGES
        size = {t: int(psql(f"select pg_total_relation_size('{t}') / {n}")) for t in ("snapshot", "room_state_log", "state_event")}
        what = f"state change, {members} members"
        row("B13", f"{what}: B of snapshot and indexes", size["snapshot"], f"log {size['room_state_log']}, state_event {size['state_event']}", "", "<= 400")
        row("B13", f"{what}: us in snapshot_add, worst ms", f"{us}, {worst}")
        got = json.loads(run(reader, dsn, 1, READS))
        row("B13", f"state at a random event, {members} members: cold ms p50, max", f"{got['cold_p50_ms']}, {got['cold_max_ms']}",
            f"1 query; first of its connection {got['first_ms']}", "", "<= 30")
        row("B13", "the same, remembered: ms p50, p99, max", f"{got['warm_p50_ms']}, {got['warm_p99_ms']}, {got['warm_max_ms']}",
            f"0 queries; {got['warm_cpu_max_ms']} ms CPU at most", "", "<= 2")
    server.sql("set client_min_messages = warning; drop schema bench_state cascade")
