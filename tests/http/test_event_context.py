# SPDX-License-Identifier: Apache-2.0
"""CS-API: GET /rooms/{roomId}/context/{eventId}."""
import pytest

from harness import V3, quote
from room_calls import R0, as_filter, refuses_strangers, room_path

UNKNOWN_ROOM = "!" + "A" * 43
UNKNOWN_EVENT = "$" + "A" * 43


@pytest.fixture
def talk(user):
    room_id = user.create_room(preset="public_chat")
    return room_id, [user.send(room_id, f"m{i}") for i in range(9)]


def context(user, room_id, event_id, query="", **expect):
    return user.call("GET", room_path(room_id, f"context/{quote(event_id)}{query}"), **expect).json()


def ids(events):
    return [e["event_id"] for e in events]


@pytest.mark.parametrize("base", [R0, V3])
def test_event_context_001_around_an_event(user, talk, base):
    room_id, sent = talk
    answer = user.call("GET", f"{base}/rooms/{quote(room_id)}/context/{quote(sent[4])}?limit=4").json()
    assert answer["event"]["event_id"] == sent[4] and answer["event"]["room_id"] == room_id
    assert ids(answer["events_before"]) == [sent[3], sent[2]] and ids(answer["events_after"]) == [sent[5], sent[6]]
    assert {"m.room.create", "m.room.member", "m.room.power_levels"} <= {e["type"] for e in answer["state"]}


def test_event_context_002_the_tokens_lead_on(user, talk):
    room_id, sent = talk
    answer = context(user, room_id, sent[4], "?limit=2")
    before = user.call("GET", room_path(room_id, f"messages?dir=b&limit=2&from={quote(answer['start'])}"))["chunk"]
    after = user.call("GET", room_path(room_id, f"messages?dir=f&limit=2&from={quote(answer['end'])}"))["chunk"]
    assert ids(before) == [sent[2], sent[1]] and ids(after) == [sent[6], sent[7]]


def test_event_context_003_limits(user, talk):
    room_id, sent = talk
    none = context(user, room_id, sent[4], "?limit=0")
    assert none["events_before"] == [] and none["events_after"] == [] and none["event"]["event_id"] == sent[4]
    usual = context(user, room_id, sent[4])
    assert len(usual["events_before"]) + len(usual["events_after"]) <= 10
    assert len(context(user, room_id, sent[4], "?limit=100000")["events_before"]) == 10
    for bad in ("-1", "x", ""):
        user.call("GET", room_path(room_id, f"context/{quote(sent[4])}?limit={bad}"), status=400, errcode="M_INVALID_PARAM")


def test_event_context_004_the_state_is_that_of_the_last_event(user, talk):
    room_id, sent = talk
    user.put_state(room_id, "m.room.name", {"name": "old"})
    middle = user.send(room_id, "between")
    user.put_state(room_id, "m.room.name", {"name": "new"})

    def name(query):
        return [e["content"]["name"] for e in context(user, room_id, middle, query)["state"] if e["type"] == "m.room.name"]
    assert name("?limit=0") == ["old"] and name("?limit=2") == ["new"]
    assert not [e for e in context(user, room_id, sent[0], "?limit=2")["state"] if e["type"] == "m.room.name"]


def test_event_context_005_filters(user, user2, talk):
    room_id, sent = talk
    user2.join(room_id)
    user2.send(room_id, "two")
    other = user2.send(room_id, type="org.example.x", content={})
    answer = context(user, room_id, sent[8], f"?{as_filter(types=['org.example.*'])}")
    assert answer["event"]["event_id"] == sent[8] and answer["events_before"] == []
    assert ids(answer["events_after"]) == [other] and answer["state"] == []
    lazy = context(user, room_id, sent[0], f"?limit=2&{as_filter(lazy_load_members=True)}")
    assert [e["state_key"] for e in lazy["state"] if e["type"] == "m.room.member"] == [user.user_id]
    assert {"m.room.create", "m.room.join_rules"} <= {e["type"] for e in lazy["state"]}
    both = context(user, room_id, sent[8], f"?limit=4&{as_filter(lazy_load_members=True)}")
    assert {e["state_key"] for e in both["state"] if e["type"] == "m.room.member"} == {user.user_id, user2.user_id}
    user.call("GET", room_path(room_id, f"context/{quote(sent[0])}?filter=nonsense"), status=400, errcode="M_NOT_JSON")
    user.call("GET", room_path(room_id, f"context/{quote(sent[0])}?filter=1"), status=400, errcode="M_BAD_JSON")


def test_event_context_006_not_there_or_not_allowed(user, user2, talk):
    room_id, sent = talk
    context(user, room_id, UNKNOWN_EVENT, status=404, errcode="M_NOT_FOUND")
    context(user, user.create_room(), sent[0], status=404, errcode="M_NOT_FOUND")
    context(user2, room_id, sent[0], status=403, errcode="M_FORBIDDEN")
    context(user, UNKNOWN_ROOM, sent[0], status=403, errcode="M_FORBIDDEN")
    context(user, room_id, "nonsense", status=400, errcode="M_INVALID_PARAM")
    user2.join(room_id)
    user2.leave(room_id)
    later = user.send(room_id, "later")
    context(user2, room_id, later, status=404, errcode="M_NOT_FOUND")
    answer = context(user2, room_id, sent[8], "?limit=20")
    assert later not in ids(answer["events_after"])
    user.call("POST", room_path(room_id, "ban"), {"user_id": user2.user_id})
    context(user2, room_id, sent[0], status=403, errcode="M_FORBIDDEN")


def test_event_context_007_at_the_ends_of_the_room(user):
    room_id = user.create_room()
    create = user.call("GET", room_path(room_id, "messages?dir=f&limit=1"))["chunk"][0]["event_id"]
    first = context(user, room_id, create, "?limit=2")
    assert first["events_before"] == [] and len(first["events_after"]) == 1 and first["state"]
    last = user.send(room_id, "last")
    assert context(user, room_id, last, "?limit=2")["events_after"] == []


def test_event_context_008_credentials(server):
    refuses_strangers(server, "GET", f"/rooms/{quote(UNKNOWN_ROOM)}/context/{quote(UNKNOWN_EVENT)}")
