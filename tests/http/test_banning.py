# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/ban, POST /rooms/{roomId}/unban."""
import pytest

from harness import quote
from room_calls import R0, V3, count_events, membership, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def ban(user, room_id, target, tail="ban", **expect):
    return user.call("POST", room_path(room_id, tail), {"user_id": target}, **expect)


@pytest.mark.parametrize("base", [R0, V3])
def test_banning_001_bans_and_unbans(user, user2, room, base):
    assert user.call("POST", f"{base}/rooms/{quote(room)}/ban", {"user_id": user2.user_id, "reason": "spam"}).json() == {}
    content = user.get_state(room, "m.room.member", user2.user_id).json()
    assert content["membership"] == "ban" and content["reason"] == "spam"
    user2.call("POST", room_path(room, "join"), {}, status=403, errcode="M_FORBIDDEN")
    assert user.call("POST", f"{base}/rooms/{quote(room)}/unban", {"user_id": user2.user_id, "reason": "enough"}).json() == {}
    assert membership(user, room, user2.user_id) == "leave"
    user2.join(room)


def test_banning_002_who_never_was_there_and_remote_users(user, user2):
    room_id = user.create_room()
    ban(user, room_id, user2.user_id)
    ban(user, room_id, "@spammer:elsewhere.example")
    assert membership(user, room_id, "@spammer:elsewhere.example") == "ban"


def test_banning_003_twice_changes_nothing(user, user2, new_user, room):
    ban(user, room, user2.user_id)
    before = count_events(user.server, room)
    ban(user, room, user2.user_id)
    third = new_user()
    third.join(room)
    ban(third, room, user2.user_id, status=403, errcode="M_FORBIDDEN")
    assert count_events(user.server, room) == before + 1


@pytest.mark.parametrize("version", ["10", "11", "12"])
def test_banning_004_takes_power(user, user2, new_user, version):
    room_id = user.create_room(preset="public_chat", room_version=version)
    third = new_user()
    user2.join(room_id)
    ban(user2, room_id, third.user_id, status=403, errcode="M_FORBIDDEN")
    ban(user2, room_id, user.user_id, status=403, errcode="M_FORBIDDEN")
    ban(third, room_id, user2.user_id, status=403, errcode="M_FORBIDDEN")
    ban(user, room_id, third.user_id)
    ban(user2, room_id, third.user_id, "unban", status=403, errcode="M_FORBIDDEN")
    ban(third, room_id, third.user_id, "unban", status=403, errcode="M_FORBIDDEN")


def test_banning_005_unban_of_one_who_is_not_banned(user, user2, room):
    """CS-API: M_BAD_STATE: "such as attempting to unban a user who is not banned"."""
    before = count_events(user.server, room)
    ban(user, room, user2.user_id, "unban", status=403, errcode="M_BAD_STATE")
    assert count_events(user.server, room) == before and membership(user, room, user2.user_id) == "join"


@pytest.mark.parametrize("tail", ["ban", "unban"])
@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"user_id": []}, "M_BAD_JSON"), ({"user_id": "x"}, "M_INVALID_PARAM"),
    ({"user_id": "@a:b", "reason": 1}, "M_BAD_JSON")])
def test_banning_006_bad_bodies(user, room, tail, body, errcode):
    user.call("POST", room_path(room, tail), body, status=400, errcode=errcode)


def test_banning_007_unknown_room_and_credentials(user, server):
    for tail in ("ban", "unban"):
        user.call("POST", room_path(UNKNOWN_ROOM, tail), {"user_id": user.user_id}, status=404, errcode="M_NOT_FOUND")
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/ban", {"user_id": "@a:b"})
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/unban", {"user_id": "@a:b"})
