# SPDX-License-Identifier: Apache-2.0
# MSC4140: cancellable delayed events, under org.matrix.msc4140
import os
import signal
import threading
import time

import pytest
from accounts import with_password
from harness import V3, quote
from room_calls import room_path, state_of, timeline

BASE = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events"
ROOMS = "/_matrix/client/unstable/org.matrix.msc4140/rooms"
HOUR = 3600000
LATE = 2.0         # seconds that a loaded machine may add


def delay(user, room, delay_ms, body="later", txn=None, **expect):
    txn = txn or f"t{time.time_ns()}"
    answer = user.call("PUT", room_path(room, f"send/m.room.message/{txn}?org.matrix.msc4140.delay={delay_ms}"),
                       {"msgtype": "m.text", "body": body}, **expect)
    return answer.json().get("delay_id")


def delay_state(user, room, delay_ms, value, key="k", **expect):
    path = room_path(room, f"state/m.test/{key}?org.matrix.msc4140.delay={delay_ms}")
    return user.call("PUT", path, {"v": value}, **expect).json().get("delay_id")


def act(user, delay_id, action, **expect):
    return user.call("POST", f"{BASE}/{delay_id}/{action}", {}, **expect)


def one(user, delay_id, **expect):
    return user.call("GET", f"{BASE}/{delay_id}", **expect).json()


def pending(user):
    return [e["delay_id"] for e in user.call("GET", BASE).json()["delayed_events"]]


def bodies(user, room):
    return [e["content"].get("body") for e in timeline(user, room) if e["type"] == "m.room.message"]


def finalised(user, delay_id, seconds=10):
    end = time.time() + seconds
    while time.time() < end:
        got = one(user, delay_id)
        if "finalised_ts" in got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"still scheduled after {seconds} s: {got}")


def test_delayed_events_001_strangers_and_other_users_are_refused(server, user, user2):
    room = user.create_room()
    delay_id = delay(user, room, HOUR)
    calls = [("GET", BASE), ("GET", f"{BASE}/{delay_id}"), ("POST", f"{BASE}/{delay_id}"), ("POST", f"{BASE}/{delay_id}/cancel"),
             ("POST", f"{BASE}/{delay_id}/restart"), ("POST", f"{BASE}/{delay_id}/send"),
             ("PUT", f"{ROOMS}/{quote(room)}/delayed_event/m.test/1")]
    for method, path in calls:
        server.call(method, path, {}, token=None, errcode="M_MISSING_TOKEN", status=401)
        server.call(method, path, {}, token="wrong", errcode="M_UNKNOWN_TOKEN", status=401)
    assert pending(user2) == []
    one(user2, delay_id, errcode="M_NOT_FOUND", status=404)
    for action in ("cancel", "restart", "send"):
        act(user2, delay_id, action, errcode="M_NOT_FOUND", status=404)
        user2.call("POST", f"{BASE}/{delay_id}", {"action": action}, errcode="M_NOT_FOUND", status=404)
        act(user, "unknown", action, errcode="M_NOT_FOUND", status=404)
    assert pending(user) == [delay_id] and bodies(user, room) == []


def test_delayed_events_002_a_message_is_sent_at_its_time_and_never_before(user):
    room = user.create_room()
    before = time.time()
    delay_id = delay(user, room, 700)
    assert bodies(user, room) == [] and pending(user) == [delay_id]
    got = finalised(user, delay_id)
    event = next(e for e in timeline(user, room) if e["event_id"] == got["event_id"])
    assert event["content"]["body"] == "later" and event["sender"] == user.user_id
    assert before * 1000 + 700 - 1 <= event["origin_server_ts"] <= before * 1000 + 700 + LATE * 1000
    assert got["finalised_ts"] >= got["scheduled_at"] + got["delay_ms"] and pending(user) == []


def test_delayed_events_003_a_scheduled_one_is_told_with_all_its_fields(user):
    room = user.create_room()
    first = delay(user, room, HOUR)
    second = delay_state(user, room, HOUR // 2, 7)
    events = user.call("GET", BASE).json()["delayed_events"]
    assert [e["delay_id"] for e in events] == [second, first], "in the order of their times"
    assert all(abs(e.pop("scheduled_at") - time.time() * 1000) < 20000 and e.pop("running_since") for e in events)
    assert events[0] == {"delay_id": second, "room_id": room, "type": "m.test", "state_key": "k", "delay_ms": HOUR // 2,
                         "delay": HOUR // 2, "content": {"v": 7}}
    assert events[1] == {"delay_id": first, "room_id": room, "type": "m.room.message", "delay_ms": HOUR, "delay": HOUR,
                         "content": {"msgtype": "m.text", "body": "later"}}
    assert {k: v for k, v in one(user, second).items() if k not in ("scheduled_at", "running_since")} == events[0]


def test_delayed_events_004_cancelled_is_never_sent(user):
    room = user.create_room()
    delay_id = delay(user, room, 600)
    act(user, delay_id, "cancel")
    got = one(user, delay_id)
    assert "finalised_ts" in got and "event_id" not in got and "error" not in got and pending(user) == []
    act(user, delay_id, "cancel")     # again: it is so
    for action in ("send", "restart"):
        act(user, delay_id, action, errcode="M_UNKNOWN", status=409)
    time.sleep(1)
    assert bodies(user, room) == []


def test_delayed_events_005_sent_now_by_order(user):
    room = user.create_room()
    delay_id = delay(user, room, HOUR)
    assert act(user, delay_id, "send").json() == {}
    got = one(user, delay_id)
    assert got["finalised_ts"] < got["scheduled_at"] + got["delay_ms"] and bodies(user, room) == ["later"]
    act(user, delay_id, "send")
    for action in ("cancel", "restart"):
        act(user, delay_id, action, errcode="M_UNKNOWN", status=409)
    assert bodies(user, room) == ["later"]


def test_delayed_events_006_restarts_push_the_time_away(user):
    room = user.create_room()
    delay_id = delay(user, room, 1500)
    for _ in range(4):
        time.sleep(0.5)
        act(user, delay_id, "restart")
    assert bodies(user, room) == []
    restarted = one(user, delay_id)["scheduled_at"]
    got = finalised(user, delay_id)
    assert restarted + 1500 <= got["finalised_ts"] <= restarted + 1500 + LATE * 1000
    assert bodies(user, room) == ["later"]


def test_delayed_events_007_the_older_form_names_the_action_in_the_body(user):
    room = user.create_room()
    delay_id = delay(user, room, HOUR)
    user.call("POST", f"{BASE}/{delay_id}", {}, errcode="M_MISSING_PARAM", status=400)
    user.call("POST", f"{BASE}/{delay_id}", {"action": "stop"}, errcode="M_INVALID_PARAM", status=400)
    user.call("POST", f"{BASE}/{delay_id}", {"action": 1}, errcode="M_BAD_JSON", status=400)
    user.call("POST", f"{BASE}/{delay_id}", {"action": "restart"})
    user.call("POST", f"{BASE}/{delay_id}", {"action": "send"})
    assert bodies(user, room) == ["later"]
    other = delay(user, room, HOUR)
    user.call("POST", f"{BASE}/{other}", {"action": "cancel"})
    assert pending(user) == []


def test_delayed_events_008_the_endpoint_of_its_own(user):
    room = user.create_room()

    def put(body, txn="1", **expect):
        return user.call("PUT", f"{ROOMS}/{quote(room)}/delayed_event/m.test/{txn}", body, **expect).json()
    put({"content": {}}, errcode="M_MISSING_PARAM", status=400)
    put({"delay_ms": 5}, errcode="M_MISSING_PARAM", status=400)
    for bad in ({"delay_ms": "5", "content": {}}, {"delay_ms": 5, "content": 1}, {"delay_ms": 5, "content": {}, "state_key": 1}):
        put(bad, errcode="M_BAD_JSON", status=400)
    for bad in (0, -1):
        put({"delay_ms": bad, "content": {}}, errcode="M_INVALID_PARAM", status=400)
    message = put({"delay_ms": HOUR, "content": {"a": 1}})["delay_id"]
    state = put({"delay_ms": HOUR, "content": {"a": 2}, "state_key": "s"}, txn="2")["delay_id"]
    assert put({"delay_ms": HOUR, "content": {"a": 1}})["delay_id"] == message, "the same transaction is the same event"
    assert "state_key" not in one(user, message) and one(user, state)["state_key"] == "s"
    act(user, message, "send")
    act(user, state, "send")
    assert state_of(user, room)[("m.test", "s")] == {"a": 2}
    assert [e["content"] for e in timeline(user, room) if e["type"] == "m.test"] == [{"a": 1}, {"a": 2}]


def test_delayed_events_009_a_transaction_schedules_once(user):
    room, other = user.create_room(), user.create_room()
    first = delay(user, room, HOUR, txn="same")
    assert delay(user, room, HOUR, txn="same") == first
    assert delay(user, other, HOUR, txn="same") != first, "another room is another endpoint"
    act(user, first, "cancel")
    assert delay(user, room, HOUR, txn="same") == first, "still the same when it has ended"


def test_delayed_events_010_what_could_never_be_an_event_is_refused_at_once(user):
    room = user.create_room()
    for bad in ("0", "-5", "x", "1.5", ""):
        delay(user, room, bad, errcode="M_INVALID_PARAM", status=400)
    delay(user, "!nowhere:" + user.user_id.split(":", 1)[1], 1000, errcode="M_NOT_FOUND", status=404)
    delay(user, "nowhere", 1000, errcode="M_INVALID_PARAM", status=400)
    path = room_path(room, "state/m.room.member/nobody?org.matrix.msc4140.delay=5000")
    user.call("PUT", path, {"membership": "join"}, errcode="M_INVALID_PARAM", status=400)
    path = room_path(room, "send/m.test/1?org.matrix.msc4140.delay=5000")
    user.call("PUT", path, {"n": 1.5}, errcode="M_BAD_JSON", status=400)
    user.call("PUT", path, {"n": "x" * 70000}, errcode="M_TOO_LARGE", status=413)
    user.call("PUT", path, data=b"[]", errcode="M_BAD_JSON", status=400)
    user.call("PUT", path, data=b"{", errcode="M_NOT_JSON", status=400)
    assert pending(user) == []


def test_delayed_events_011_rules_are_those_of_the_time_of_sending(user, user2):
    room = user.create_room(preset="public_chat")
    early = delay(user2, room, HOUR)       # not in the room yet: nobody minds
    lost = delay(user2, room, 900)
    act(user2, early, "send", errcode="M_FORBIDDEN", status=403)
    assert pending(user2) == [lost, early], "what cannot be sent by order stays scheduled"
    got = finalised(user2, lost)
    assert got["error"]["errcode"] == "M_FORBIDDEN" and "event_id" not in got
    act(user2, lost, "cancel")             # that is how it ended
    act(user2, lost, "send", errcode="M_UNKNOWN", status=409)
    user2.join(room)
    act(user2, early, "send")
    assert bodies(user, room) == ["later"]


def test_delayed_events_012_a_state_event_is_set_and_not_cancelled_by_a_newer_one(user, user2):
    """The text leaves conflicts of delayed state to a future proposal: the delayed event overwrites."""
    room = user.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    user2.join(room)
    delay_id = delay_state(user, room, 1000, "old")
    user2.put_state(room, "m.test", {"v": "new"}, "k")
    assert pending(user) == [delay_id]
    finalised(user, delay_id)
    assert user.get_state(room, "m.test", "k").json() == {"v": "old"}


def test_delayed_events_013_memberships_and_redactions_go_their_own_way(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    said = user2.send(room, "gone soon")
    path = room_path(room, f"send/m.room.redaction/r1?org.matrix.msc4140.delay={HOUR}")
    redaction = user.call("PUT", path, {"redacts": said}).json()["delay_id"]
    path = room_path(room, f"state/m.room.member/{quote(user2.user_id)}?org.matrix.msc4140.delay={HOUR}")
    kick = user.call("PUT", path, {"membership": "leave"}).json()["delay_id"]
    act(user, redaction, "send")
    act(user, kick, "send")
    assert user.call("GET", room_path(room, f"event/{quote(said)}")).json()["content"] == {}
    assert state_of(user, room)[("m.room.member", user2.user_id)]["membership"] == "leave"


def test_delayed_events_014_only_the_sender_is_told_the_delay_id(server, user, user2):
    """MSC4140: delay_id in unsigned event data."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    phone = server.login(user.user_id)
    since = {u: u.sync()["next_batch"] for u in (user, phone, user2)}
    delay_id = delay(user, room, HOUR)
    act(user, delay_id, "send")
    event_id = one(user, delay_id)["event_id"]

    def seen(u, **query):
        events = u.sync(**query)["rooms"]["join"][room]["timeline"]["events"]
        return next(e for e in events if e["event_id"] == event_id)["unsigned"]
    for reader in (user, phone, user2):
        for unsigned in (seen(reader, since=since[reader]), seen(reader),
                         reader.call("GET", room_path(room, f"event/{quote(event_id)}")).json()["unsigned"]):
            assert unsigned.get("org.matrix.msc4140.delay_id") == (None if reader is user2 else delay_id)
            assert "transaction_id" not in unsigned


def test_delayed_events_015_limits_are_told_and_kept(make_server):
    server = make_server("--conf-line", "MatrixMaxDelayedEvents 3", "--conf-line", "MatrixMaxEventDelay 1h")
    user, other = server.register(), server.register()
    room = user.create_room(preset="public_chat")
    other.join(room)
    told = user.call("GET", V3 + "/capabilities").json()["capabilities"]["org.matrix.msc4140.delayed_events"]
    assert told == {"max_delay_ms": HOUR, "max_scheduled": 3}
    assert server.call("GET", "/_matrix/client/versions").json()["unstable_features"]["org.matrix.msc4140"] is True
    told = {"org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED", "org.matrix.msc4140.max_delay": HOUR}
    refused = user.call("PUT", f"{ROOMS}/{quote(room)}/delayed_event/m.test/1", {"delay_ms": HOUR + 1, "content": {}},
                        errcode="M_FORBIDDEN", status=403).json()
    assert {k: v for k, v in refused.items() if k not in ("errcode", "error")} == told
    older = room_path(room, f"send/m.test/1?org.matrix.msc4140.delay={HOUR + 1}")
    refused = user.call("PUT", older, {}, errcode="M_UNKNOWN", status=400).json()
    assert {k: v for k, v in refused.items() if k not in ("errcode", "error")} == told, "what clients of that form look for"
    ids = [delay(user, room, HOUR - i) for i in range(3)]
    refused = user.call("PUT", room_path(room, f"send/m.test/x?org.matrix.msc4140.delay={HOUR}"), {}, errcode="M_LIMIT_EXCEEDED",
                        status=429)
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert delay(other, room, HOUR), "others are not concerned"
    act(user, ids[0], "cancel")
    assert delay(user, room, HOUR)
    made = []
    threads = [threading.Thread(target=lambda: made.append(other.call("PUT", room_path(
        room, f"send/m.test/{time.time_ns()}?org.matrix.msc4140.delay={HOUR}"), {}, status=None))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pending(other)) == 3, "no more by asking at the same time"


def test_delayed_events_016_none_where_none_are_allowed(make_server):
    server = make_server("--conf-line", "MatrixMaxDelayedEvents 0")
    user = server.register()
    room = user.create_room()
    delay(user, room, 1000, errcode="M_FORBIDDEN", status=403)
    assert server.call("GET", "/_matrix/client/versions").json()["unstable_features"]["org.matrix.msc4140"] is False
    assert "org.matrix.msc4140.delayed_events" not in user.call("GET", V3 + "/capabilities").json()["capabilities"]


def test_delayed_events_017_they_outlive_the_device_but_not_the_account(server, user2):
    user = server.register()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    phone = server.login(user.user_id)
    delay(phone, room, 1200, body="from the phone")
    phone.call("POST", V3 + "/logout", {})
    kept = delay(user, room, HOUR)
    user2.sync_until(lambda answer: "from the phone" in str(answer))
    assert pending(user) == [kept]
    with_password(user, "POST", V3 + "/account/deactivate", {})
    assert server.sql(f"select count(*) from delayed_event where delay_id = '{kept}'") == [["0"]]


def test_delayed_events_018_many_of_one_moment_come_in_their_order(user):
    room = user.create_room()
    ids = [delay(user, room, 2000 + 5 * i, body=str(i)) for i in range(20)]
    for delay_id in ids:
        finalised(user, delay_id)
    order = sorted(ids, key=lambda d: one(user, d)["scheduled_at"] + one(user, d)["delay_ms"])
    assert bodies(user, room) == [one(user, d)["content"]["body"] for d in order]


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_delayed_events_019_nothing_is_lost_or_doubled_by_killed_children(make_server):
    """Two children, each killed again and again while events become due: every one is sent once."""
    server = make_server("--children", "2", "--conf-line", "MatrixTaskLease 2s")
    server.log.expect("MX03", "AH00052", "AH00050", "exit signal")
    user = server.register()
    room = user.create_room()
    ids = {delay(user, room, 1500 + 100 * i, body=str(i)): str(i) for i in range(30)}
    end = time.time() + 4
    while time.time() < end:
        kill(server.children()[0])
        time.sleep(0.7)
    # what a killed child had in hand is tried again a minute after it took it
    server.sql("update delayed_event set attempt_ts = 0 where attempting and finalised_ts is null")
    for delay_id in ids:
        assert "event_id" in finalised(user, delay_id, 60)
    assert sorted(bodies(user, room)) == sorted(ids.values())


def test_delayed_events_020_a_server_that_was_down_catches_up_without_being_asked(make_server):
    server = make_server("--children", "1")
    user = server.register()
    room = user.create_room()
    ids = [delay(user, room, ms, body=str(ms)) for ms in (1800, 1500, 1600)]
    later = delay(user, room, HOUR)
    server.down()
    time.sleep(2)
    server.up()
    end = time.time() + 20
    rows = []
    while time.time() < end and len(rows) < 3:
        rows = server.sql("select delay_id from delayed_event where event_id is not null order by finalised_ts")
        time.sleep(0.2)
    assert [row[0] for row in rows] == [ids[1], ids[2], ids[0]], "in the order of their times, before any request"
    assert bodies(user, room) == ["1500", "1600", "1800"] and pending(user) == [later]


def test_delayed_events_021_orders_at_the_same_time_send_once(make_server):
    server = make_server("--children", "2")
    user = server.register()
    room = user.create_room()
    for n in range(10):
        delay_id = delay(user, room, 400, body=str(n))
        time.sleep(0.38)
        answers = []
        threads = [threading.Thread(target=lambda a=action: answers.append((a, act(user, delay_id, a, status=None).status_code)))
                   for action in ("send", "cancel", "send", "restart")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = finalised(user, delay_id)
        assert set(s for _, s in answers) <= {200, 409}
        assert bodies(user, room).count(str(n)) == ("event_id" in got)
        sent = [s for a, s in answers if a == "send"]
        assert ("cancel", 200) not in answers or "event_id" not in got, "cancelled and sent"
        assert "event_id" in got or 409 in sent or 200 not in sent


@pytest.mark.parametrize("ms", [300, 1000, 2500])
def test_delayed_events_022_precise(user, ms):
    room = user.create_room()
    late = []
    for _ in range(5):
        delay_id = delay(user, room, ms)
        got = finalised(user, delay_id)
        late.append(got["finalised_ts"] - got["scheduled_at"] - ms)
    assert min(late) >= 0 and sorted(late)[2] < 250, late
