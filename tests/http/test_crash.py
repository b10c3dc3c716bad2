# SPDX-License-Identifier: Apache-2.0
"""
What was answered with 200 is on disk, and every client's /sync tells it once, in order: while httpd's children are killed.
MX_CRASH_SECONDS: how long (20).
"""
import os
import random
import signal
import time

from history import check, finish, start

SECONDS = float(os.environ.get("MX_CRASH_SECONDS", "20"))


def kill_some(server, seconds):
    """kill -9 of a random child every now and then; returns how many fell."""
    end, killed = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        time.sleep(random.uniform(0.5, 2))
        children = server.children()
        if not children:
            continue
        try:
            os.kill(random.choice(children), signal.SIGKILL)
            killed += 1
        except ProcessLookupError:
            pass
    server.log.expect("exit signal Killed", "MX0510")     # a 503 meanwhile is an honest answer
    return killed


def run(server, disturb, nwriters=8, nreaders=4, nrooms=5):
    writers, readers, rooms = start(server, nwriters, nreaders, nrooms)
    threads = writers + readers
    for thread in threads:
        thread.start()
    done = disturb()
    finish(writers, readers, rooms)
    check(server, writers, readers, rooms)
    sent = sum(len(writer.acknowledged) for writer in writers)
    gaps = sum(reader.gaps for reader in readers)
    print(f"\n{sent} events acknowledged, {len(readers)} histories compared, {gaps} limited answers, {done} children killed")
    return sent


def test_crash_001_children_are_killed(make_server):
    server = make_server("--children", "3")
    assert run(server, lambda: kill_some(server, SECONDS)) > 2 * SECONDS


def test_crash_002_backends_are_killed(make_server):
    """The database's processes instead: the server answers 503, or what it says is true."""
    server = make_server("--children", "2")

    def disturb():
        end, killed = time.monotonic() + SECONDS / 2, 0
        while time.monotonic() < end:
            time.sleep(random.uniform(0.5, 1.5))
            rows = server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                              " and pid <> pg_backend_pid() order by random() limit 3")
            killed += len(rows)
        return killed
    run(server, disturb)
    server.log.expect("MX02", "MX05", "MX03",      # lost connections are told to the operator,
                      "another server process exited abnormally")     # by libpq too when one is lost while it is made


def test_crash_003_nothing_is_killed(server):
    """The same check on a quiet server, so that a failure above can be told from one of the load itself."""
    run(server, lambda: time.sleep(5), nwriters=6, nreaders=2, nrooms=3)
