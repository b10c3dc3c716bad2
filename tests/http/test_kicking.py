# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/kick."""
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
def test_kicking_001_kicks(user, user2, room, base):
    assert user.call("POST", f"{base}/rooms/{quote(room)}/kick", {"user_id": user2.user_id, "reason": "noise"}).json() == {}
    event = user.get_state(room, "m.room.member", user2.user_id).json()
    assert event["membership"] == "leave" and event["reason"] == "noise"
    user2.join(room)   # a public room stays open to them


def test_kicking_002_takes_an_invitation_back(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    user.call("POST", room_path(room_id, "kick"), {"user_id": user2.user_id})
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_kicking_003_takes_power(user, user2, new_user, version):
    room_id = user.create_room(preset="public_chat", room_version=version)
    third = new_user()
    user2.join(room_id)
    third.join(room_id)
    user2.call("POST", room_path(room_id, "kick"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")
    user2.call("POST", room_path(room_id, "kick"), {"user_id": user.user_id}, status=403, errcode="M_FORBIDDEN")


def test_kicking_004_who_is_not_there(user, user2, new_user, room):
    third = new_user()
    before = count_events(user.server, room)
    user.call("POST", room_path(room, "kick"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")
    third.call("POST", room_path(room, "kick"), {"user_id": user2.user_id}, status=403, errcode="M_FORBIDDEN")
    user2.leave(room)
    user.call("POST", room_path(room, "kick"), {"user_id": user2.user_id}, status=403, errcode="M_FORBIDDEN")
    assert count_events(user.server, room) == before + 1


def test_kicking_005_does_not_lift_a_ban(user, user2, room):
    user.call("POST", room_path(room, "ban"), {"user_id": user2.user_id})
    user.call("POST", room_path(room, "kick"), {"user_id": user2.user_id}, status=403, errcode="M_FORBIDDEN")
    assert membership(user, room, user2.user_id) == "ban"


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"user_id": 1}, "M_BAD_JSON"), ({"user_id": "x"}, "M_INVALID_PARAM"),
    ({"user_id": "@a:b", "reason": []}, "M_BAD_JSON")])
def test_kicking_006_bad_bodies(user, room, body, errcode):
    user.call("POST", room_path(room, "kick"), body, status=400, errcode=errcode)


def test_kicking_007_unknown_room_and_credentials(user, server):
    user.call("POST", room_path(UNKNOWN_ROOM, "kick"), {"user_id": user.user_id}, status=404, errcode="M_NOT_FOUND")
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/kick", {"user_id": "@a:b"})
