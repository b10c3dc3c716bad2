# SPDX-License-Identifier: Apache-2.0
"""CS-API: GET /rooms/{roomId}/event/{eventId}, /rooms/{roomId}/members, /rooms/{roomId}/joined_members."""
import pytest

from harness import V3, quote
from room_calls import R0, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43
UNKNOWN_EVENT = "$" + "A" * 43


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def get_event(user, room_id, event_id, **expect):
    return user.call("GET", room_path(room_id, f"event/{quote(event_id)}"), **expect)


def members(user, room_id, query="", **expect):
    """{user id: membership}"""
    chunk = user.call("GET", room_path(room_id, f"members{query}"), **expect).json()["chunk"]
    assert all(e["type"] == "m.room.member" and e["room_id"] == room_id for e in chunk)
    return {e["state_key"]: e["content"]["membership"] for e in chunk}


# ---------------------------------------------------------------------- event/{eventId}
@pytest.mark.parametrize("base", [R0, V3])
def test_rooms_001_one_event(user, user2, room, base):
    event_id = user.send(room, "hello")
    event = user2.call("GET", f"{base}/rooms/{quote(room)}/event/{quote(event_id)}").json()
    age = event["unsigned"].pop("age")
    assert 0 <= age < 60000 and isinstance(event.pop("origin_server_ts"), int)
    assert event == {"type": "m.room.message", "room_id": room, "event_id": event_id, "sender": user.user_id,
                     "content": {"msgtype": "m.text", "body": "hello"}, "unsigned": {"membership": "join"}}


def test_rooms_002_the_transaction_id_is_for_the_device_that_sent(user, user2, room):
    """CS-API: unsigned.transaction_id."""
    event_id = user.send(room, "x", txn="txn 1/2")
    assert get_event(user, room, event_id)["unsigned"]["transaction_id"] == "txn 1/2"
    assert "transaction_id" not in get_event(user2, room, event_id)["unsigned"]
    other_device = user.server.login(user.user_id)
    assert "transaction_id" not in get_event(other_device, room, event_id)["unsigned"]


def test_rooms_003_what_a_state_event_replaced(user, room):
    first = user.put_state(room, "org.example.x", {"n": 1})["event_id"]
    second = user.put_state(room, "org.example.x", {"n": 2})["event_id"]
    event = get_event(user, room, second).json()
    assert event["state_key"] == "" and event["unsigned"]["prev_content"] == {"n": 1}
    assert event["unsigned"]["replaces_state"] == first
    assert "prev_content" not in get_event(user, room, first)["unsigned"]


def test_rooms_004_a_redacted_event_tells_why(user, user2, room):
    event_id = user.send(room, "secret")
    redaction = user.call("PUT", room_path(room, f"redact/{quote(event_id)}/r1"), {"reason": "oops"})["event_id"]
    event = get_event(user2, room, event_id).json()
    because = event["unsigned"]["redacted_because"]
    assert event["content"] == {} and because["event_id"] == redaction and because["type"] == "m.room.redaction"
    assert because["content"]["reason"] == "oops" and because["sender"] == user.user_id


def test_rooms_005_the_readers_membership_at_the_event(user, user2):
    """CS-API: unsigned.membership: "including any changes caused by the event"; leave before there was any."""
    room_id = user.create_room(preset="public_chat")
    before = user.send(room_id, "before")
    user.invite(room_id, user2.user_id)
    invited = user.send(room_id, "invited")
    user2.join(room_id)
    after = user.send(room_id, "after")
    user2.leave(room_id)
    for event_id, membership in ((before, "leave"), (invited, "invite"), (after, "join")):
        assert get_event(user2, room_id, event_id)["unsigned"]["membership"] == membership
        assert get_event(user, room_id, event_id)["unsigned"]["membership"] == "join"
    own = [e for e in user2.call("GET", room_path(room_id, "messages?dir=b&limit=100"))["chunk"] if e.get("state_key") == user2.user_id]
    assert [e["unsigned"]["membership"] for e in own] == ["leave", "join", "invite"]


def test_rooms_006_what_is_not_there_or_not_for_the_reader(user, user2, new_user, room):
    event_id = user.send(room)
    elsewhere = user.create_room()
    get_event(user, elsewhere, event_id, status=404, errcode="M_NOT_FOUND")
    get_event(user, room, UNKNOWN_EVENT, status=404, errcode="M_NOT_FOUND")
    get_event(user, UNKNOWN_ROOM, event_id, status=404, errcode="M_NOT_FOUND")
    get_event(new_user(), room, event_id, status=404, errcode="M_NOT_FOUND")
    get_event(user, room, "nonsense", status=400, errcode="M_INVALID_PARAM")
    get_event(user, "nonsense", event_id, status=400, errcode="M_INVALID_PARAM")
    user2.leave(room)
    get_event(user2, room, event_id)
    get_event(user2, room, user.send(room, "later"), status=404, errcode="M_NOT_FOUND")


# ---------------------------------------------------------------------- members
@pytest.mark.parametrize("base", [R0, V3])
def test_rooms_010_all_members(user, user2, new_user, room, base):
    invited, left, banned = new_user(), new_user(), new_user()
    user.invite(room, invited.user_id)
    left.join(room)
    left.leave(room)
    user.call("POST", room_path(room, "ban"), {"user_id": banned.user_id})
    everyone = {user.user_id: "join", user2.user_id: "join", invited.user_id: "invite", left.user_id: "leave", banned.user_id: "ban"}
    chunk = user2.call("GET", f"{base}/rooms/{quote(room)}/members")["chunk"]
    assert {e["state_key"]: e["content"]["membership"] for e in chunk} == everyone

    def only(*memberships):
        return {u: m for u, m in everyone.items() if m in memberships}
    assert members(user, room, "?membership=join") == only("join")
    assert members(user, room, "?membership=ban") == only("ban")
    assert members(user, room, "?not_membership=leave") == only("join", "invite", "ban")
    # "the two parameters create an 'or' condition"
    assert members(user, room, "?membership=join&not_membership=ban") == only("join", "invite", "leave")
    assert members(user, room, "?membership=ban&not_membership=ban") == everyone
    assert members(user, room, "?membership=knock") == {}


def test_rooms_011_members_at_a_token(user, user2, new_user, room):
    token = user.sync()["rooms"]["join"][room]["timeline"]["prev_batch"]
    now = user.sync()["next_batch"]
    third = new_user()
    third.join(room)
    assert third.user_id in members(user, room)
    assert third.user_id not in members(user, room, f"?at={quote(now)}")
    assert third.user_id not in members(user, room, f"?at={quote(token)}")
    assert user2.user_id in members(user, room, f"?at={quote(now)}")


def test_rooms_012_one_who_left_sees_the_members_of_then(user, user2, new_user, room):
    user2.leave(room)
    third = new_user()
    third.join(room)
    seen = members(user2, room)
    assert seen == {user.user_id: "join", user2.user_id: "leave"}
    now = user.sync()["next_batch"]
    assert members(user2, room, f"?at={quote(now)}") == seen


def test_rooms_013_members_are_for_members(user, user2, new_user, room):
    members_of = room_path(room, "members")
    new_user().call("GET", members_of, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room, "ban"), {"user_id": user2.user_id})
    user2.call("GET", members_of, status=403, errcode="M_FORBIDDEN")
    user.call("GET", room_path(UNKNOWN_ROOM, "members"), status=403, errcode="M_FORBIDDEN")
    user.put_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert members(new_user(), room)[user.user_id] == "join"


@pytest.mark.parametrize("query", [
    "?membership=friend", "?not_membership=JOIN", "?membership=", "?at=nonsense", "?at=s99999999999999", "?at=t", "?at=s-1"])
def test_rooms_014_bad_parameters(user, room, query):
    user.call("GET", room_path(room, f"members{query}"), status=400, errcode="M_INVALID_PARAM")


# ---------------------------------------------------------------------- joined_members
@pytest.mark.parametrize("base", [R0, V3])
def test_rooms_020_joined_members(user, user2, new_user, room, base):
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Zwei \"2\""})
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/avatar_url", {"avatar_url": "mxc://localhost/abc"})
    user.invite(room, new_user().user_id)
    joined = user.call("GET", f"{base}/rooms/{quote(room)}/joined_members")["joined"]
    assert joined == {user.user_id: {"display_name": None, "avatar_url": None},
                      user2.user_id: {"display_name": "Zwei \"2\"", "avatar_url": "mxc://localhost/abc"}} or \
        joined[user2.user_id] == {"display_name": "Zwei \"2\"", "avatar_url": "mxc://localhost/abc"} and len(joined) == 2


def test_rooms_021_joined_members_are_for_members(user, user2, new_user, room):
    path = room_path(room, "joined_members")
    new_user().call("GET", path, status=403, errcode="M_FORBIDDEN")
    user2.leave(room)
    user2.call("GET", path, status=403, errcode="M_FORBIDDEN")
    user.call("GET", room_path(UNKNOWN_ROOM, "joined_members"), status=403, errcode="M_FORBIDDEN")


def test_rooms_030_credentials(server):
    for tail in (f"event/{quote(UNKNOWN_EVENT)}", "members", "joined_members"):
        refuses_strangers(server, "GET", f"/rooms/{quote(UNKNOWN_ROOM)}/{tail}")
