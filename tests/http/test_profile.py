# SPDX-License-Identifier: Apache-2.0
# CS-API: profiles
import pytest
from accounts import BOTH, short
from harness import V3, quote

UNSTABLE = "/_matrix/client/unstable/uk.tcpip.msc4133"


def profile(user, base=V3):
    return f"{base}/profile/{quote(user.user_id)}"


def put(user, field, value, base=V3, **expect):
    return user.call("PUT", f"{profile(user, base)}/{quote(field)}", {field: value}, **expect)


def get(user, field="", base=V3, **expect):
    """Anybody's: no token is needed."""
    return user.call("GET", profile(user, base) + (f"/{quote(field)}" if field else ""), token=None, **expect)


@pytest.mark.parametrize("base", BOTH)
def test_profile_001_displayname_and_avatar(user, base):
    get(user, base=base, status=404, errcode="M_NOT_FOUND")
    assert put(user, "displayname", "Alice Wonderland", base).json() == {}
    assert put(user, "avatar_url", "mxc://matrix.org/SDGdghriugerRg", base).json() == {}
    assert get(user, base=base).json() == {"displayname": "Alice Wonderland", "avatar_url": "mxc://matrix.org/SDGdghriugerRg"}
    assert get(user, "displayname", base).json() == {"displayname": "Alice Wonderland"}
    assert get(user, "avatar_url", base).json() == {"avatar_url": "mxc://matrix.org/SDGdghriugerRg"}
    put(user, "displayname", "Alice", base)
    assert get(user, "displayname", base).json() == {"displayname": "Alice"}


@pytest.mark.parametrize("base", [*BOTH, UNSTABLE])
@pytest.mark.parametrize("field, value", [
    ("m.tz", "Europe/London"), ("org.example.text", "x"), ("org.example.number", 1.5), ("org.example.null", None),
    ("org.example.tree", {"a": [1, {"b": None}], "u": "é😀"}), ("org.example.flag", False), ("org.example.nothing-much_1", []),
])
def test_profile_002_other_fields(user, base, field, value):
    put(user, field, value, base)
    assert get(user, field, base).json() == {field: value}
    assert get(user).json() == {field: value}


@pytest.mark.parametrize("base", [*BOTH, UNSTABLE])
def test_profile_003_delete(user, base):
    # CS-API: DELETE /profile/{userId}/{keyName}
    put(user, "displayname", "Alice")
    put(user, "org.example.x", 1)
    for field in ("org.example.x", "displayname"):
        path = f"{profile(user, base)}/{field}"
        assert user.call("DELETE", path).json() == {}
        get(user, field, status=404, errcode="M_NOT_FOUND")
        user.call("DELETE", path)       # "or it doesn't exist"
    get(user, status=404, errcode="M_NOT_FOUND")


def test_profile_004_an_empty_name_or_avatar_is_removed(user):
    put(user, "displayname", "Alice")
    put(user, "avatar_url", "mxc://a/b")
    put(user, "displayname", "")
    put(user, "avatar_url", "")
    get(user, status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("field, value, errcode", [
    ("displayname", 7, "M_BAD_JSON"), ("displayname", None, "M_BAD_JSON"), ("displayname", {}, "M_BAD_JSON"),
    ("displayname", "x" * 1025, "M_INVALID_PARAM"), ("avatar_url", 7, "M_BAD_JSON"), ("avatar_url", "https://example.org/a.png", "M_INVALID_PARAM"),
    ("avatar_url", "mxc://", "M_INVALID_PARAM"), ("avatar_url", "mxc://a", "M_INVALID_PARAM"), ("avatar_url", "mxc://a/b/c", "M_INVALID_PARAM"),
    ("m.tz", 7, "M_BAD_JSON"),
    ("nodots", "x", "M_INVALID_PARAM"), ("Org.Example", "x", "M_INVALID_PARAM"), ("org..x", "x", "M_INVALID_PARAM"), (".x.y", "x", "M_INVALID_PARAM"),
    ("org.example.", "x", "M_INVALID_PARAM"), ("org.exämple", "x", "M_INVALID_PARAM"), ("1.x", "x", "M_INVALID_PARAM"),
    ("org." + "x" * 252, "x", "M_KEY_TOO_LARGE"), ("org.example.big", "x" * 65536, "M_PROFILE_TOO_LARGE"),
], ids=short)
def test_profile_005_bad_fields_and_values(user, field, value, errcode):
    put(user, field, value, status=400, errcode=errcode)
    get(user, status=404, errcode="M_NOT_FOUND")


def test_profile_006_the_whole_profile_stays_below_64_kib(user):
    for n in range(3):
        put(user, f"org.example.f{n}", "x" * 20000)
    put(user, "org.example.f3", "x" * 6000, status=400, errcode="M_PROFILE_TOO_LARGE")
    put(user, "displayname", "x" * 1000)
    put(user, "org.example.f2", "x" * 100)          # replaced: room again
    put(user, "org.example.f3", "x" * 20000)
    assert len(get(user).text) < 65536
    put(user, "org." + "x" * 251, "x")              # the longest key


def test_profile_007_exactly_the_limit(user):
    # {"org.example.f":"…"} of 65535 bytes is below 64 KiB, one more is not
    room = 65535 - len('{"org.example.f":""}')
    put(user, "org.example.f", "x" * (room + 1), status=400, errcode="M_PROFILE_TOO_LARGE")
    put(user, "org.example.f", "x" * room)


def test_profile_008_the_member_named_like_the_field_is_needed(user):
    user.call("PUT", f"{profile(user)}/displayname", {}, status=400, errcode="M_MISSING_PARAM")
    user.call("PUT", f"{profile(user)}/displayname", {"avatar_url": "mxc://a/b"}, status=400, errcode="M_MISSING_PARAM")


def test_profile_009_credentials(server, user, user2):
    path = f"{profile(user)}/displayname"
    server.call("PUT", path, {"displayname": "x"}, status=401, errcode="M_MISSING_TOKEN")
    server.call("DELETE", path, status=401, errcode="M_MISSING_TOKEN")
    server.call("PUT", path, {"displayname": "x"}, token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")
    user2.call("PUT", path, {"displayname": "x"}, status=403, errcode="M_FORBIDDEN")
    user2.call("DELETE", path, status=403, errcode="M_FORBIDDEN")


def test_profile_010_users_that_are_not_here(server):
    for user_id in (f"@nobody-here:{server.server_name}", "@someone:elsewhere.example"):
        server.call("GET", f"{V3}/profile/{quote(user_id)}", status=404, errcode="M_NOT_FOUND")
        server.call("GET", f"{V3}/profile/{quote(user_id)}/displayname", status=404, errcode="M_NOT_FOUND")
    server.call("GET", f"{V3}/profile/nobody", status=400, errcode="M_INVALID_PARAM")


def test_profile_011_changes_reach_the_rooms(user, user2):
    # CS-API: events on change of profile information
    room = user2.create_room(preset="public_chat")
    put(user, "displayname", "Before")
    user.join(room)
    member = user2.get_state(room, "m.room.member", user.user_id).json()
    assert member["displayname"] == "Before" and member["membership"] == "join"
    put(user, "displayname", "After")
    put(user, "avatar_url", "mxc://a/b")
    member = user2.get_state(room, "m.room.member", user.user_id).json()
    assert (member["displayname"], member["avatar_url"], member["membership"]) == ("After", "mxc://a/b", "join")
    user.call("DELETE", f"{profile(user)}/avatar_url")
    assert not user2.get_state(room, "m.room.member", user.user_id).json().get("avatar_url")


def test_profile_012_another_field_leaves_the_rooms_alone(user, user2):
    room = user2.create_room(preset="public_chat")
    user.join(room)
    path = f"{V3}/rooms/{quote(room)}/state/m.room.member/{quote(user.user_id)}?format=event"
    before = user2.call("GET", path)["event_id"]
    put(user, "org.example.x", 1)
    assert user2.call("GET", path)["event_id"] == before


def test_profile_013_the_prefix_of_its_proposal(user):
    path = f"{UNSTABLE}/profile/{quote(user.user_id)}/org.example.x"
    user.call("PUT", path, {"org.example.x": 1})
    assert user.call("GET", path, token=None).json() == {"org.example.x": 1}
    user.call("DELETE", path)
    user.call("GET", path, token=None, status=404, errcode="M_NOT_FOUND")
