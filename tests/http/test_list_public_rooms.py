# SPDX-License-Identifier: Apache-2.0
"""CS-API: /publicRooms, /directory/list/room/{roomId}."""
import pytest

from harness import V3, quote
from room_calls import R0, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


@pytest.fixture(scope="module")
def town(server):
    """Seven listed rooms of 1 to 3 members, all with a word of their own in name, topic or alias."""
    word = server.unused_name("town")
    owner, second, third = server.register(), server.register(), server.register()
    rooms = []
    for i in range(7):
        rooms.append(owner.create_room(visibility="public", name=f"{word} {i}"))
        for guest in (second, third)[:i % 3]:
            guest.join(rooms[-1])
    return owner, word, rooms


def search(user, term, base=V3, **body):
    return user.call("POST", f"{base}/publicRooms", {"filter": {"generic_search_term": term}, **body}).json()


def visibility(user, room_id, **expect):
    return user.call("GET", f"{V3}/directory/list/room/{quote(room_id)}", **expect)


@pytest.mark.parametrize("base", [R0, V3])
def test_list_public_rooms_001_an_entry(user, server, base):
    name = server.unused_name("entry")
    state = [{"type": "m.room.avatar", "content": {"url": "mxc://x/y"}},
             {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
             {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}]
    room_id = user.create_room(visibility="public", name=name, topic="About it", room_alias_name=name,
                               creation_content={"type": "m.space"}, initial_state=state)
    assert search(user, name, base)["chunk"] == [{
        "room_id": room_id, "name": name, "topic": "About it", "canonical_alias": f"#{name}:{server.server_name}",
        "avatar_url": "mxc://x/y", "num_joined_members": 1, "world_readable": True, "guest_can_join": True,
        "join_rule": "public", "room_type": "m.space"}]


def test_list_public_rooms_002_a_bare_entry(user, server):
    room_id = user.create_room(visibility="public")
    entries = {e["room_id"]: e for e in user.call("GET", f"{V3}/publicRooms?limit=500")["chunk"]}
    assert entries[room_id] == {"room_id": room_id, "num_joined_members": 1, "world_readable": False,
                                "guest_can_join": False, "join_rule": "public"}


def test_list_public_rooms_003_the_list_needs_no_token(server, town):
    answer = server.call("GET", f"{V3}/publicRooms?limit=1", token=None).json()
    assert len(answer["chunk"]) == 1 and answer["total_room_count_estimate"] >= 7


def test_list_public_rooms_004_pages_forward_and_back(town):
    owner, word, rooms = town
    whole = search(owner, word)
    order = [e["room_id"] for e in whole["chunk"]]
    assert sorted(order) == sorted(rooms) and "next_batch" not in whole and "prev_batch" not in whole
    sizes = [e["num_joined_members"] for e in whole["chunk"]]
    assert sizes == sorted(sizes, reverse=True)
    pages, since = [], None
    while True:
        answer = search(owner, word, limit=3, **({"since": since} if since else {}))
        pages.append(answer)
        since = answer.get("next_batch")
        if not since:
            break
    assert [[e["room_id"] for e in p["chunk"]] for p in pages] == [order[:3], order[3:6], order[6:]]
    assert "prev_batch" not in pages[0]
    back = search(owner, word, limit=3, since=pages[2]["prev_batch"])
    assert [e["room_id"] for e in back["chunk"]] == order[3:6]
    assert [e["room_id"] for e in search(owner, word, limit=3, since=back["prev_batch"])["chunk"]] == order[:3]
    assert [e["room_id"] for e in search(owner, word, limit=3, since=back["next_batch"])["chunk"]] == order[6:]


def test_list_public_rooms_005_pages_of_the_whole_list(town):
    owner, word, rooms = town
    seen, since = [], ""
    for _ in range(1000):
        answer = owner.call("GET", f"{V3}/publicRooms?limit=2{since}").json()
        assert len(answer["chunk"]) <= 2
        seen += [e["room_id"] for e in answer["chunk"]]
        if "next_batch" not in answer:
            break
        since = f"&since={quote(answer['next_batch'])}"
    assert len(seen) == len(set(seen)) and set(rooms) <= set(seen)


@pytest.mark.parametrize("field", ["name", "topic", "alias"])
def test_list_public_rooms_006_search(user, server, field):
    word = server.unused_name("needle")
    body = {"name": {"name": f"The {word.upper()}!"}, "topic": {"topic": f"x{word}x"}, "alias": {"room_alias_name": word}}[field]
    room_id = user.create_room(visibility="public", **body)
    assert [e["room_id"] for e in search(user, word)["chunk"]] == [room_id]
    assert search(user, word + "-not")["chunk"] == []


def test_list_public_rooms_007_room_types(user, server):
    word = server.unused_name("types")
    plain = user.create_room(visibility="public", name=word)
    space = user.create_room(visibility="public", name=word, creation_content={"type": "m.space"})

    def of(*types):
        answer = user.call("POST", f"{V3}/publicRooms", {"filter": {"generic_search_term": word, "room_types": list(types)}})
        return {e["room_id"] for e in answer["chunk"]}
    assert of(None) == {plain} and of("m.space") == {space} and of(None, "m.space") == {plain, space}
    assert of("m.other") == set() and of() == set()


def test_list_public_rooms_008_unlisted_and_empty_rooms_are_not_there(user, server):
    word = server.unused_name("gone")
    hidden = user.create_room(preset="public_chat", name=word)
    left = user.create_room(visibility="public", name=word)
    user.leave(left)
    assert search(user, word)["chunk"] == []
    user.call("PUT", f"{V3}/directory/list/room/{quote(hidden)}", {"visibility": "public"})
    assert [e["room_id"] for e in search(user, word)["chunk"]] == [hidden]


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "since=nonsense", "since=n1", "since=n1.x", "since=q1.2", "since="])
def test_list_public_rooms_009_bad_parameters(user, query):
    user.call("GET", f"{V3}/publicRooms?{query}", status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("body, errcode", [
    ({"limit": "1"}, "M_BAD_JSON"), ({"limit": -1}, "M_INVALID_PARAM"), ({"since": 1}, "M_BAD_JSON"),
    ({"since": "x"}, "M_INVALID_PARAM"),
    ({"filter": []}, "M_BAD_JSON"), ({"filter": {"generic_search_term": 1}}, "M_BAD_JSON"), ({"filter": {"room_types": "x"}}, "M_BAD_JSON"),
    ({"filter": {"room_types": [1]}}, "M_BAD_JSON"), ({"include_all_networks": 1}, "M_BAD_JSON"),
    ({"third_party_instance_id": 1}, "M_BAD_JSON"),
    ({"include_all_networks": True, "third_party_instance_id": "irc"}, "M_INVALID_PARAM")])
def test_list_public_rooms_010_bad_bodies(user, body, errcode):
    user.call("POST", f"{V3}/publicRooms", body, status=400, errcode=errcode)


def test_list_public_rooms_011_other_servers_and_networks(user, server):
    user.call("GET", f"{V3}/publicRooms?server=elsewhere.example", status=404, errcode="M_NOT_FOUND")
    user.call("POST", f"{V3}/publicRooms?server=elsewhere.example", {}, status=404, errcode="M_NOT_FOUND")
    user.call("POST", f"{V3}/publicRooms", {"third_party_instance_id": "irc-x"}, status=404, errcode="M_NOT_FOUND")
    user.call("GET", f"{V3}/publicRooms?server={quote(server.server_name)}&limit=1")


def test_list_public_rooms_012_empty_body_and_zero(user, town):
    assert user.call("POST", f"{V3}/publicRooms", data=b"")["chunk"]
    assert len(user.call("GET", f"{V3}/publicRooms?limit=0")["chunk"]) >= 7
    user.call("POST", f"{V3}/publicRooms", data=b"{", status=400, errcode="M_NOT_JSON")


# ---------------------------------------------------------------------- directory/list/room
@pytest.mark.parametrize("base", [R0, V3])
def test_list_public_rooms_020_visibility_is_set_and_told(user, server, base):
    room_id = user.create_room()
    path = f"{base}/directory/list/room/{quote(room_id)}"
    assert server.call("GET", path, token=None).json() == {"visibility": "private"}
    assert user.call("PUT", path, {"visibility": "public"}).json() == {}
    assert user.call("PUT", path, {"visibility": "public"}).json() == {}
    assert visibility(user, room_id).json() == {"visibility": "public"}
    user.call("PUT", path, {"visibility": "private"})
    assert visibility(user, room_id)["visibility"] == "private"
    user.call("PUT", path, {})   # "Defaults to `public`"
    assert visibility(user, room_id)["visibility"] == "public"


def test_list_public_rooms_021_who_may_set_it(user, user2, new_user, server):
    room_id = user.create_room(preset="public_chat")
    path = f"{V3}/directory/list/room/{quote(room_id)}"
    user2.join(room_id)
    for stranger in (user2, new_user()):
        stranger.call("PUT", path, {"visibility": "public"}, status=403, errcode="M_FORBIDDEN")
    server.admin().call("PUT", path, {"visibility": "public"})
    assert visibility(user, room_id)["visibility"] == "public"


def test_list_public_rooms_022_bad_input(user):
    room_id = user.create_room()
    path = f"{V3}/directory/list/room/{quote(room_id)}"
    user.call("PUT", path, {"visibility": 1}, status=400, errcode="M_BAD_JSON")
    user.call("PUT", path, {"visibility": "secret"}, status=400, errcode="M_INVALID_PARAM")
    visibility(user, UNKNOWN_ROOM, status=404, errcode="M_NOT_FOUND")
    user.call("PUT", f"{V3}/directory/list/room/{quote(UNKNOWN_ROOM)}", {}, status=404, errcode="M_NOT_FOUND")
    visibility(user, "nonsense", status=400, errcode="M_INVALID_PARAM")
    assert visibility(user, room_id)["visibility"] == "private"


def test_list_public_rooms_023_credentials(server):
    refuses_strangers(server, "POST", "/publicRooms", {})
    refuses_strangers(server, "PUT", f"/directory/list/room/{quote(UNKNOWN_ROOM)}", {"visibility": "public"})
    server.call("GET", f"{V3}/publicRooms", token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    server.call("GET", f"{V3}/directory/list/room/{quote(UNKNOWN_ROOM)}", token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
