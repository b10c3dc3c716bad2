# SPDX-License-Identifier: Apache-2.0
"""CS-API: GET /sync, field by field; what of it test_sync.py does not ask. And markers and tokens of others."""
import json

import pytest

from harness import V3, quote

LEFT = json.dumps({"room": {"include_leave": True}})


def rooms(room_id, tail):
    return f"{V3}/rooms/{quote(room_id)}/{tail}"


def data_path(user, room_id, type):
    return f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room_id)}/account_data/{type}"


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def kinds(events):
    return {(e["type"], e.get("state_key")) for e in events}


# ---------------------------------------------------------------------- left rooms
@pytest.mark.parametrize("action, membership", [("kick", "leave"), ("ban", "ban")])
def test_sync_fields_001_who_is_put_out_is_told_so(user, user2, room, action, membership):
    """CS-API: rooms.leave: "The rooms that the user has left or been banned from"."""
    since = user2.sync()["next_batch"]
    user.call("POST", rooms(room, action), {"user_id": user2.user_id, "reason": "because"})
    user.send(room, "afterwards")
    user.put_state(room, "m.room.topic", {"topic": "afterwards"})
    incremental = user2.sync(since)["rooms"]
    assert room not in incremental["join"] and set(incremental["leave"]) == {room}
    archived = user2.sync(filter=LEFT)["rooms"]["leave"]
    assert room not in user2.sync()["rooms"]["leave"]
    for told in (incremental["leave"][room], archived[room]):
        last = told["timeline"]["events"][-1]
        assert last["content"]["membership"] == membership and last["state_key"] == user2.user_id
        assert "afterwards" not in json.dumps(told) and "prev_batch" in told["timeline"] and "ephemeral" not in told
    assert ("m.room.create", "") in kinds(archived[room]["state"]["events"] + archived[room]["timeline"]["events"])


def test_sync_fields_002_left_rooms_have_account_data(user, user2, room):
    """CS-API: Left Room: account_data: "The private data that this user has attached to this room"."""
    user2.call("PUT", data_path(user2, room, "x.y"), {"a": 1})
    since = user2.sync()["next_batch"]
    user2.call("PUT", data_path(user2, room, "x.z"), {"b": 2})
    user2.leave(room)
    assert user2.sync(since)["rooms"]["leave"][room]["account_data"]["events"] == [{"type": "x.z", "content": {"b": 2}}]
    archived = user2.sync(filter=LEFT)["rooms"]["leave"][room]
    assert {e["type"] for e in archived["account_data"]["events"]} == {"x.y", "x.z"}
    hidden = json.dumps({"room": {"include_leave": True, "account_data": {"types": ["x.y"]}}})
    assert [e["type"] for e in user2.sync(filter=hidden)["rooms"]["leave"][room]["account_data"]["events"]] == ["x.y"]


def test_sync_fields_003_forgotten_rooms_are_not_there(user2, room):
    user2.leave(room)
    user2.call("POST", rooms(room, "forget"), {})
    assert room not in user2.sync(filter=LEFT)["rooms"]["leave"]


def test_sync_fields_004_state_after_of_a_left_room(user, user2, room):
    """CS-API: state_after: "Required if use_state_after was set to true", `state` omitted then."""
    since = user2.sync()["next_batch"]
    user.put_state(room, "m.room.topic", {"topic": "before"})
    user2.leave(room)
    user.put_state(room, "m.room.topic", {"topic": "after"})
    for answer in (user2.sync(since, use_state_after="true"), user2.sync(use_state_after="true", filter=LEFT)):
        told = answer["rooms"]["leave"][room]
        assert "state" not in told
        topics = [e["content"]["topic"] for e in told["state_after"]["events"] if e["type"] == "m.room.topic"]
        assert topics == ["before"]
        assert any(e["state_key"] == user2.user_id and e["content"]["membership"] == "leave" for e in told["state_after"]["events"])


# ---------------------------------------------------------------------- state_after
def test_sync_fields_010_state_after_is_there_even_if_empty(user, user2, room):
    since = user.sync()["next_batch"]
    user2.send(room, "no state")
    told = user.sync(since, use_state_after="true")["rooms"]["join"][room]
    assert told["state_after"] == {"events": []} and "state" not in told
    plain = user.sync(since)["rooms"]["join"][room]
    assert plain["state"] == {"events": []} and "state_after" not in plain


def test_sync_fields_011_state_after_holds_what_the_timeline_changes(user, room):
    since = user.sync()["next_batch"]
    user.put_state(room, "m.room.topic", {"topic": "one"})
    user.put_state(room, "m.room.topic", {"topic": "two"})
    told = user.sync(since, use_state_after="true")["rooms"]["join"][room]
    assert [e["content"]["topic"] for e in told["state_after"]["events"]] == ["two"] and len(told["timeline"]["events"]) == 2
    plain = user.sync(since)["rooms"]["join"][room]
    assert plain["state"]["events"] == [] and len(plain["timeline"]["events"]) == 2


# ---------------------------------------------------------------------- invitations and knocks
def test_sync_fields_020_invite_state_tells_what_one_has_to_know(user, user2):
    """CS-API: stripped state: "at least the following" types, and the invitation itself."""
    room_id = user.create_room(name="Name", topic="Topic", room_alias_name=f"alias{user.user_id[1:].split(':')[0]}", initial_state=[
        {"type": "m.room.avatar", "state_key": "", "content": {"url": "mxc://example.org/a"}},
        {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}])
    user.invite(room_id, user2.user_id)
    events = user2.sync()["rooms"]["invite"][room_id]["invite_state"]["events"]
    wanted = {("m.room.create", ""), ("m.room.name", ""), ("m.room.topic", ""), ("m.room.avatar", ""), ("m.room.join_rules", ""),
              ("m.room.canonical_alias", ""), ("m.room.encryption", ""), ("m.room.member", user2.user_id)}
    assert kinds(events) >= wanted
    assert all({"type", "state_key", "content", "sender"} <= set(e) for e in events)
    own = next(e for e in events if e["state_key"] == user2.user_id)
    assert own["sender"] == user.user_id and own["content"]["membership"] == "invite"


def test_sync_fields_021_an_invitation_taken_back_is_a_left_room(user, user2):
    room_id = user.create_room(invite=[user2.user_id])
    since = user2.sync()["next_batch"]
    user.call("POST", rooms(room_id, "kick"), {"user_id": user2.user_id})
    answer = user2.sync(since)["rooms"]
    assert room_id in answer["leave"] and room_id not in answer["invite"] and room_id not in user2.sync()["rooms"]["invite"]


def test_sync_fields_022_a_knock_is_told_until_it_is_answered(user, user2):
    room_id = user.create_room(initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {"reason": "please"})
    answer = user2.sync()
    events = answer["rooms"]["knock"][room_id]["knock_state"]["events"]
    own = next(e for e in events if e["state_key"] == user2.user_id)
    assert own["content"]["membership"] == "knock" and own["content"]["reason"] == "please"
    assert room_id not in user2.sync(answer["next_batch"])["rooms"]["knock"]      # told once
    user.call("POST", rooms(room_id, "kick"), {"user_id": user2.user_id})
    later = user2.sync(answer["next_batch"])["rooms"]
    assert room_id in later["leave"] and room_id not in user2.sync()["rooms"]["knock"]


# ---------------------------------------------------------------------- summary
def test_sync_fields_030_heroes_are_five_and_never_oneself(user, new_user):
    room_id = user.create_room(preset="public_chat")
    others = [new_user() for _ in range(6)]
    for other in others:
        other.join(room_id)
    summary = user.sync()["rooms"]["join"][room_id]["summary"]
    assert summary["m.heroes"] == [other.user_id for other in others[:5]] and summary["m.joined_member_count"] == 7
    others[0].leave(room_id)
    assert others[0].user_id not in user.sync()["rooms"]["join"][room_id]["summary"]["m.heroes"]


def test_sync_fields_031_heroes_who_left_where_nobody_else_is(user, user2, room):
    """CS-API: "When no joined or invited members are available, this should consist of the banned and left users"."""
    since = user.sync()["next_batch"]
    user2.leave(room)
    for answer in (user.sync(since), user.sync()):
        summary = answer["rooms"]["join"][room]["summary"]
        assert summary["m.heroes"] == [user2.user_id] and summary["m.joined_member_count"] == 1


def test_sync_fields_032_lazy_loading_brings_the_heroes(user, user2, new_user, room):
    """CS-API: "the membership events for the heroes MUST be included in the `state`, unless they are redundant"."""
    third = new_user()
    third.join(room)
    for n in range(25):
        user.send(room, str(n))
    lazy = json.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}})
    told = user.sync(filter=lazy)["rooms"]["join"][room]
    assert {("m.room.member", other.user_id) for other in (user, user2, third)} <= kinds(told["state"]["events"])


# ---------------------------------------------------------------------- unread threads
def test_sync_fields_040_threads_are_counted_apart_if_asked(user, user2, room):
    """CS-API: unread_thread_notifications: "If no threads have notification counts, this whole object can be omitted"."""
    apart = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    root = user.send(room, "root")
    since = user.sync(filter=apart)["next_batch"]
    user2.send(room, "plain")
    thread = {"msgtype": "m.text", "body": user.user_id, "m.relates_to": {"rel_type": "m.thread", "event_id": root},
              "m.mentions": {"user_ids": [user.user_id]}}
    user2.send(room, content=thread)
    told, whole = (user.sync(since, **query)["rooms"]["join"][room] for query in ({"filter": apart}, {}))
    assert told["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
    assert told["unread_thread_notifications"] == {root: {"notification_count": 1, "highlight_count": 1}}
    assert whole["unread_notifications"] == {"notification_count": 2, "highlight_count": 1} and "unread_thread_notifications" not in whole


# ---------------------------------------------------------------------- markers
def test_sync_fields_050_a_room_is_marked_unread(user, user2, room):
    """CS-API: unread markers: m.marked_unread is account data of the room, pushed like any other."""
    since, foreign = user.sync()["next_batch"], user2.sync()["next_batch"]
    for unread in (True, False):
        user.call("PUT", data_path(user, room, "m.marked_unread"), {"unread": unread})
        answer = user.sync(since)
        assert answer["rooms"]["join"][room]["account_data"]["events"] == [{"type": "m.marked_unread", "content": {"unread": unread}}]
        assert user.call("GET", data_path(user, room, "m.marked_unread")).json() == {"unread": unread}
    assert {"type": "m.marked_unread", "content": {"unread": False}} in user.sync()["rooms"]["join"][room]["account_data"]["events"]
    assert user2.sync(foreign)["rooms"]["join"] == {}
    user2.call("GET", data_path(user2, room, "m.marked_unread"), status=404, errcode="M_NOT_FOUND")
    user2.call("PUT", data_path(user, room, "m.marked_unread"), {"unread": True}, status=403, errcode="M_FORBIDDEN")


def test_sync_fields_051_only_the_api_moves_the_fully_read_marker(user, room):
    """CS-API: "The server MUST prevent clients from setting m.fully_read directly in room account data"."""
    event_id = user.send(room)
    reply = user.call("PUT", data_path(user, room, "m.fully_read"), {"event_id": event_id}, status=405)
    assert reply["errcode"] == "M_BAD_JSON"
    user.call("GET", data_path(user, room, "m.fully_read"), status=404, errcode="M_NOT_FOUND")
    user.call("POST", rooms(room, "read_markers"), {"m.fully_read": event_id})
    assert user.call("GET", data_path(user, room, "m.fully_read")).json() == {"event_id": event_id}


@pytest.mark.parametrize("field", ["m.fully_read", "m.read", "m.read.private"])
@pytest.mark.parametrize("value, status, errcode", [
    (1, 400, "M_BAD_JSON"), (["$x"], 400, "M_BAD_JSON"), ("", 400, "M_INVALID_PARAM"), ("x", 400, "M_INVALID_PARAM"),
    ("$nothing:example.org", 404, "M_NOT_FOUND"),
])
def test_sync_fields_052_markers_of_what_is_not_there(user, room, field, value, status, errcode):
    since = user.sync()["next_batch"]
    user.call("POST", rooms(room, "read_markers"), {field: value}, status=status, errcode=errcode)
    assert room not in user.sync(since)["rooms"]["join"]


def test_sync_fields_053_a_receipt_reads_threads_only_as_far_as_it_says(user, user2, room):
    """CS-API: threaded read receipts: a receipt with `thread_id` "main" leaves threads unread, one without reads all."""
    apart = json.dumps({"room": {"timeline": {"unread_thread_notifications": True}}})
    root = user.send(room, "root")
    reply = user2.send(room, content={"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    last = user2.send(room, "plain")

    def counts():
        told = user.sync(filter=apart)["rooms"]["join"][room]
        threads = told.get("unread_thread_notifications", {})
        return told["unread_notifications"]["notification_count"], threads.get(root, {"notification_count": 0})["notification_count"]
    assert counts() == (1, 1)
    user.call("POST", rooms(room, f"receipt/m.read/{quote(last)}"), {"thread_id": "main"})
    assert counts() == (0, 1)
    user.call("POST", rooms(room, f"receipt/m.read.private/{quote(reply)}"), {"thread_id": root})
    assert counts() == (0, 0)
    user2.send(room, content={"msgtype": "m.text", "body": "y", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    newest = user2.send(room, "plain again")
    assert counts() == (1, 1)
    user.call("POST", rooms(room, f"receipt/m.read/{quote(newest)}"), {})
    assert counts() == (0, 0)


# ---------------------------------------------------------------------- tokens of others
def test_sync_fields_060_a_token_of_another_user_tells_only_ones_own(user, user2, new_user, room):
    """A token is a place in the stream, not a key: what it opens is what its bearer may see."""
    stranger = new_user()
    private = user.create_room(name="secret")
    theirs = user.sync()["next_batch"]
    user.send(private, "secret")
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/x.secret", {"a": 1})
    user2.send(room, "for both")
    for reader in (user2, stranger):
        for query in ({}, {"full_state": "true"}, {"use_state_after": "true"}):
            answer = reader.sync(theirs, **query)
            assert private not in json.dumps(answer) and "secret" not in json.dumps(answer), query
    assert room in user2.sync(theirs)["rooms"]["join"] and stranger.sync(theirs)["rooms"]["join"] == {}


def test_sync_fields_061_a_page_from_a_token_of_another_user(user, user2, new_user, room):
    private = user.create_room()
    user.send(private, "secret")
    answer = user.sync()
    tokens = [answer["next_batch"], answer["rooms"]["join"][private]["timeline"]["prev_batch"],
              user.call("GET", rooms(private, "messages?dir=b&limit=1"))["end"]]
    stranger = new_user()
    for token in tokens:
        for dir in "bf":
            tail = f"messages?dir={dir}&limit=50&from={quote(token)}"
            stranger.call("GET", rooms(private, tail), status=403, errcode="M_FORBIDDEN")
            assert "secret" not in user2.call("GET", rooms(room, tail)).text
    for bad in ("t", "s", "t1x", "x1", "s99999999999", "t99999999999", "%00"):
        user2.call("GET", rooms(room, f"messages?dir=b&from={bad}"), status=400, errcode="M_INVALID_PARAM")
