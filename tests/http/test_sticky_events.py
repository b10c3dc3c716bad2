# SPDX-License-Identifier: Apache-2.0
# MSC4354: sticky events, under their unstable names
import json
import threading
import time

from harness import quote
from room_calls import room_path, timeline

PARAM = "org.matrix.msc4354.sticky_duration_ms"
HOUR = 3600000


def stick(user, room, ms=HOUR, n=0, type="org.matrix.msc4143.rtc.member", txn=None, **expect):
    txn = txn or f"s{time.time_ns()}"
    path = room_path(room, f"send/{type}/{txn}?{PARAM}={ms}")
    return user.call("PUT", path, {"msc4354_sticky_key": "DEVICE", "n": n}, **expect).json().get("event_id")


def joined(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room, {})


def sticky(answer, room):
    return joined(answer, room).get("msc4354_sticky", {}).get("events", [])


def ids(events):
    return [e["event_id"] for e in events]


def told(answer, room):
    return ids(sticky(answer, room)) + ids(joined(answer, room).get("timeline", {}).get("events", []))


def chatter(user, room, n=15):
    for i in range(n):
        user.send(room, f"line {i}")


def limit(n, **more):
    return json.dumps({"room": {"timeline": {"limit": n, **more}}})


def test_sticky_events_001_strangers_and_outsiders_are_refused(server, user, user2):
    room = user.create_room()
    for kind in ("send/m.test/1", "state/m.test/k"):
        path = room_path(room, f"{kind}?{PARAM}=1000")
        server.call("PUT", path, {}, token=None, errcode="M_MISSING_TOKEN", status=401)
        server.call("PUT", path, {}, token="wrong", errcode="M_UNKNOWN_TOKEN", status=401)
        user2.call("PUT", path, {}, errcode="M_FORBIDDEN", status=403)
    for bad in ("-1", HOUR + 1, "x", "1.5", ""):
        stick(user, room, bad, errcode="M_INVALID_PARAM", status=400)
    assert server.call("GET", "/_matrix/client/versions").json()["unstable_features"]["org.matrix.msc4354"] is True


def test_sticky_events_002_the_event_says_how_long(user):
    room = user.create_room()
    since = user.sync()["next_batch"]
    event_id = stick(user, room, 600000)
    views = [user.call("GET", room_path(room, f"event/{quote(event_id)}")).json(),
             next(e for e in timeline(user, room) if e["event_id"] == event_id),
             next(e for e in joined(user.sync(since), room)["timeline"]["events"] if e["event_id"] == event_id),
             next(e for e in joined(user.sync(), room)["timeline"]["events"] if e["event_id"] == event_id)]
    for event in views:
        assert event["msc4354_sticky"] == {"duration_ms": 600000}
        assert 500000 < event["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= 600000
    plain = user.send(room)
    assert "msc4354_sticky" not in user.call("GET", room_path(room, f"event/{quote(plain)}")).json()


def test_sticky_events_003_not_twice_where_the_timeline_has_it(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    event_id = stick(user, room)
    for answer in (user2.sync(since), user2.sync()):
        assert told(answer, room).count(event_id) == 1 and "msc4354_sticky" not in joined(answer, room)


def test_sticky_events_004_told_where_the_timeline_is_too_short(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    first, second = stick(user, room, n=1), stick(user, room, n=2)
    chatter(user, room)
    for answer in (user2.sync(since), user2.sync()):
        assert ids(sticky(answer, room)) == [first, second], "in the order of the stream"
        event = sticky(answer, room)[0]
        assert event["content"]["n"] == 1 and event["msc4354_sticky"] == {"duration_ms": HOUR} and "room_id" not in event
        assert HOUR - 600000 < event["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= HOUR
    again = user2.sync(user2.sync(since)["next_batch"])
    assert told(again, room) == [], "once, then not again"


def test_sticky_events_005_a_filter_of_the_timeline_does_not_hide_them(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    only = limit(10, types=["m.room.message"])
    since = user2.sync(filter=only)["next_batch"]
    event_id = stick(user, room)
    message = user.send(room)
    for answer in (user2.sync(since, filter=only), user2.sync(filter=only)):
        assert ids(sticky(answer, room)) == [event_id]
        assert ids(joined(answer, room)["timeline"]["events"])[-1] == message


def test_sticky_events_006_it_wakes_whoever_waits_with_such_a_filter(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    only = limit(10, types=["m.room.message"])
    since = user2.sync(filter=only)["next_batch"]
    got = []
    waiter = threading.Thread(target=lambda: got.append(user2.sync(since, timeout_ms=20000, filter=only)))
    waiter.start()
    time.sleep(0.5)
    began = time.time()
    event_id = stick(user, room)
    waiter.join()
    assert ids(sticky(got[0], room)) == [event_id] and time.time() - began < 10


def test_sticky_events_007_they_expire(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    short, zero, long = stick(user, room, 3000), stick(user, room, 0), stick(user, room)
    chatter(user, room)
    before = ids(sticky(user2.sync(since), room))
    assert before in ([short, long], [long]) and zero not in before
    time.sleep(3.1)
    assert ids(sticky(user2.sync(since), room)) == [long] == ids(sticky(user2.sync(), room))
    event = user.call("GET", room_path(room, f"event/{quote(short)}")).json()
    assert event["msc4354_sticky"] == {"duration_ms": 3000} and "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]


def test_sticky_events_008_who_joins_is_told_all_of_them_whatever_the_history_visibility(user, user2):
    room = user.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    hidden = user.send(room, "before")
    event_id = stick(user, room)
    since = user2.sync()["next_batch"]
    user2.join(room)
    for answer in (user2.sync(since), user2.sync()):
        assert ids(sticky(answer, room)) == [event_id]
        assert hidden not in told(answer, room)
    user2.call("GET", room_path(room, f"event/{quote(hidden)}"), errcode="M_NOT_FOUND", status=404)


def test_sticky_events_009_nobody_else_is_told(user, user2):
    room = user.create_room(preset="public_chat")
    stick(user, room)
    assert room not in json.dumps(user2.sync())
    user2.join(room)
    user2.leave(room)
    event_id = stick(user, room)
    chatter(user, room)
    assert event_id not in json.dumps(user2.sync())


def test_sticky_events_010_redacted_it_is_like_any_other(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    event_id = stick(user, room)
    user.call("PUT", room_path(room, f"redact/{quote(event_id)}/r1"), {})
    chatter(user, room)
    assert event_id not in told(user2.sync(since), room)
    event = user.call("GET", room_path(room, f"event/{quote(event_id)}")).json()
    assert "msc4354_sticky" not in event and event["content"] == {}


def test_sticky_events_011_of_ignored_users_not(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user.sync()["next_batch"]
    stick(user2, room)
    chatter(user2, room)
    user.call("PUT", f"/_matrix/client/v3/user/{quote(user.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {user2.user_id: {}}})
    chatter(user, room)
    assert sticky(user.sync(since), room) == [] == sticky(user.sync(), room)


def test_sticky_events_012_state_can_be_sticky_too(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    path = room_path(room, f"state/m.test/k?{PARAM}=60000")
    event_id = user.call("PUT", path, {"v": 1}).json()["event_id"]
    chatter(user, room)
    assert ids(sticky(user2.sync(since), room)) == [event_id]


def test_sticky_events_013_a_resend_is_the_same_event(user):
    room = user.create_room()
    assert stick(user, room, txn="one") == stick(user, room, txn="one")
    assert len([e for e in timeline(user, room) if "msc4354_sticky" in e]) == 1


def test_sticky_events_014_later_and_sticky(user, user2):
    """MSC4354: sticky events may be combined with delayed events: it is sticky from its sending on."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    path = room_path(room, f"send/m.test/d1?{PARAM}=60000&org.matrix.msc4140.delay=800")
    user.call("PUT", path, {"n": 9})
    answer = user2.sync_until(lambda a: any("msc4354_sticky" in e for e in joined(a, room).get("timeline", {}).get("events", [])), since)
    chatter(user, room)
    events = sticky(user2.sync(since), room)
    assert [e["content"] for e in events] == [{"n": 9}] and answer
    assert 50000 < events[0]["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= 60000


def test_sticky_events_015_its_sender_knows_it_by_its_transaction(user):
    room = user.create_room()
    since = user.sync()["next_batch"]
    stick(user, room, txn="mine")
    chatter(user, room)
    assert sticky(user.sync(since), room)[0]["unsigned"]["transaction_id"] == "mine"


def test_sticky_events_016_gone_rows_are_deleted(make_server):
    server = make_server("--conf-line", "MatrixCleanupInterval 1s")
    user = server.register()
    room = user.create_room()
    stick(user, room, 500)
    kept = stick(user, room)
    end = time.time() + 20
    while time.time() < end and server.sql("select count(*) from sticky") != [["1"]]:
        time.sleep(0.3)
    assert server.sql("select count(*) from sticky") == [["1"]]
    chatter(user, room)
    assert ids(sticky(user.sync(), room)) == [kept]


def test_sticky_events_017_many_at_once_among_messages(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since = user2.sync()["next_batch"]
    made = []
    threads = [threading.Thread(target=lambda i=i: made.append(stick(user, room, n=i)) if i % 2 else user.send(room, str(i)))
               for i in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer = user2.sync(since, filter=limit(3))
    both = told(answer, room)
    assert set(made) <= set(both) and len(both) == len(set(both))
