# SPDX-License-Identifier: Apache-2.0
"""PUT /rooms/{roomId}/send/{eventType}/{txnId}. CS-API: sending events to a room."""
import threading

import pytest

from harness import V3, quote

TEXT = {"msgtype": "m.text", "body": "hello"}


def path(room, txn, type="m.room.message", version="v3"):
    return f"/_matrix/client/{version}/rooms/{quote(room)}/send/{quote(type)}/{quote(txn)}"


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat")


def event(user, room, event_id):
    return user.call("GET", f"{V3}/rooms/{quote(room)}/event/{quote(event_id)}").json()


@pytest.mark.parametrize("version", ["r0", "v3"])
def test_room_send_001_an_event_gets_an_id_and_can_be_read(user, room, version):
    event_id = user.call("PUT", path(room, "1", version=version), TEXT)["event_id"]
    assert len(event_id) == 44 and event_id[0] == "$"
    got = event(user, room, event_id)
    assert got["content"] == TEXT and got["sender"] == user.user_id and got["type"] == "m.room.message" and got["room_id"] == room
    assert got["unsigned"]["transaction_id"] == "1" and got["unsigned"]["age"] >= 0


def test_room_send_002_a_transaction_id_is_good_once(user, room):
    """CS-API: transaction identifiers."""
    first = user.call("PUT", path(room, "x"), TEXT)["event_id"]
    assert user.call("PUT", path(room, "x"), TEXT)["event_id"] == first
    assert user.call("PUT", path(room, "x", version="r0"), {"body": "other"})["event_id"] == first
    assert user.call("PUT", path(room, "y"), TEXT)["event_id"] != first


def test_room_send_003_the_scope_is_device_room_and_type(server, user, room):
    other_room = user.create_room()
    again = server.login(user.user_id)
    ids = {who.call("PUT", path(where, "x", type), TEXT)["event_id"]
           for who in (user, again) for where in (room, other_room) for type in ("m.room.message", "org.example")}
    assert len(ids) == 8


def test_room_send_004_two_resends_at_once_are_one_event(user, room):
    ids = []
    barrier = threading.Barrier(8)

    def send():
        barrier.wait()
        ids.append(user.call("PUT", path(room, "same"), TEXT)["event_id"])
    threads = [threading.Thread(target=send) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(ids) == 8 and len(set(ids)) == 1
    chunk = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=50")["chunk"]
    assert [e["event_id"] for e in chunk if e["type"] == "m.room.message"] == ids[:1]


def test_room_send_005_only_members_may(user, user2, room):
    user2.call("PUT", path(room, "1"), TEXT, status=403, errcode="M_FORBIDDEN")
    user2.join(room)
    user2.call("PUT", path(room, "1"), TEXT)
    user2.leave(room)
    user2.call("PUT", path(room, "2"), TEXT, status=403, errcode="M_FORBIDDEN")


def test_room_send_006_power_levels_are_obeyed(user, user2, room):
    user2.join(room)
    levels = user.get_state(room, "m.room.power_levels").json()
    levels["events"] = {**levels.get("events", {}), "org.example.high": 60}
    user.put_state(room, "m.room.power_levels", levels)
    user2.call("PUT", path(room, "1", "org.example.high"), TEXT, status=403, errcode="M_FORBIDDEN")
    user.call("PUT", path(room, "1", "org.example.high"), TEXT)


@pytest.mark.parametrize("content, status, errcode", [
    ({"n": 1.5}, 400, "M_BAD_JSON"), ({"n": {"m": [2 ** 53]}}, 400, "M_BAD_JSON"), ([], 400, "M_BAD_JSON"),
    ({"body": "x" * 65536}, 413, "M_TOO_LARGE"), ({"body": "é" * 32700}, 413, "M_TOO_LARGE"),
])
def test_room_send_007_what_no_event_can_hold(user, room, content, status, errcode):
    user.call("PUT", path(room, "1"), content, status=status, errcode=errcode)
    chunk = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=50")["chunk"]
    assert not [e for e in chunk if e["type"] == "m.room.message"]


@pytest.mark.parametrize("txn, type, status, errcode", [
    ("x" * 256, "m.room.message", 400, "M_INVALID_PARAM"), ("", "m.room.message", 400, "M_INVALID_PARAM"),
    ("1", "x" * 256, 413, "M_TOO_LARGE"), ("1", "", 400, "M_INVALID_PARAM"),
])
def test_room_send_008_what_no_path_can_hold(user, room, txn, type, status, errcode):
    user.call("PUT", path(room, txn, type), TEXT, status=status, errcode=errcode)


def test_room_send_009_strange_names_come_back_as_they_were_sent(user, room):
    type, txn = "org/éx ample?#%\U0001f600", "a/b c%2F\U0001f600"
    event_id = user.call("PUT", path(room, txn, type), {"k\u0001\"\\": "\u0000\u001f\u2028", "a": [True, None, -5]})["event_id"]
    got = event(user, room, event_id)
    assert got["type"] == type and got["unsigned"]["transaction_id"] == txn
    assert got["content"] == {"k\u0001\"\\": "\u0000\u001f\u2028", "a": [True, None, -5]}


def test_room_send_010_a_room_that_is_none(user):
    user.call("PUT", path("!nowhere:" + user.server.server_name, "1"), TEXT, status=404, errcode="M_NOT_FOUND")
    user.call("PUT", path("nowhere", "1"), TEXT, status=400, errcode="M_INVALID_PARAM")


def test_room_send_011_many_at_once_are_all_there_in_one_order(user, room):
    ids = []

    def send(n):
        for i in range(10):
            ids.append(user.send(room, f"{n}-{i}", txn=f"{n}-{i}"))
    threads = [threading.Thread(target=send, args=(n,)) for n in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    target = f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=100"
    page = user.call("GET", target).json()
    chunk = page["chunk"] + user.call("GET", f"{target}&from={page['end']}")["chunk"]
    seen = [e for e in chunk if e["type"] == "m.room.message"]
    assert sorted(e["event_id"] for e in seen) == sorted(ids) and len(set(ids)) == 120
    for n in range(12):   # what one client sends after an answer comes after it
        mine = [e["content"]["body"] for e in reversed(seen) if e["content"]["body"].startswith(f"{n}-")]
        assert mine == [f"{n}-{i}" for i in range(10)]


def test_room_send_012_no_token_or_a_wrong_one(user, room):
    user.call("PUT", path(room, "1"), TEXT, token=None, status=401, errcode="M_MISSING_TOKEN")
    user.call("PUT", path(room, "1"), TEXT, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
