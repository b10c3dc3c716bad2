# SPDX-License-Identifier: Apache-2.0
"""CS-API: receipts."""
import pytest

from harness import V3, quote


def place(room_id, event_id, type="m.read"):
    return f"{V3}/rooms/{quote(room_id)}/receipt/{quote(type)}/{quote(event_id)}"


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def receipts(answer, room_id):
    """(event, type, user, thread) of all that is told."""
    told = answer["rooms"]["join"].get(room_id)
    return {(event_id, type, user_id, data.get("thread_id"))
            for e in (told["ephemeral"]["events"] if told else []) if e["type"] == "m.receipt"
            for event_id, types in e["content"].items() for type, users in types.items() for user_id, data in users.items()}


def threaded(user, room, root):
    return user.send(room, content={"msgtype": "m.text", "body": "t", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})


def test_receipts_001_a_receipt_moves(user, user2, room):
    one, two = user.send(room, "one"), user.send(room, "two")
    for event_id in (one, two):
        since = user.sync()["next_batch"]
        assert user2.call("POST", place(room, event_id), {}).json() == {}
        assert receipts(user.sync(since, 2000), room) == {(event_id, "m.read", user2.user_id, None)}
    assert receipts(user.sync(), room) == {(two, "m.read", user2.user_id, None)}


def test_receipts_002_an_empty_body_and_the_old_path(user2, user, room):
    event_id = user.send(room)
    user2.call("POST", f"/_matrix/client/r0/rooms/{quote(room)}/receipt/m.read/{quote(event_id)}")
    assert receipts(user.sync(), room) == {(event_id, "m.read", user2.user_id, None)}


def test_receipts_003_threads_have_receipts_of_their_own(user, user2, room):
    """CS-API: threaded read receipts."""
    root, plain = user.send(room, "root"), user.send(room, "plain")
    reply = threaded(user, room, root)
    reaction = user.send(room, type="m.reaction", content={"m.relates_to": {"rel_type": "m.annotation", "event_id": reply, "key": "x"}})
    since = user.sync()["next_batch"]
    user2.call("POST", place(room, plain), {"thread_id": "main"})
    user2.call("POST", place(room, reply), {"thread_id": root})
    user2.call("POST", place(room, plain), {})
    wanted = {(plain, "m.read", user2.user_id, "main"), (reply, "m.read", user2.user_id, root), (plain, "m.read", user2.user_id, None)}
    assert receipts(user.sync(since), room) == wanted and receipts(user.sync(), room) == wanted
    user2.call("POST", place(room, reaction), {"thread_id": root})
    user2.call("POST", place(room, root), {"thread_id": root})
    user2.call("POST", place(room, root), {"thread_id": "main"})


@pytest.mark.parametrize("body", [{"thread_id": ""}, {"thread_id": 1}, {"thread_id": None}, {"thread_id": "x"}, {"thread_id": "$elsewhere"}])
def test_receipts_004_bad_threads(user, room, body):
    """CS-API: POST receipt: 400"""
    user.call("POST", place(room, user.send(room)), body, status=400, errcode="M_INVALID_PARAM")
    assert receipts(user.sync(), room) == set()


def test_receipts_005_an_event_that_is_not_in_the_thread(user, room):
    root = user.send(room, "root")
    reply = threaded(user, room, root)
    user.call("POST", place(room, reply), {"thread_id": "main"}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", place(room, user.send(room)), {"thread_id": root}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", place(room, reply, "m.fully_read"), {"thread_id": root}, status=400, errcode="M_INVALID_PARAM")


def test_receipts_006_fully_read_is_the_read_marker(user, user2, room):
    event_id = user.send(room)
    since = user.sync()["next_batch"]
    user.call("POST", place(room, event_id, "m.fully_read"), {})
    told = user.sync(since)["rooms"]["join"][room]
    assert told["account_data"]["events"] == [{"type": "m.fully_read", "content": {"event_id": event_id}}]
    assert told["ephemeral"]["events"] == [] and room not in user2.sync(since)["rooms"]["join"]


def test_receipts_007_a_private_one_wakes_nobody_else(user, user2, room):
    event_id = user.send(room)
    since = user.sync()["next_batch"]
    user2.call("POST", place(room, event_id, "m.read.private"), {})
    assert receipts(user2.sync(since), room) == {(event_id, "m.read.private", user2.user_id, None)}
    assert user.sync(since, 700)["rooms"]["join"] == {}


def test_receipts_008_bad_types_ids_and_events(user, room):
    event_id, other = user.send(room), user.create_room()
    user.call("POST", place(room, event_id, "m.seen"), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", place(room, "nothing"), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", place("nowhere", event_id), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", place(room, "$unknown:example.org"), {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", place(other, event_id), {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", place(room, event_id), data="[]", status=400, errcode="M_BAD_JSON")


def test_receipts_009_strangers_and_credentials(server, user, new_user, room):
    event_id = user.send(room)
    new_user().call("POST", place(room, event_id), {}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", place("!nowhere:example.org", event_id), {}, status=403, errcode="M_FORBIDDEN")
    server.call("POST", place(room, event_id), {}, status=401, errcode="M_MISSING_TOKEN")
    server.call("POST", place(room, event_id), {}, token="x", status=401, errcode="M_UNKNOWN_TOKEN")
