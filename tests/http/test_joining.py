# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/join, POST /join/{roomIdOrAlias}."""
import pytest

from harness import quote
from room_calls import R0, V3, count_events, membership, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


@pytest.fixture
def public_room(user):
    return user.create_room(preset="public_chat")


@pytest.mark.parametrize("base", [R0, V3])
def test_joining_001_by_id(user, user2, public_room, base):
    answer = user2.call("POST", f"{base}/rooms/{quote(public_room)}/join", {}).json()
    assert answer == {"room_id": public_room}
    assert membership(user, public_room, user2.user_id) == "join"


@pytest.mark.parametrize("base", [R0, V3])
def test_joining_002_by_id_or_alias(user, user2, new_user, base):
    name = user.server.unused_name("join")
    room_id = user.create_room(preset="public_chat", room_alias_name=name)
    alias = f"#{name}:{user.server.server_name}"
    query = "?server_name=elsewhere.example&via=elsewhere.example"
    assert user2.call("POST", f"{base}/join/{quote(alias)}{query}", {})["room_id"] == room_id
    assert new_user().call("POST", f"{base}/join/{quote(room_id)}", data=b"")["room_id"] == room_id


def test_joining_003_twice_makes_no_new_event(user, user2, public_room):
    user2.join(public_room)
    before = count_events(user.server, public_room)
    assert user2.join(public_room) == public_room
    assert count_events(user.server, public_room) == before


def test_joining_004_reason_and_profile(user, user2, public_room):
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Zwei"})
    user2.call("POST", room_path(public_room, "join"), {"reason": "curious"})
    content = user.get_state(public_room, "m.room.member", user2.user_id).json()
    assert content == {"membership": "join", "displayname": "Zwei", "reason": "curious"}


def test_joining_005_an_invitation_is_accepted(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    user2.join(room_id)
    assert membership(user, room_id, user2.user_id) == "join"


def test_joining_006_not_invited(user, user2):
    room_id = user.create_room()
    before = count_events(user.server, room_id)
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")
    user2.call("POST", f"{V3}/join/{quote(room_id)}", {}, status=403, errcode="M_FORBIDDEN")
    assert count_events(user.server, room_id) == before


def test_joining_007_banned(user, user2, public_room):
    user.call("POST", room_path(public_room, "ban"), {"user_id": user2.user_id})
    user2.call("POST", room_path(public_room, "join"), {}, status=403, errcode="M_FORBIDDEN")


def test_joining_008_unknown_rooms_and_bad_ids(user):
    user.call("POST", room_path(UNKNOWN_ROOM, "join"), {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", f"{V3}/join/{quote('#nowhere:' + user.server.server_name)}", {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", f"{V3}/join/{quote('#room:elsewhere.example')}", {}, status=404, errcode="M_NOT_FOUND")
    for bad in ("nonsense", "@a:b", "!", "#", "$x"):
        user.call("POST", f"{V3}/join/{quote(bad)}", {}, status=400, errcode="M_INVALID_PARAM")
        user.call("POST", f"{V3}/rooms/{quote(bad)}/join", {}, status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("body", [{"reason": 1}, {"third_party_signed": "x"}])
def test_joining_009_wrong_types(user2, public_room, body):
    user2.call("POST", room_path(public_room, "join"), body, status=400, errcode="M_BAD_JSON")
    user2.call("POST", f"{V3}/join/{quote(public_room)}", body, status=400, errcode="M_BAD_JSON")


def test_joining_010_third_party_invites_are_refused(user2, public_room):
    signed = {"sender": "@a:b", "mxid": user2.user_id, "token": "t", "signatures": {}}
    user2.call("POST", room_path(public_room, "join"), {"third_party_signed": signed}, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("version", ["10", "11", "12"])
@pytest.mark.parametrize("rule", ["restricted", "knock_restricted"])
def test_joining_011_restricted_rooms(user, user2, new_user, version, rule):
    """CS-API: restricted rooms: members of an allowed room may join, vouched for by one who may invite."""
    home = user.create_room(preset="public_chat")
    rules = {"join_rule": rule, "allow": [{"type": "org.example.other", "room_id": home}, {"type": "m.room_membership", "room_id": home}]}
    room_id = user.create_room(room_version=version, initial_state=[{"type": "m.room.join_rules", "content": rules}])
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")
    user2.join(home)
    user2.join(room_id)
    content = user.get_state(room_id, "m.room.member", user2.user_id).json()
    assert content["membership"] == "join" and content["join_authorised_via_users_server"] == user.user_id
    # a change of the profile must not carry the mark along
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "New"})
    content = user.get_state(room_id, "m.room.member", user2.user_id).json()
    assert content["displayname"] == "New" and "join_authorised_via_users_server" not in content
    # an invitation needs no condition
    third = new_user()
    user.invite(room_id, third.user_id)
    third.join(room_id)
    # who is banned stays out, whatever the conditions say
    user.call("POST", room_path(room_id, "ban"), {"user_id": user2.user_id})
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")


def test_joining_012_a_restricted_room_whose_members_may_not_invite(user, user2, new_user):
    home = user.create_room(preset="public_chat")
    member = new_user()
    rules = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": home}]}
    room_id = user.create_room(room_version="11", power_level_content_override={"invite": 60}, invite=[member.user_id],
                               initial_state=[{"type": "m.room.join_rules", "content": rules}])
    member.join(room_id)
    user.leave(room_id)
    user2.join(home)
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("allow", [
    None, [], "x", [1], [{"type": "m.room_membership"}], [{"type": "m.room_membership", "room_id": UNKNOWN_ROOM}]])
def test_joining_013_conditions_that_nobody_meets(user, user2, allow):
    rules = {"join_rule": "restricted"} if allow is None else {"join_rule": "restricted", "allow": allow}
    room_id = user.create_room(initial_state=[{"type": "m.room.join_rules", "content": rules}])
    user2.call("POST", room_path(room_id, "join"), {}, status=403, errcode="M_FORBIDDEN")


def test_joining_014_again_after_leaving(user, user2, public_room):
    user2.join(public_room)
    user2.leave(public_room)
    user2.join(public_room)
    assert membership(user, public_room, user2.user_id) == "join"


def test_joining_015_credentials(server):
    refuses_strangers(server, "POST", f"/rooms/{quote(UNKNOWN_ROOM)}/join", {})
    refuses_strangers(server, "POST", f"/join/{quote(UNKNOWN_ROOM)}", {})


def test_joining_016_malformed_bodies(user2, public_room):
    for tail in ("join",):
        user2.call("POST", room_path(public_room, tail), data=b"{", status=400, errcode="M_NOT_JSON")
        user2.call("POST", room_path(public_room, tail), data=b"[]", status=400, errcode="M_BAD_JSON")
    user2.call("POST", f"{V3}/join/{quote(public_room)}", data=b"{", status=400, errcode="M_NOT_JSON")
