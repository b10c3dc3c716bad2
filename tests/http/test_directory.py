# SPDX-License-Identifier: Apache-2.0
"""CS-API: /directory/room/{roomAlias}, GET /rooms/{roomId}/aliases, and aliases in m.room.canonical_alias."""
import pytest

from harness import V3, quote
from room_calls import R0, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


def new_alias(server):
    return f"#{server.unused_name('dir')}:{server.server_name}"


def alias_call(user, method, alias, body=None, base=V3, **expect):
    return user.call(method, f"{base}/directory/room/{quote(alias)}", body, **expect)


def aliases(user, room_id, **expect):
    return user.call("GET", room_path(room_id, "aliases"), **expect)


@pytest.mark.parametrize("base", [R0, V3])
def test_directory_001_put_get_list_delete(user, server, base):
    room_id, alias = user.create_room(), new_alias(server)
    assert alias_call(user, "PUT", alias, {"room_id": room_id}, base).json() == {}
    assert alias_call(user, "GET", alias, base=base).json() == {"room_id": room_id, "servers": [server.server_name]}
    assert user.call("GET", f"{base}/rooms/{quote(room_id)}/aliases").json() == {"aliases": [alias]}
    assert alias_call(user, "DELETE", alias, base=base).json() == {}
    alias_call(user, "GET", alias, base=base, status=404, errcode="M_NOT_FOUND")
    assert aliases(user, room_id).json() == {"aliases": []}


def test_directory_002_resolving_needs_no_token(user, server):
    room_id, alias = user.create_room(), new_alias(server)
    alias_call(user, "PUT", alias, {"room_id": room_id})
    assert server.call("GET", f"{V3}/directory/room/{quote(alias)}", token=None)["room_id"] == room_id


def test_directory_003_an_alias_that_exists(user, user2, server):
    """The specification: 409, with M_UNKNOWN."""
    alias = new_alias(server)
    alias_call(user, "PUT", alias, {"room_id": user.create_room()})
    alias_call(user, "PUT", alias, {"room_id": user.create_room()}, status=409, errcode="M_UNKNOWN")
    alias_call(user2, "PUT", alias, {"room_id": user2.create_room()}, status=409, errcode="M_UNKNOWN")


def test_directory_004_odd_names(user, server):
    room_id = user.create_room()
    for name in ("sl/ash", "space d", "ünïcode", "#hash", "per%cent", "plus+"):
        alias = f"#{name}-{server.unused_name('x')}:{server.server_name}"
        alias_call(user, "PUT", alias, {"room_id": room_id})
        assert alias_call(user, "GET", alias)["room_id"] == room_id
    assert len(aliases(user, room_id)["aliases"]) == 6


@pytest.mark.parametrize("alias", ["nonsense", "@a:b", "#nocolon", "#" + "x" * 255 + ":localhost"])
def test_directory_005_bad_aliases(user, alias):
    for method, body in (("PUT", {"room_id": UNKNOWN_ROOM}), ("GET", None), ("DELETE", None)):
        alias_call(user, method, alias, body, status=400, errcode="M_INVALID_PARAM")


def test_directory_006_aliases_of_other_servers(user):
    alias = "#room:elsewhere.example"
    alias_call(user, "PUT", alias, {"room_id": user.create_room()}, status=400, errcode="M_INVALID_PARAM")
    alias_call(user, "GET", alias, status=404, errcode="M_NOT_FOUND")
    alias_call(user, "DELETE", alias, status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"), ({"room_id": 1}, 400, "M_BAD_JSON"), ({"room_id": "x"}, 400, "M_INVALID_PARAM"),
    ({"room_id": UNKNOWN_ROOM}, 404, "M_NOT_FOUND")])
def test_directory_007_bad_bodies(user, server, body, status, errcode):
    alias = new_alias(server)
    alias_call(user, "PUT", alias, body, status=status, errcode=errcode)
    alias_call(user, "GET", alias, status=404, errcode="M_NOT_FOUND")


def test_directory_008_for_rooms_one_is_in(user, user2, server):
    alias_call(user2, "PUT", new_alias(server), {"room_id": user.create_room(preset="public_chat")}, status=403, errcode="M_FORBIDDEN")


def test_directory_009_who_may_delete(user, user2, new_user, server):
    room_id = user.create_room(preset="public_chat")
    third = new_user()
    user2.join(room_id)
    third.join(room_id)
    first, second, fourth = new_alias(server), new_alias(server), new_alias(server)
    for alias in (first, second, fourth):
        alias_call(user2, "PUT", alias, {"room_id": room_id})
    alias_call(third, "DELETE", first, status=403, errcode="M_FORBIDDEN")
    alias_call(user2, "DELETE", first)                 # made it
    alias_call(user, "DELETE", second)                 # may set the room's canonical alias
    alias_call(server.admin(), "DELETE", fourth)       # administers the server
    alias_call(user, "DELETE", fourth, status=404, errcode="M_NOT_FOUND")


def test_directory_010_a_deleted_alias_leaves_the_canonical_event(user, server):
    room_id = user.create_room()
    first, second = new_alias(server), new_alias(server)
    for alias in (first, second):
        alias_call(user, "PUT", alias, {"room_id": room_id})
    user.put_state(room_id, "m.room.canonical_alias", {"alias": first, "alt_aliases": [first, second], "org.example.x": 1})
    alias_call(user, "DELETE", first)
    assert user.get_state(room_id, "m.room.canonical_alias").json() == {"alt_aliases": [second], "org.example.x": 1}


def test_directory_011_listing_is_for_members(user, user2, server):
    room_id = user.create_room(preset="public_chat")
    aliases(user2, room_id, status=403, errcode="M_FORBIDDEN")
    aliases(user2, UNKNOWN_ROOM, status=403, errcode="M_FORBIDDEN")
    user2.join(room_id)
    aliases(user2, room_id)
    user2.leave(room_id)
    aliases(user2, room_id, status=403, errcode="M_FORBIDDEN")
    user.put_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    aliases(user2, room_id)


def test_directory_012_canonical_aliases_must_point_here(user, server):
    """CS-API: PUT /rooms/{roomId}/state/{eventType}/{stateKey}: M_BAD_ALIAS, M_INVALID_PARAM."""
    room_id, other = user.create_room(), user.create_room()
    here, there, nowhere = new_alias(server), new_alias(server), new_alias(server)
    alias_call(user, "PUT", here, {"room_id": room_id})
    alias_call(user, "PUT", there, {"room_id": other})

    def put(content, **expect):
        user.put_state(room_id, "m.room.canonical_alias", content, **expect)
    put({"alias": there}, status=400, errcode="M_BAD_ALIAS")
    put({"alias": nowhere}, status=400, errcode="M_BAD_ALIAS")
    put({"alt_aliases": [here, there]}, status=400, errcode="M_BAD_ALIAS")
    for bad in ({"alias": "nonsense"}, {"alias": 1}, {"alt_aliases": ["nonsense"]}, {"alt_aliases": "x"}, {"alt_aliases": [1]}):
        put(bad, status=400, errcode="M_INVALID_PARAM")
    put({"alias": here, "alt_aliases": [here]})
    # "Servers do not validate aliases which are being removed or are already present"
    alias_call(user, "DELETE", here)
    user.put_state(room_id, "m.room.canonical_alias", {"alias": None})
    put({"alias": ""})
    put({})


def test_directory_013_credentials(server):
    alias = quote("#a:b")
    refuses_strangers(server, "PUT", f"/directory/room/{alias}", {"room_id": UNKNOWN_ROOM})
    refuses_strangers(server, "DELETE", f"/directory/room/{alias}")
    refuses_strangers(server, "GET", f"/rooms/{quote(UNKNOWN_ROOM)}/aliases")
    server.call("GET", f"{V3}/directory/room/{alias}", token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
