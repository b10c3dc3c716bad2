# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/leave, POST /rooms/{roomId}/forget."""
import pytest

from harness import quote
from room_calls import R0, V3, count_events, membership, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


@pytest.mark.parametrize("base", [R0, V3])
def test_leaving_001_leaves(user, user2, room, base):
    assert user2.call("POST", f"{base}/rooms/{quote(room)}/leave", {"reason": "bye"}).json() == {}
    content = user.get_state(room, "m.room.member", user2.user_id).json()
    assert content["membership"] == "leave" and content["reason"] == "bye"
    assert room not in user2.call("GET", f"{V3}/joined_rooms")["joined_rooms"]


def test_leaving_002_an_invitation_is_declined(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    user2.call("POST", room_path(room_id, "leave"), data=b"")
    assert membership(user, room_id, user2.user_id) == "leave"
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")


def test_leaving_003_a_room_that_was_left_before(user, user2, room):
    user2.leave(room)
    before = count_events(user.server, room)
    user2.leave(room)
    assert count_events(user.server, room) == before


def test_leaving_004_a_room_one_never_was_in(user, user2):
    user2.call("POST", room_path(user.create_room(), "leave"), {}, status=403, errcode="M_FORBIDDEN")
    user2.call("POST", room_path(UNKNOWN_ROOM, "leave"), {}, status=404, errcode="M_NOT_FOUND")
    user2.call("POST", f"{V3}/rooms/nonsense/leave", {}, status=400, errcode="M_INVALID_PARAM")


def test_leaving_005_the_banned_stay_banned(user, user2, room):
    user.call("POST", room_path(room, "ban"), {"user_id": user2.user_id})
    user2.call("POST", room_path(room, "leave"), {}, status=403, errcode="M_FORBIDDEN")
    assert membership(user, room, user2.user_id) == "ban"


def test_leaving_006_bad_bodies(user2, room):
    user2.call("POST", room_path(room, "leave"), {"reason": {}}, status=400, errcode="M_BAD_JSON")
    user2.call("POST", room_path(room, "leave"), data=b"{", status=400, errcode="M_NOT_JSON")


@pytest.mark.parametrize("base", [R0, V3])
def test_leaving_007_forget_takes_the_history_away(user, user2, room, base):
    user.send(room, "before")
    user2.leave(room)
    user2.call("GET", room_path(room, "messages?dir=b"))
    assert user2.call("POST", f"{base}/rooms/{quote(room)}/forget", {}).json() == {}
    user2.call("GET", room_path(room, "messages?dir=b"), status=403, errcode="M_FORBIDDEN")
    user2.call("GET", room_path(room, "members"), status=403, errcode="M_FORBIDDEN")
    user2.call("POST", f"{base}/rooms/{quote(room)}/forget", data=b"")
    user2.join(room)
    user2.call("GET", room_path(room, "messages?dir=b"))
    user2.leave(room)
    user2.call("GET", room_path(room, "messages?dir=b"))


def test_leaving_008_forget_wants_one_who_left(user, user2, room):
    user2.call("POST", room_path(room, "forget"), {}, status=400, errcode="M_UNKNOWN")
    invited = user.create_room(invite=[user2.user_id])
    user2.call("POST", room_path(invited, "forget"), {}, status=400, errcode="M_UNKNOWN")
    user2.call("POST", room_path(UNKNOWN_ROOM, "forget"), {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", room_path(room, "ban"), {"user_id": user2.user_id})
    user2.call("POST", room_path(room, "forget"), {})


def test_leaving_009_credentials(server):
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/leave", {})
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/forget", {})


def test_leaving_010_deactivation_leaves_all_rooms(user, user2, room):
    invited = user.create_room(invite=[user2.user_id])
    body = {"auth": {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user2.user_id}, "password": user2.password}}
    session = user2.call("POST", f"{V3}/account/deactivate", {}, status=401).json()["session"]
    body["auth"]["session"] = session
    user2.call("POST", f"{V3}/account/deactivate", body)
    assert membership(user, room, user2.user_id) == "leave"
    assert membership(user, invited, user2.user_id) == "leave"
