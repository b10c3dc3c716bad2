# SPDX-License-Identifier: Apache-2.0
"""/rooms/{roomId}/state and /rooms/{roomId}/state/{eventType}/{stateKey}. CS-API: getting events for a room, state events."""
import pytest

from harness import V3, quote


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat")


def base(room, version="v3"):
    return f"/_matrix/client/{version}/rooms/{quote(room)}/state"


@pytest.mark.parametrize("version", ["r0", "v3"])
def test_room_state_001_custom_state_comes_back(user, room, version):
    path = f"{base(room, version)}/tld.project.foo/bar"
    first = user.call("PUT", path, {"baz": "qux"})["event_id"]
    assert user.call("GET", path).json() == {"baz": "qux"}
    second = user.call("PUT", path, {"baz": "other", "n": [1, {"é": None}]})["event_id"]
    assert user.call("GET", path).json() == {"baz": "other", "n": [1, {"é": None}]}
    whole = user.call("GET", f"{path}?format=event").json()
    assert whole["event_id"] == second and whole["state_key"] == "bar" and whole["sender"] == user.user_id and whole["room_id"] == room
    assert whole["unsigned"]["replaces_state"] == first and whole["unsigned"]["prev_content"] == {"baz": "qux"}


def test_room_state_002_the_empty_state_key_with_and_without_slash(user, room):
    path = f"{base(room)}/tld.project.foo"
    user.call("PUT", path, {"a": 1})
    assert user.call("GET", f"{path}/").json() == {"a": 1}
    user.call("PUT", f"{path}/", {"a": 2})
    assert user.call("GET", path).json() == {"a": 2}
    assert user.call("GET", f"{path}?format=event")["state_key"] == ""


def test_room_state_003_the_same_again_is_no_new_event(user, room):
    path = f"{base(room)}/tld.project.foo/bar"
    first = user.call("PUT", path, {"a": 1, "b": 2})["event_id"]
    assert user.call("PUT", path, {"b": 2, "a": 1})["event_id"] == first


def test_room_state_004_what_is_not_there(user, room):
    user.call("GET", f"{base(room)}/tld.project.foo/bar", status=404, errcode="M_NOT_FOUND")
    user.call("GET", f"{base(room)}/m.room.name/other", status=404, errcode="M_NOT_FOUND")
    user.call("GET", f"{base(room)}/m.room.create/?format=other", status=400, errcode="M_INVALID_PARAM")


def test_room_state_005_all_of_it(user, room):
    user.put_state(room, "tld.project.foo", {"a": 1}, "é/ü")
    state = user.call("GET", base(room)).json()
    keys = [(e["type"], e["state_key"]) for e in state]
    assert len(set(keys)) == len(keys) and ("tld.project.foo", "é/ü") in keys and keys[0] == ("m.room.create", "")
    assert all(e["room_id"] == room and e["event_id"] and e["origin_server_ts"] and "unsigned" in e for e in state)


def test_room_state_006_who_left_sees_it_as_it_was_then(user, user2, room):
    """CS-API: GET /rooms/{roomId}/state."""
    user.call("GET", base(room))
    user2.call("GET", base(room), status=403, errcode="M_FORBIDDEN")
    user2.join(room)
    user.put_state(room, "m.room.topic", {"topic": "before"})
    user2.leave(room)
    user.put_state(room, "m.room.topic", {"topic": "after"})
    user.put_state(room, "tld.project.foo", {"a": 1})
    topics = [e["content"]["topic"] for e in user2.call("GET", base(room)).json() if e["type"] == "m.room.topic"]
    assert topics == ["before"]
    assert user2.get_state(room, "m.room.topic").json() == {"topic": "before"}
    assert user2.call("GET", f"{base(room)}/m.room.topic/?format=event")["content"] == {"topic": "before"}
    user2.get_state(room, "tld.project.foo", status=404, errcode="M_NOT_FOUND")


def test_room_state_007_who_may_set_it(user, user2, room):
    user2.put_state(room, "m.room.topic", {"topic": "x"}, status=403, errcode="M_FORBIDDEN")
    user2.join(room)
    user2.put_state(room, "m.room.topic", {"topic": "x"}, status=403, errcode="M_FORBIDDEN")
    user.put_state(room, "tld.project.foo", {}, user2.user_id, status=403, errcode="M_FORBIDDEN")
    user.get_state(room, "m.room.topic", status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("type, key, content, status, errcode", [
    ("m.room.member", "nobody", {"membership": "invite"}, 400, "M_INVALID_PARAM"),
    ("m.room.member", "@a:b", {"membership": "here"}, 400, "M_BAD_JSON"),
    ("m.room.member", "@a:b", {}, 400, "M_BAD_JSON"),
    ("m.room.create", "", {}, 403, "M_FORBIDDEN"),
    ("m.room.topic", "", {"topic": 1.5}, 400, "M_BAD_JSON"),
    ("m.room.power_levels", "", {"users": {"@a:b": "50"}}, 403, "M_FORBIDDEN"),
    ("m.room.canonical_alias", "", {"alias": "#none:elsewhere"}, 400, "M_BAD_ALIAS"),
    ("m.room.topic", "x" * 256, {}, 413, "M_TOO_LARGE"),
])
def test_room_state_008_what_is_refused(user, room, type, key, content, status, errcode):
    before = user.call("GET", base(room)).json()
    user.put_state(room, type, content, key, status=status, errcode=errcode)
    assert [e["event_id"] for e in user.call("GET", base(room)).json()] == [e["event_id"] for e in before]


def test_room_state_009_membership_by_state(user, user2, room):
    user.put_state(room, "m.room.member", {"membership": "invite"}, user2.user_id)
    user2.put_state(room, "m.room.member", {"membership": "join", "displayname": "Two"}, user2.user_id)
    members = user.call("GET", f"{V3}/rooms/{quote(room)}/joined_members")["joined"]
    assert members[user2.user_id]["display_name"] == "Two"


def test_room_state_010_no_token_or_a_wrong_one(user, room):
    for method, body in (("GET", None), ("PUT", {})):
        user.call(method, f"{base(room)}/m.room.topic", body, token=None, status=401, errcode="M_MISSING_TOKEN")
        user.call(method, f"{base(room)}/m.room.topic", body, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    user.call("GET", base(room), token=None, status=401, errcode="M_MISSING_TOKEN")
