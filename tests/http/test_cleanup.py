# SPDX-License-Identifier: Apache-2.0
"""Background work on a running server: what nothing needs any more goes, and the work of a child that is killed goes on in another."""
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

SOON_SECONDS = 30

WASTE = """
insert into snapshot (room_nid, idx, anc, size, hash, delta)
    select r.room_nid, 1, '', 1, uuid_send(gen_random_uuid()), delta_of(array[1::int8], array[i::int8])
    from room r, generate_series(1, 700) i where r.room_id = '{room}';
insert into snapshot_waste select room_nid, now() from room where room_id = '{room}' on conflict do nothing
"""
SNAPSHOTS = "select count(*) from snapshot join room using (room_nid) where room_id = '{room}'"


@pytest.fixture
def cleaner(make_server):
    return make_server("--children", "2", "--conf-line", "MatrixCleanupInterval 1s", "--conf-line", "MatrixTaskLease 6s")


def until(condition, what):
    end = time.monotonic() + SOON_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def value(server, statement):
    return server.sql(statement)[0][0]


def write_in_every_child(user, room):
    """Connections at once go to different children; whose first write starts their background work."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: user.send(room, f"write {i}"), range(24)))


def test_cleanup_001_what_nothing_needs_is_deleted(cleaner):
    user = cleaner.register()
    room = user.create_room()
    event = user.send(room, "kept", txn="kept")
    needed = value(cleaner, SNAPSHOTS.format(room=room))
    cleaner.sql("insert into txn (device_nid, txn_id, scope, nid, day) select 999, 'old' || i, '', -i, current_date - 40"
                " from generate_series(1, 1200) i")
    cleaner.sql("insert into sliding_state select device_nid, 'old', i, '', 1, 0 from device, generate_series(1, 3) i")
    for statement in WASTE.format(room=room).split(";\n"):
        cleaner.sql(statement)
    user.send(room, "wakes the clean-up, if it slept")
    until(lambda: value(cleaner, "select count(*) from txn where txn_id like 'old%'") == "0", "old transaction ids are still there")
    until(lambda: value(cleaner, "select count(*) from sliding_state") == "0", "connections that nobody uses are still there")
    until(lambda: value(cleaner, SNAPSHOTS.format(room=room)) == needed, "states that nothing names are still there")
    until(lambda: value(cleaner, "select count(*) from snapshot_sweep") == "0", "the clean-up does not end")
    assert user.send(room, "kept", txn="kept") == event
    user.put_state(room, "m.room.topic", {"topic": "states go on"})
    assert value(cleaner, "select count(*) from lease where fails > 0") == "0"


def test_cleanup_002_a_killed_child_is_followed_by_another(cleaner):
    user = cleaner.register()
    room, other = user.create_room(), user.create_room()
    write_in_every_child(user, other)
    # whoever cleans this room up waits for its row
    holding = subprocess.Popen(["psql", "-X", "-q", "-d", cleaner.dsn, "-c", "set application_name = 'mx_holding'", "-c", "begin",
                                "-c", f"select from room where room_id = '{room}' for update", "-c", "select pg_sleep(60)"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cleaner.log.expect("exit signal Killed")
    try:
        until(lambda: value(cleaner, "select count(*) from pg_stat_activity where application_name = 'mx_holding'"
                                     " and query like '%pg_sleep%'") == "1", "the row is not locked")
        for statement in WASTE.format(room=room).split(";\n"):
            cleaner.sql(statement)
        lease = "select coalesce(split_part(holder, ':', 2), '-') from lease where name = 'cleanup.snapshots'"
        until(lambda: value(cleaner, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like"
                                     " '%snapshot_collect_next%'") != "0" and value(cleaner, lease) != "-", "no child cleans up")
        holder = value(cleaner, lease)
        assert int(holder) in cleaner.children()
        os.kill(int(holder), signal.SIGKILL)
        killed = time.monotonic()

        def taken_over():
            write_in_every_child(user, other)
            return value(cleaner, lease) not in (holder, "-")
        until(taken_over, "nobody takes over")
        assert time.monotonic() - killed > 0.2       # not before the lease ran out
    finally:
        cleaner.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mx_holding'")
        holding.wait(timeout=20)
    until(lambda: value(cleaner, "select count(*) from snapshot_sweep") == "0"
          and int(value(cleaner, SNAPSHOTS.format(room=room))) < 700, "the work is not finished")
    cleaner.log.expect("MX0303")
