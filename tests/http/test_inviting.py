# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/invite."""
import pytest

from harness import quote
from room_calls import R0, V3, count_events, membership, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


@pytest.mark.parametrize("base", [R0, V3])
def test_inviting_001_invites(user, user2, base):
    room_id = user.create_room()
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Zwei"})
    assert user.call("POST", f"{base}/rooms/{quote(room_id)}/invite", {"user_id": user2.user_id, "reason": "come"}).json() == {}
    content = user.get_state(room_id, "m.room.member", user2.user_id).json()
    assert content == {"membership": "invite", "displayname": "Zwei", "reason": "come"}


def test_inviting_002_again_changes_nothing(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    before = count_events(user.server, room_id)
    user.invite(room_id, user2.user_id)
    assert count_events(user.server, room_id) == before


def test_inviting_003_who_is_in_or_banned(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    user.call("POST", room_path(room_id, "invite"), {"user_id": user2.user_id}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room_id, "invite"), {"user_id": user.user_id}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room_id, "ban"), {"user_id": user2.user_id})
    user.call("POST", room_path(room_id, "invite"), {"user_id": user2.user_id}, status=403, errcode="M_FORBIDDEN")


def test_inviting_004_by_one_who_is_not_in_the_room(user, user2, new_user):
    room_id = user.create_room(preset="public_chat")
    third = new_user()
    user2.call("POST", room_path(room_id, "invite"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")
    user.invite(room_id, user2.user_id)
    user2.call("POST", room_path(room_id, "invite"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("version", ["10", "12"])
def test_inviting_005_with_too_little_power(user, user2, new_user, version):
    room_id = user.create_room(room_version=version, preset="public_chat")   # invite takes 50
    user2.join(room_id)
    third = new_user()
    user2.call("POST", room_path(room_id, "invite"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")
    # an invitation that stands already gives no way round
    user.invite(room_id, third.user_id)
    user2.call("POST", room_path(room_id, "invite"), {"user_id": third.user_id}, status=403, errcode="M_FORBIDDEN")


def test_inviting_006_users_that_cannot_be_reached(user):
    room_id = user.create_room()
    before = count_events(user.server, room_id)
    path = room_path(room_id, "invite")
    user.call("POST", path, {"user_id": f"@nobody-here:{user.server.server_name}"}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", path, {"user_id": "@somebody:elsewhere.example"}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", path, {"id_server": "x", "medium": "email", "address": "a@b"}, status=403, errcode="M_FORBIDDEN")
    assert count_events(user.server, room_id) == before


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"user_id": 1}, "M_BAD_JSON"), ({"user_id": "x"}, "M_INVALID_PARAM"), ({"user_id": None}, "M_BAD_JSON"),
    ({"user_id": "@a:b", "reason": 1}, "M_BAD_JSON")])
def test_inviting_007_bad_bodies(user, body, errcode):
    user.call("POST", room_path(user.create_room(), "invite"), body, status=400, errcode=errcode)


def test_inviting_008_unknown_room_and_credentials(user, server):
    user.call("POST", room_path(UNKNOWN_ROOM, "invite"), {"user_id": user.user_id}, status=404, errcode="M_NOT_FOUND")
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/invite", {"user_id": user.user_id})


def test_inviting_009_one_who_left_is_invited_anew(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    user2.join(room_id)
    user2.leave(room_id)
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")
    user.invite(room_id, user2.user_id)
    user2.join(room_id)
    assert membership(user, room_id, user2.user_id) == "join"


def test_inviting_010_invitations_blocked(user, user2):
    """CS-API: invite permission: M_INVITE_BLOCKED by every way to invite; another value blocks nothing."""
    path = f"{V3}/user/{quote(user2.user_id)}/account_data/m.invite_permission_config"
    room_id = user.create_room()
    user2.call("PUT", path, {"default_action": "block"})
    user.call("POST", room_path(room_id, "invite"), {"user_id": user2.user_id}, status=403, errcode="M_INVITE_BLOCKED")
    user.call("POST", f"{V3}/createRoom", {"invite": [user2.user_id]}, status=403, errcode="M_INVITE_BLOCKED")
    user.put_state(room_id, "m.room.member", {"membership": "invite"}, user2.user_id, status=403, errcode="M_INVITE_BLOCKED")
    user2.call("PUT", path, {"default_action": 1})
    user.invite(room_id, user2.user_id)


def test_inviting_011_as_plain_state(user, user2):
    room_id = user.create_room()
    nobody = f"@nobody-here:{user.server.server_name}"
    user.put_state(room_id, "m.room.member", {"membership": "invite"}, nobody, status=404, errcode="M_NOT_FOUND")
    remote = "@somebody:elsewhere.example"
    user.put_state(room_id, "m.room.member", {"membership": "invite"}, remote, status=403, errcode="M_FORBIDDEN")
    user.put_state(room_id, "m.room.member", {"membership": "invite"}, user2.user_id)
    user2.join(room_id)
