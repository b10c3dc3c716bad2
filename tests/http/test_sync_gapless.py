# SPDX-License-Identifier: Apache-2.0
"""CS-API: syncing: every event once, in one order, with many writers and several children."""
import threading

from harness import V3, quote

CHILDREN, WRITERS, ROOMS, EACH, READERS = 2, 6, 3, 40, 4
FILTER = '{"room":{"timeline":{"limit":100}}}'


def follow(user, since, rooms, total, timeout_ms, told):
    while sum(len(told[room]) for room in rooms) < total:
        answer = user.sync(since, timeout_ms, filter=FILTER)
        for room, part in answer["rooms"]["join"].items():
            assert part["timeline"]["limited"] is False
            told[room] += [e["event_id"] for e in part["timeline"]["events"]]
        since = answer["next_batch"]


def write(user, rooms, sent, failures):
    try:
        for i in range(EACH):
            room = rooms[i % len(rooms)]
            sent.append((room, user.send(room, f"{user.user_id} {i}")))
            if i % 7 == 0:
                user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/x.{i}", {"i": i})
    except Exception as e:
        failures.append(e)


def test_sync_gapless_001_all_events_once_in_one_order(make_server):
    server = make_server("--children", str(CHILDREN))
    owner = server.register()
    rooms = [owner.create_room(preset="public_chat") for _ in range(ROOMS)]
    writers, readers = [server.register() for _ in range(WRITERS)], [server.register() for _ in range(READERS)]
    for user in writers + readers:
        for room in rooms:
            user.join(room)
    since = [reader.sync()["next_batch"] for reader in readers]
    told = [{room: [] for room in rooms} for _ in readers]
    sent, failures = [], []
    total = WRITERS * EACH
    threads = [threading.Thread(target=write, args=(writer, rooms, sent, failures)) for writer in writers]
    # some wait, some ask again and again
    threads += [threading.Thread(target=follow, args=(reader, s, rooms, total, 0 if i % 2 else 2000, t))
                for i, (reader, s, t) in enumerate(zip(readers, since, told))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), [sum(map(len, t.values())) for t in told]
    assert not failures
    for room in rooms:
        for t in told:
            assert t[room] == told[0][room], "another order"
            assert sorted(t[room]) == sorted(event_id for r, event_id in sent if r == room)
    # one from the start sees the same
    late = {room: [] for room in rooms}
    follow(readers[0], since[0], rooms, total, 0, late) if total <= 100 * ROOMS else None
    assert total > 100 * ROOMS or late == told[0]


def test_sync_gapless_002_a_killed_child_costs_no_event(make_server):
    """DESIGN: what was acknowledged is told, whatever becomes of the process that took it."""
    import os
    import signal
    import time

    server = make_server("--children", str(CHILDREN))
    user, reader = server.register(), server.register()
    room = user.create_room(preset="public_chat")
    reader.join(room)
    since, acked, told, stop = reader.sync()["next_batch"], [], [], threading.Event()

    def send():
        i = 0
        while not stop.is_set():
            i += 1
            try:
                acked.append(user.send(room, f"{i}", txn=f"k{threading.get_ident()}-{i}"))
            except Exception:
                time.sleep(0.05)

    def read():
        at = since
        while True:
            try:
                answer = reader.sync(at, 500, filter=FILTER)
            except Exception:
                time.sleep(0.05)
                continue
            part = answer["rooms"]["join"].get(room)
            if part:
                assert part["timeline"]["limited"] is False
                told.extend(e["event_id"] for e in part["timeline"]["events"])
            elif stop.is_set():
                return
            at = answer["next_batch"]
    threads = [threading.Thread(target=send) for _ in range(4)] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(1)
        server.log.expect("AH00052", "exit signal", "is not ready")
        os.kill(server.children()[0], signal.SIGKILL)
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(told) == len(set(told)), "told twice"
    assert set(acked) <= set(told), "acknowledged and not told"
