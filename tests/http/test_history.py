# SPDX-License-Identifier: Apache-2.0
"""
Nothing lost, with everything at once: two httpds on one database, several children each; writers of messages, state,
memberships and redactions; readers that reconnect to either, some with small timelines; and meanwhile kill -9 of children and
of PostgreSQL's backends, and graceful restarts. Afterwards every reader's history and state is compared with the database.
MX_HISTORY_SECONDS: how long (30). MX_HISTORY_SEED: what the dice begin with; it is printed.
"""
import collections
import os
import random
import time

from history import Disturber, check, check_state, finish, start

SECONDS = float(os.environ.get("MX_HISTORY_SECONDS", "30"))
SEED = int(os.environ.get("MX_HISTORY_SEED") or time.time_ns() % 1_000_000)
# A 503 meanwhile is an honest answer. AH00046 seems to be httpd's own: its event MPM tells children to end by one byte each in a pipe that
# all generations share, and after kill -9 among graceful restarts there can be a byte too few. The children caught so were in service,
# the main thread in read() of that pipe; two backtraces showed ap_mpm_podx_check(). SIGTERM only interrupts that read.
# AH00484: on a slow machine the old children of restarts hold all places for a moment.
NOISE = ("MX02", "MX03", "MX05", "dbd:error", "exit signal Killed", "AH00052", "AH00288", "AH00046", "AH00484",
         "another server process exited abnormally")      # libpq prints it of a connection that is lost while it is made


def test_history_001_nothing_is_lost_whatever_falls(make_server):
    print(f"\nhistory: seed {SEED}, {SECONDS:.0f} s", flush=True)
    first = make_server("--server-name", "history.example", "--children", "2", name="history-a")
    second = make_server("--database-of", first.dir, "--children", "2", name="history-b")
    instances = [first, second]
    writers, readers, rooms = start(first, 6, 6, 4, instances=instances, seed=SEED)
    disturber = Disturber(writers[0].stop, instances, random.Random(SEED))
    threads = writers + readers + [disturber]
    for thread in threads:
        thread.start()
    try:
        writers[0].stop.wait(SECONDS)
        disturber.over.set()
        disturber.result()
        finish(writers, readers, rooms)
    finally:
        for server in instances:
            server.log.expect(*NOISE)
    check(first, writers, readers, rooms)
    check_state(first, readers, rooms)
    acked = sum(len(writer.acknowledged) for writer in writers)
    kinds = dict(sum((writer.kinds for writer in writers), collections.Counter()))
    print(f"history: {acked} events acknowledged {kinds}, {len(readers)} readers saw {sum(len(s) for r in readers for s in r.seen.values())}"
          f" events, {sum(r.gaps for r in readers)} gaps closed, {sum(r.polls for r in readers)} polls,"
          f" {sum(r.initials for r in readers)} initial syncs; fell: {disturber.done}", flush=True)
    assert kinds.keys() == {"message", "state", "redaction", "leave and join"}
    assert acked > SECONDS and all(disturber.done.values()) and sum(r.gaps for r in readers) > 0
