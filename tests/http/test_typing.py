# SPDX-License-Identifier: Apache-2.0
"""CS-API: typing notifications."""
import pytest

from harness import V3, quote


def place(room_id, user):
    return f"{V3}/rooms/{quote(room_id)}/typing/{quote(user.user_id)}"


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def typists(answer, room_id):
    told = answer["rooms"]["join"].get(room_id)
    events = [e for e in told["ephemeral"]["events"] if e["type"] == "m.typing"] if told else []
    return events[-1]["content"]["user_ids"] if events else None


def test_typing_001_everybody_in_the_room_is_told(user, user2, room):
    since = user.sync()["next_batch"]
    assert user2.call("PUT", place(room, user2), {"typing": True, "timeout": 30000}).json() == {}
    user.call("PUT", place(room, user), {"typing": True})
    answer = user.sync(since)
    assert sorted(typists(answer, room)) == sorted([user.user_id, user2.user_id])
    assert sorted(typists(user2.sync(), room)) == sorted([user.user_id, user2.user_id])
    user2.call("PUT", place(room, user2), {"typing": False})
    assert typists(user.sync(answer["next_batch"]), room) == [user.user_id]


def test_typing_002_going_on_is_no_news(user, user2, room):
    user2.call("PUT", place(room, user2), {"typing": True, "timeout": 30000})
    since = user.sync()["next_batch"]
    user2.call("PUT", place(room, user2), {"typing": True, "timeout": 30000})
    assert typists(user.sync(since), room) is None
    user2.call("PUT", place(room, user2), {"typing": False})
    user2.call("PUT", place(room, user2), {"typing": False})
    assert typists(user.sync(since), room) == []
    assert typists(user.sync(), room) is None


def test_typing_003_strangers_and_other_users(server, user, user2, new_user, room):
    stranger = new_user()
    stranger.call("PUT", place(room, stranger), {"typing": True}, status=403, errcode="M_FORBIDDEN")
    user.call("PUT", place(room, user2), {"typing": True}, status=403, errcode="M_FORBIDDEN")
    user.call("PUT", place("!nowhere:example.org", user), {"typing": True}, status=403, errcode="M_FORBIDDEN")
    user2.leave(room)
    user2.call("PUT", place(room, user2), {"typing": True}, status=403, errcode="M_FORBIDDEN")
    server.call("PUT", place(room, user), {"typing": True}, status=401, errcode="M_MISSING_TOKEN")
    server.call("PUT", place(room, user), {"typing": True}, token="x", status=401, errcode="M_UNKNOWN_TOKEN")


@pytest.mark.parametrize("body, errcode", [
    ("", "M_NOT_JSON"), ("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), ("{}", "M_MISSING_PARAM"), ('{"typing":1}', "M_BAD_JSON"),
    ('{"typing":true,"timeout":"1"}', "M_BAD_JSON"), ('{"typing":true,"timeout":-1}', None),
])
def test_typing_004_bad_bodies(user, room, body, errcode):
    reply = user.call("PUT", place(room, user), data=body, status=400, errcode=errcode)
    assert reply["errcode"].startswith("M_")


def test_typing_005_bad_ids(user, room):
    user.call("PUT", f"{V3}/rooms/nowhere/typing/{quote(user.user_id)}", {"typing": True}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", f"{V3}/rooms/{quote(room)}/typing/nobody", {"typing": True}, status=400, errcode="M_INVALID_PARAM")


def test_typing_006_an_old_path(user, room):
    user.call("PUT", f"/_matrix/client/r0/rooms/{quote(room)}/typing/{quote(user.user_id)}", {"typing": False})
