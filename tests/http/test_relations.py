# SPDX-License-Identifier: Apache-2.0
"""CS-API: relationships API: GET /rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]]."""
import pytest

from harness import quote
from relation_calls import V1, bundle, edit, ids, ignore, react, redact, refer, relates, reply, text
from room_calls import room_path

UNKNOWN_ROOM = "!" + "A" * 43
UNKNOWN_EVENT = "$" + "A" * 43


def path(room, event_id, tail="", query=""):
    return f"{V1}/rooms/{quote(room)}/relations/{quote(event_id)}{tail}{query}"


def children(user, room, event_id, tail="", query="", **expect):
    return user.call("GET", path(room, event_id, tail, query), **expect).json()


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


@pytest.fixture
def talk(user, user2, room):
    """A root with one of each child, oldest first."""
    root = user.send(room, "root")
    return root, [reply(user2, room, root), react(user2, room, root)["event_id"], edit(user, room, root), refer(user, room, root)]


def test_relations_001_all_children_newest_first(user, room, talk):
    root, sent = talk
    answer = children(user, room, root)
    assert ids(answer["chunk"]) == sent[::-1]
    assert set(answer) == {"chunk"} and answer["chunk"][0]["room_id"] == room
    assert ids(children(user, room, root, query="?dir=f")["chunk"]) == sent
    assert children(user, room, sent[0])["chunk"] == []


def test_relations_002_by_relation_and_by_event_type(user, room, talk):
    root, sent = talk
    for i, (rel_type, type) in enumerate([("m.thread", "m.room.message"), ("m.annotation", "m.reaction"),
                                          ("m.replace", "m.room.message"), ("m.reference", "org.example.answer")]):
        assert ids(children(user, room, root, f"/{rel_type}")["chunk"]) == [sent[i]]
        assert ids(children(user, room, root, f"/{rel_type}/{type}")["chunk"]) == [sent[i]]
        assert children(user, room, root, f"/{rel_type}/m.sticker")["chunk"] == []
    assert user.call("GET", f"{V1}/rooms/{quote(room)}/relations/{quote(root)}/org.example.none").json() == {"chunk": []}
    assert children(user, room, root, "/m.thread/org.example.never-seen")["chunk"] == []


@pytest.mark.parametrize("tail, query", [("", ""), ("/m.thread", ""), ("/m.thread/m.room.message", ""), ("", "&recurse=true")])
def test_relations_003_page_by_page(user, room, tail, query):
    root = user.send(room, "root")
    sent = [reply(user, room, root, f"r{i}") for i in range(7)]
    for direction, wanted in (("b", sent[::-1]), ("f", sent)):
        got, token, pages = [], "", 0
        while token is not None:
            answer = children(user, room, root, tail, f"?limit=3&dir={direction}{query}" + (f"&from={token}" if token else ""))
            assert answer.get("prev_batch") == (token or None)
            got += ids(answer["chunk"])
            token = answer.get("next_batch")
            pages += 1
        assert got == wanted and pages == 3


def test_relations_004_tokens_of_sync_and_messages(user, room):
    root = user.send(room, "root")
    first = reply(user, room, root)
    since = user.sync()["next_batch"]
    second = reply(user, room, root)
    start = user.call("GET", room_path(room, "messages?dir=b&limit=1"))["start"]
    assert ids(children(user, room, root, query=f"?from={since}")["chunk"]) == [first]
    assert ids(children(user, room, root, query=f"?to={since}")["chunk"]) == [second]
    assert ids(children(user, room, root, query=f"?dir=f&from={since}")["chunk"]) == [second]
    assert ids(children(user, room, root, query=f"?from={start}")["chunk"]) == [second, first]
    assert children(user, room, root, query=f"?from={since}&to={start}")["chunk"] == []


def test_relations_005_recursion(user, user2, room):
    root = user.send(room, "root")
    child = reply(user2, room, root)
    grandchild = react(user, room, child)["event_id"]
    third = refer(user, room, grandchild)
    fourth = refer(user, room, third)
    answer = children(user, room, root, query="?recurse=true")
    assert ids(answer["chunk"]) == [third, grandchild, child] and answer["recursion_depth"] == 3
    assert fourth in ids(children(user, room, child, query="?recurse=true")["chunk"])
    flat = children(user, room, root, query="?recurse=false")
    assert ids(flat["chunk"]) == [child] and flat["recursion_depth"] == 1
    assert "recursion_depth" not in children(user, room, root)
    # filters hold at every step: what hangs on another kind of relation is not reached
    assert ids(children(user, room, root, "/m.thread", "?recurse=true")["chunk"]) == [child]
    assert children(user, room, root, "/m.reference", "?recurse=true")["chunk"] == []
    redact(user2, room, child)
    assert children(user, room, root, query="?recurse=true")["chunk"] == []


def test_relations_006_redacted_children_are_none(user, room, talk):
    root, sent = talk
    redact(user, room, sent[1])
    assert sent[1] not in ids(children(user, room, root)["chunk"])
    redact(user, room, root)
    assert ids(children(user, room, root)["chunk"]) == [sent[3], sent[2], sent[0]], "children of a redacted event stay"


def test_relations_007_ignored_users(user, user2, room, talk):
    root, sent = talk
    ignore(user, user2.user_id)
    assert ids(children(user, room, root)["chunk"]) == [sent[3], sent[2]]
    assert ids(children(user, room, root, query="?recurse=true")["chunk"]) == [sent[3], sent[2]]
    assert ids(children(user2, room, root)["chunk"]) == sent[::-1]


def test_relations_008_of_another_room(user, room):
    root = user.send(room, "root")
    elsewhere = user.create_room()
    reply(user, elsewhere, root)
    assert children(user, room, root)["chunk"] == []
    children(user, elsewhere, root, status=404, errcode="M_NOT_FOUND")


def test_relations_009_children_carry_their_own_bundles(user, room):
    root = user.send(room, "root")
    child = reply(user, room, root)
    change = edit(user, room, child)
    got = children(user, room, root, "/m.thread")["chunk"][0]
    assert bundle(got)["m.replace"]["event_id"] == change
    assert bundle(children(user, room, root)["chunk"][-1])["m.replace"]["content"]["m.new_content"] == text("edited")


def test_relations_010_history_visibility(user, user2, new_user):
    room = user.create_room(preset="public_chat")
    user.put_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    before = user.send(room, "before")
    reply(user, room, before)
    user2.join(room)
    children(user2, room, before, status=404, errcode="M_NOT_FOUND")
    root = user.send(room, "root")
    seen = [reply(user, room, root) for _ in range(2)]
    user2.leave(room)
    for _ in range(30):
        reply(user, room, root)
    for query in ("", "?limit=1", "?recurse=true"):
        assert ids(children(user2, room, root, query=query)["chunk"]) == seen[::-1][:1 if "limit" in query else 2]
    children(new_user(), room, root, status=404, errcode="M_NOT_FOUND")


def test_relations_011_not_there(user, new_user, room, talk):
    root, sent = talk
    children(user, room, UNKNOWN_EVENT, status=404, errcode="M_NOT_FOUND")
    children(user, UNKNOWN_ROOM, root, status=404, errcode="M_NOT_FOUND")
    for tail in ("", "/m.thread", "/m.thread/m.room.message"):
        children(new_user(), room, root, tail, status=404, errcode="M_NOT_FOUND")
    user.call("GET", f"{V1}/rooms/nonsense/relations/{quote(root)}", status=400, errcode="M_INVALID_PARAM")
    children(user, room, "nonsense", status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("query", ["dir=x", "dir=", "limit=-1", "limit=x", "limit=1.5", "from=nonsense", "from=", "to=t1x",
                                   "from=s9999999999999", "recurse=maybe", "recurse="])
def test_relations_012_bad_parameters(user, room, talk, query):
    for tail in ("", "/m.thread", "/m.thread/m.room.message"):
        children(user, room, talk[0], tail, f"?{query}", status=400, errcode="M_INVALID_PARAM")


def test_relations_013_limits(user, server, room):
    root = user.send(room, "root")
    sent = [reply(user, room, root, f"r{i}") for i in range(22)]
    usual = children(user, room, root)
    assert len(usual["chunk"]) == 20 and "next_batch" in usual
    assert ids(children(user, room, root, query="?limit=99999999999")["chunk"]) == sent[::-1]
    assert children(user, room, root, query="?limit=0")["chunk"] == []


def test_relations_014_what_is_no_relation(user, room):
    root = user.send(room, "root")
    for relation in ({"event_id": root}, {"rel_type": "m.thread"}, {"rel_type": 1, "event_id": root}, {"rel_type": "", "event_id": root},
                     {"m.in_reply_to": {"event_id": root}}, {"rel_type": "m.thread", "event_id": [root]}, "text", [], None):
        user.send(room, content=text(**{"m.relates_to": relation}))
    assert children(user, room, root)["chunk"] == []
    odd = user.send(room, content=text(**relates("org.example.ü/?", root)))
    assert ids(children(user, room, root, f"/{quote('org.example.ü/?')}")["chunk"]) == [odd]


@pytest.mark.parametrize("tail", ["", "/m.thread", "/m.thread/m.room.message"])
def test_relations_015_credentials(server, tail):
    target = path(UNKNOWN_ROOM, UNKNOWN_EVENT, tail)
    server.call("GET", target, token=None, status=401, errcode="M_MISSING_TOKEN")
    server.call("GET", target, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    server.call("POST", target, {}, token=None, status=405, errcode="M_UNRECOGNIZED")
