# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /knock/{roomIdOrAlias}."""
import pytest

from harness import quote
from room_calls import R0, V3, count_events, membership, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


def knock_room(user, rule="knock", **body):
    return user.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": rule}}], **body)


@pytest.mark.parametrize("base", [R0, V3])
@pytest.mark.parametrize("rule", ["knock", "knock_restricted"])
def test_knocking_001_a_knock_is_answered_by_an_invitation(user, user2, base, rule):
    room_id = knock_room(user, rule)
    assert user2.call("POST", f"{base}/knock/{quote(room_id)}?via=x.example", {"reason": "please"})["room_id"] == room_id
    content = user.get_state(room_id, "m.room.member", user2.user_id).json()
    assert content["membership"] == "knock" and content["reason"] == "please"
    user.invite(room_id, user2.user_id)
    user2.join(room_id)
    assert membership(user, room_id, user2.user_id) == "join"


def test_knocking_002_by_alias_and_taken_back(user, user2):
    name = user.server.unused_name("knock")
    room_id = knock_room(user, room_alias_name=name)
    user2.call("POST", f"{V3}/knock/{quote(f'#{name}:{user.server.server_name}')}", data=b"")
    before = count_events(user.server, room_id)
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {})
    assert count_events(user.server, room_id) == before
    user2.leave(room_id)
    assert membership(user, room_id, user2.user_id) == "leave"


def test_knocking_003_refused(user, user2):
    closed = user.create_room()
    user2.call("POST", f"{V3}/knock/{quote(closed)}", {}, status=403, errcode="M_FORBIDDEN")
    room_id = knock_room(user)
    user.call("POST", f"{V3}/knock/{quote(room_id)}", {}, status=403, errcode="M_FORBIDDEN")
    user.invite(room_id, user2.user_id)
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room_id, "ban"), {"user_id": user2.user_id})
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {}, status=403, errcode="M_FORBIDDEN")
    user2.call("POST", f"{V3}/knock/{quote(UNKNOWN_ROOM)}", {}, status=404, errcode="M_NOT_FOUND")
    user2.call("POST", f"{V3}/knock/nonsense", {}, status=400, errcode="M_INVALID_PARAM")
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {"reason": 1}, status=400, errcode="M_BAD_JSON")


def test_knocking_004_a_knock_does_not_open_the_room(user, user2):
    room_id = knock_room(user)
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {})
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")
    user2.call("GET", room_path(room_id, "messages?dir=b"), status=403, errcode="M_FORBIDDEN")


def test_knocking_005_credentials(server):
    refuses_strangers(server, "POST", f"/knock/{quote(UNKNOWN_ROOM)}", {})
