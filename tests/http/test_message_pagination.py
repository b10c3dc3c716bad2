# SPDX-License-Identifier: Apache-2.0
"""CS-API: GET /rooms/{roomId}/messages."""
import pytest

from harness import V3, quote
from room_calls import R0, as_filter, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43


def page(user, room_id, query="dir=b", **expect):
    return user.call("GET", room_path(room_id, f"messages?{query}"), **expect).json()


def bodies(answer):
    return [e["content"].get("body") for e in answer["chunk"] if e["type"] == "m.room.message"]


@pytest.fixture
def room(user):
    """25 messages on top of the first events of a room."""
    room_id = user.create_room(preset="public_chat")
    for i in range(25):
        user.send(room_id, f"m{i}")
    return room_id


@pytest.mark.parametrize("base", [R0, V3])
def test_message_pagination_001_ten_back_from_the_end(user, room, base):
    answer = user.call("GET", f"{base}/rooms/{quote(room)}/messages?dir=b").json()
    assert bodies(answer) == [f"m{i}" for i in range(24, 14, -1)]
    assert answer["start"] and answer["end"] and "state" not in answer
    assert all(e["room_id"] == room and "unsigned" in e for e in answer["chunk"])


def test_message_pagination_002_back_to_the_beginning(user, room):
    seen, token, answers = [], "", 0
    while True:
        answer = page(user, room, f"dir=b&limit=7{token}")
        seen += answer["chunk"]
        answers += 1
        if "end" not in answer:
            break
        assert len(answer["chunk"]) == 7
        token = f"&from={quote(answer['end'])}"
    assert seen[-1]["type"] == "m.room.create" and answers == 5
    assert len({e["event_id"] for e in seen}) == len(seen) == 31
    forward, token = [], ""
    while token is not None:
        answer = page(user, room, f"dir=f&limit=4{token}")
        forward += answer["chunk"]
        token = f"&from={quote(answer['end'])}" if "end" in answer else None
    assert [e["event_id"] for e in forward] == [e["event_id"] for e in reversed(seen)]


def test_message_pagination_003_start_is_what_from_was(user, room):
    first = page(user, room, "dir=b&limit=3")
    second = page(user, room, f"dir=b&limit=3&from={quote(first['end'])}")
    assert second["start"] == first["end"] and bodies(second) == ["m21", "m20", "m19"]
    # a start token leads the same way again; turning round at an end gives the page back
    assert bodies(page(user, room, f"dir=b&limit=3&from={quote(first['start'])}")) == bodies(first)
    assert bodies(page(user, room, f"dir=f&limit=3&from={quote(first['end'])}")) == list(reversed(bodies(first)))


def test_message_pagination_004_to_stops(user, room):
    first = page(user, room, "dir=b&limit=2")
    second = page(user, room, f"dir=b&limit=5&from={quote(first['end'])}")
    between = page(user, room, f"dir=b&limit=100&from={quote(first['end'])}&to={quote(second['end'])}")
    assert bodies(between) == bodies(second)
    back = page(user, room, f"dir=f&limit=100&from={quote(second['end'])}&to={quote(first['end'])}")
    assert bodies(back) == list(reversed(bodies(second)))


def test_message_pagination_005_tokens_of_sync(user, room):
    answer = user.sync(filter='{"room":{"timeline":{"limit":5}}}')
    timeline = answer["rooms"]["join"][room]["timeline"]
    assert timeline["limited"] and [e["content"]["body"] for e in timeline["events"]] == ["m20", "m21", "m22", "m23", "m24"]
    assert bodies(page(user, room, f"dir=b&limit=3&from={quote(timeline['prev_batch'])}")) == ["m19", "m18", "m17"]
    user.send(room, "new")
    assert bodies(page(user, room, f"dir=f&from={quote(answer['next_batch'])}")) == ["new"]
    assert bodies(page(user, room, f"dir=b&limit=1&from={quote(answer['next_batch'])}")) == ["m24"]


def test_message_pagination_006_forward_ends_at_the_end(user, room):
    last = page(user, room, "dir=b&limit=1")
    answer = page(user, room, f"dir=f&from={quote(last['start'])}")
    assert answer["chunk"] == [] and "end" not in answer


def test_message_pagination_007_filters(user, user2, room):
    user2.join(room)
    user2.send(room, "from two")
    user2.send(room, type="org.example.thing", content={"url": "mxc://x/y"})
    user2.send(room, type="org.example.other", content={"url": 5})

    def types(**members):
        return [e["type"] for e in page(user, room, f"dir=b&limit=100&{as_filter(**members)}")["chunk"]]
    assert types(types=["org.example.*"]) == ["org.example.other", "org.example.thing"]
    assert types(types=["org.example.thing"], not_types=["org.*"]) == []
    assert types(senders=[user2.user_id]) == ["org.example.other", "org.example.thing", "m.room.message", "m.room.member"]
    assert types(senders=[user2.user_id], not_types=["m.*"]) == ["org.example.other", "org.example.thing"]
    others = page(user, room, f"dir=b&limit=100&{as_filter(not_senders=[user2.user_id])}")["chunk"]
    assert others and user2.user_id not in {e["sender"] for e in others}
    assert types(contains_url=True) == ["org.example.thing"]
    assert "org.example.thing" not in types(contains_url=False) and "org.example.other" in types(contains_url=False)
    assert types(senders=[]) == [] and types(types=[]) == []
    assert types(rooms=[UNKNOWN_ROOM]) == [] and types(not_rooms=[room]) == []
    assert types(types=["org_example%"]) == [] and types(types=["org.exampl_.thing"]) == []


def test_message_pagination_008_a_filter_pages_too(user, user2, room):
    user2.join(room)
    for i in range(5):
        user2.send(room, f"two{i}")
        user.send(room, f"one{i}")
    wanted, seen, token = as_filter(senders=[user2.user_id], types=["m.room.message"]), [], ""
    while token is not None:
        answer = page(user, room, f"dir=b&limit=2&{wanted}{token}")
        seen += bodies(answer)
        token = f"&from={quote(answer['end'])}" if "end" in answer else None
    assert seen == ["two4", "two3", "two2", "two1", "two0"]


@pytest.mark.parametrize("direction", ["b", "f"])
def test_message_pagination_009_lazy_loaded_members(user, user2, new_user, direction):
    """CS-API: lazy-loading room members: the senders of the chunk, nobody else."""
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    new_user().join(room_id)
    start = user.sync()["next_batch"]
    user2.send(room_id, "hello")
    lazy = as_filter(lazy_load_members=True)
    query = f"dir=f&from={quote(start)}&{lazy}" if direction == "f" else f"dir=b&limit=1&{lazy}"
    answer = page(user, room_id, query)
    assert bodies(answer) == ["hello"]
    assert [(e["type"], e["state_key"], e["room_id"]) for e in answer["state"]] == [("m.room.member", user2.user_id, room_id)]


def test_message_pagination_010_one_who_left_sees_up_to_the_leave(user, user2, room):
    user2.join(room)
    user.send(room, "both")
    user2.leave(room)
    user.send(room, "later")
    answer = page(user2, room, "dir=b&limit=3")
    assert [(e["type"], e["content"].get("body") or e["content"]["membership"]) for e in answer["chunk"]] == [
        ("m.room.member", "leave"), ("m.room.message", "both"), ("m.room.member", "join")]
    everything = page(user2, room, "dir=f&limit=100")
    assert everything["chunk"][-1]["content"]["membership"] == "leave" and "end" not in everything
    user2.join(room)
    assert "later" in bodies(page(user2, room, "dir=b&limit=5"))


@pytest.mark.parametrize("query, errcode", [
    ("", "M_MISSING_PARAM"), ("dir=x", "M_INVALID_PARAM"), ("dir=", "M_INVALID_PARAM"), ("dir=b&limit=-1", "M_INVALID_PARAM"),
    ("dir=b&limit=many", "M_INVALID_PARAM"), ("dir=b&limit=1.5", "M_INVALID_PARAM"), ("dir=b&from=nonsense", "M_INVALID_PARAM"),
    ("dir=b&from=", "M_INVALID_PARAM"), ("dir=b&to=t1x", "M_INVALID_PARAM"), ("dir=b&from=s9999999999999", "M_INVALID_PARAM"),
    ("dir=f&from=t9999999999999999", "M_INVALID_PARAM"), ("dir=b&from=t99999999999999999999999", "M_INVALID_PARAM"),
    ("dir=b&filter={", "M_NOT_JSON"), ("dir=b&filter=[]", "M_BAD_JSON"), ("dir=b&filter=%7B%22types%22:1%7D", "M_BAD_JSON"),
    ("dir=b&filter=%7B%22senders%22:[1]%7D", "M_BAD_JSON"), ("dir=b&filter=%7B%22lazy_load_members%22:1%7D", "M_BAD_JSON")])
def test_message_pagination_011_bad_parameters(user, room, query, errcode):
    user.call("GET", room_path(room, f"messages?{query}"), status=400, errcode=errcode)


def test_message_pagination_012_the_limit_has_a_limit(user, room):
    assert len(page(user, room, "dir=b&limit=99999999999")["chunk"]) == 31
    assert len(page(user, room, f"dir=b&{as_filter(limit=3)}")["chunk"]) == 3
    for direction in ("b", "f"):
        nothing = page(user, room, f"dir={direction}&limit=0")
        assert nothing["chunk"] == []
        assert len(page(user, room, f"dir={direction}&limit=2&from={quote(nothing['end'])}")["chunk"]) == 2


def test_message_pagination_013_who_may_not(user, user2, room):
    path = room_path(room, "messages?dir=b")
    user2.call("GET", path, status=403, errcode="M_FORBIDDEN")
    user.invite(room, user2.user_id)
    user2.call("GET", path, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room, "ban"), {"user_id": user2.user_id})
    user2.call("GET", path, status=403, errcode="M_FORBIDDEN")
    user.call("GET", room_path(UNKNOWN_ROOM, "messages?dir=b"), status=403, errcode="M_FORBIDDEN")
    user.call("GET", f"{V3}/rooms/nonsense/messages?dir=b", status=400, errcode="M_INVALID_PARAM")


def test_message_pagination_014_credentials(server):
    refuses_strangers(server, "GET", f"/rooms/{quote(UNKNOWN_ROOM)}/messages?dir=b")
