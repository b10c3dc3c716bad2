# SPDX-License-Identifier: Apache-2.0
"""CS-API: querying threads in a room: GET /rooms/{roomId}/threads."""
import pytest

from harness import quote
from relation_calls import V1, bundle, edit, ids, ignore, redact, reply

UNKNOWN_ROOM = "!" + "A" * 43


def threads(user, room, query="", **expect):
    return user.call("GET", f"{V1}/rooms/{quote(room)}/threads{query}", **expect).json()


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def test_threads_list_001_by_their_newest_event(user, room):
    roots = [user.send(room, f"root{i}") for i in range(3)]
    user.send(room, "no root")
    for i in (0, 1, 2, 0):
        last = reply(user, room, roots[i])
    answer = threads(user, room)
    assert ids(answer["chunk"]) == [roots[0], roots[2], roots[1]] and set(answer) == {"chunk"}
    thread = bundle(answer["chunk"][0])["m.thread"]
    assert thread["count"] == 2 and thread["latest_event"]["event_id"] == last and answer["chunk"][0]["room_id"] == room


def test_threads_list_002_an_empty_room(user, room):
    assert threads(user, room) == {"chunk": []}


def test_threads_list_003_page_by_page(user, room):
    roots = [user.send(room, f"root{i}") for i in range(7)]
    for _ in range(2):
        for root in roots:
            reply(user, room, root)
    got, token, pages = [], "", 0
    while token is not None:
        answer = threads(user, room, "?limit=3" + (f"&from={token}" if token else ""))
        got += ids(answer["chunk"])
        token = answer.get("next_batch")
        pages += 1
    assert got == roots[::-1] and pages == 3


def test_threads_list_004_participated(user, user2, room):
    begun, answered, others = user2.send(room, "mine"), user.send(room, "answered"), user.send(room, "others")
    for root in (begun, answered, others):
        reply(user, room, root)
    own = reply(user2, room, answered)
    assert ids(threads(user2, room, "?include=participated")["chunk"]) == [answered, begun]
    assert [bundle(e)["m.thread"]["current_user_participated"] for e in threads(user2, room, "?include=all")["chunk"]] == [True, False, True]
    redact(user2, room, own)
    assert ids(threads(user2, room, "?include=participated")["chunk"]) == [begun]


def test_threads_list_005_redacted_events_do_not_count(user, room):
    one, two = user.send(room, "one"), user.send(room, "two")
    reply(user, room, one)
    reply(user, room, two)
    late = reply(user, room, one)
    assert ids(threads(user, room)["chunk"]) == [one, two]
    redact(user, room, late)
    assert ids(threads(user, room)["chunk"]) == [two, one]
    redact(user, room, two)
    first = threads(user, room)["chunk"][0]
    assert first["event_id"] == two and first["content"] == {} and bundle(first)["m.thread"]["count"] == 1, "a redacted root is one still"


def test_threads_list_006_ignored_users(user, user2, new_user, room):
    user3 = new_user()
    user3.join(room)
    mine, theirs, quiet = user.send(room, "mine"), user2.send(room, "secret"), user.send(room, "quiet")
    reply(user3, room, mine)
    reply(user3, room, theirs)
    reply(user2, room, mine)
    reply(user2, room, quiet)
    edit(user2, room, theirs)
    ignore(user, user2.user_id)
    chunk = threads(user, room)["chunk"]
    assert ids(chunk) == [theirs, mine], "threads stand where their newest event of somebody else stands"
    assert chunk[0]["content"] == {} and chunk[0]["sender"] == user2.user_id and "m.replace" not in bundle(chunk[0])
    assert bundle(chunk[1])["m.thread"]["count"] == 1
    assert len(threads(user3, room)["chunk"]) == 3


def test_threads_list_007_what_has_no_thread(user, room):
    root = user.send(room, "root")
    child = reply(user, room, root)
    elsewhere = user.create_room()
    reply(user, elsewhere, root)
    assert threads(user, elsewhere) == {"chunk": []}
    user.send(room, content={"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": "$unknown"}})
    assert ids(threads(user, room)["chunk"]) == [root] and child


def test_threads_list_008_history_visibility(user, user2):
    room = user.create_room(preset="public_chat")
    user.put_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    old = user.send(room, "old")
    reply(user, room, old)
    user2.join(room)
    seen = user.send(room, "seen")
    last = reply(user, room, seen)
    reply(user, room, old)
    assert ids(threads(user2, room)["chunk"]) == [seen]
    user2.leave(room)
    later = user.send(room, "later")
    for root in (later, seen):
        reply(user, room, root)
    chunk = threads(user2, room)["chunk"]
    assert ids(chunk) == [seen]
    assert bundle(chunk[0])["m.thread"]["count"] == 1 and bundle(chunk[0])["m.thread"]["latest_event"]["event_id"] == last
    assert ids(threads(user, room)["chunk"]) == [seen, later, old]


def test_threads_list_009_who_may_not(user, user2, new_user, room):
    threads(new_user(), room, status=403, errcode="M_FORBIDDEN")
    threads(user, UNKNOWN_ROOM, status=403, errcode="M_FORBIDDEN")
    user.call("POST", f"/_matrix/client/v3/rooms/{quote(room)}/ban", {"user_id": user2.user_id})
    threads(user2, room, status=403, errcode="M_FORBIDDEN")
    user.call("GET", f"{V1}/rooms/nonsense/threads", status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("query", ["include=some", "include=", "limit=0", "limit=-1", "limit=x", "from=nonsense", "from=",
                                   "from=s9999999999999"])
def test_threads_list_010_bad_parameters(user, room, query):
    threads(user, room, f"?{query}", status=400, errcode="M_INVALID_PARAM")


def test_threads_list_011_a_world_readable_room(user, new_user):
    room = user.create_room(preset="public_chat")
    user.put_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    root = user.send(room, "root")
    reply(user, room, root)
    assert ids(threads(new_user(), room)["chunk"]) == [root]


def test_threads_list_012_a_long_thread_before_others(user, room):
    """More events in one thread than one look at the database takes: what stands behind it is found."""
    first, second = user.send(room, "first"), user.send(room, "second")
    reply(user, room, first)
    for _ in range(255):
        reply(user, room, second)
    assert ids(threads(user, room)["chunk"]) == [second, first]
    answer = threads(user, room, "?limit=1")
    assert ids(answer["chunk"]) == [second] and bundle(answer["chunk"][0])["m.thread"]["count"] == 255
    assert ids(threads(user, room, f"?limit=1&from={answer['next_batch']}")["chunk"]) == [first]


def test_threads_list_013_credentials(server):
    target = f"{V1}/rooms/{quote(UNKNOWN_ROOM)}/threads"
    server.call("GET", target, token=None, status=401, errcode="M_MISSING_TOKEN")
    server.call("GET", target, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    server.call("POST", target, {}, token=None, status=405, errcode="M_UNRECOGNIZED")
