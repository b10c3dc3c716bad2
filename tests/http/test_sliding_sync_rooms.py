# SPDX-License-Identifier: Apache-2.0
"""MSC4186: RoomResult: timelines and their growth, required_state, lazily loaded members, what names a room, invitations, counts."""
import threading
import time

import pytest

from harness import V3, quote
from sliding_calls import Connection, a_list, config, state_keys, texts

LAZY = [["m.room.member", "$LAZY"]]


def told(client, room_id, **keywords):
    return client.next(**keywords)["rooms"][room_id]


def members(part):
    return {e["state_key"] for e in part.get("required_state", []) if e["type"] == "m.room.member"}


# ---------------------------------------------------------------------- timelines
def test_sliding_sync_rooms_001_initial_limited_and_live(user):
    room = user.create_room()
    for i in range(5):
        user.send(room, str(i))
    client = Connection(user, a=a_list(limit=3))
    part = told(client, room)
    assert part["initial"] is True and part["limited"] is True and part["num_live"] == 0
    assert [e["content"]["body"] for e in part["timeline"]] == ["2", "3", "4"] and "room_id" not in part["timeline"][0]
    for i in range(2):
        user.send(room, f"new {i}")
    part = told(client, room)
    assert "initial" not in part and part["limited"] is False and part["num_live"] == 2
    assert [e["content"]["body"] for e in part["timeline"]] == ["new 0", "new 1"]
    for i in range(5):
        user.send(room, f"more {i}")
    part = told(client, room)
    assert part["limited"] is True and part["num_live"] == 3
    page = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=2&from={part['prev_batch']}").json()["chunk"]
    assert [e["content"]["body"] for e in page] == ["more 1", "more 0"]


def test_sliding_sync_rooms_002_a_larger_limit_tells_what_is_before(user):
    """MSC4186: changes to timeline_limit: at once, and said to be an expansion."""
    room = user.create_room()
    for i in range(6):
        user.send(room, str(i))
    client = Connection(user, a=a_list(limit=1))
    assert len(told(client, room)["timeline"]) == 1
    client.lists["a"]["timeline_limit"] = 4
    part = told(client, room)
    assert part["unstable_expanded_timeline"] is True and "initial" not in part and part["limited"] is True and part["num_live"] == 0
    assert [e["content"]["body"] for e in part["timeline"]] == ["2", "3", "4", "5"]
    client.lists["a"]["timeline_limit"] = 2
    assert room not in client.next()["rooms"], "a smaller one tells nothing"
    client.lists["a"]["timeline_limit"] = 4
    assert room not in client.next()["rooms"], "these four were told"
    client.lists["a"]["timeline_limit"] = 0
    user.send(room, "unshown")
    assert not {"timeline", "limited", "prev_batch"} & set(told(client, room)), "that something happened is told"
    client.lists["a"]["timeline_limit"] = 4
    part = told(client, room)
    assert part["limited"] is True and [e["content"]["body"] for e in part["timeline"]] == ["3", "4", "5", "unshown"]


def test_sliding_sync_rooms_003_whoever_has_the_whole_room_is_not_told_it_again(user):
    room = user.create_room()
    client = Connection(user, a=a_list(limit=50))
    part = told(client, room)
    assert part["limited"] is False and part["timeline"][0]["type"] == "m.room.create"
    client.lists["a"]["timeline_limit"] = 100
    assert room not in client.next()["rooms"]


def bodies(user, room, part):
    """What a client has that drops its timeline where one is limited and pages back from there: texts, the oldest first."""
    events, start = part["timeline"], part["prev_batch"]
    while start and len(events) < 200:
        page = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=30&from={start}").json()
        events, start = page["chunk"][::-1] + events, page.get("end")
    return [e["content"]["body"] for e in events if e["type"] == "m.room.message"]


@pytest.mark.parametrize("missed, limit, limited", [(40, 20, True), (21, 20, True), (20, 20, False), (40, 1, True), (1, 1, False), (40, 0, None)])
@pytest.mark.parametrize("how", ["pos", "lost answer", "anew"])
def test_sliding_sync_rooms_007_after_an_absence_nothing_is_missing(user, user2, missed, limit, limited, how):
    """The client comes back with its last position, or without one; first the list tells, then the subscription of the room that it opens."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    said = [f"before {i}" for i in range(25)]
    client = Connection(user, "room-list", a=a_list(limit=1))
    client.subscriptions = {room: config(20)}
    for text in said:
        user2.send(room, text)
    client.next()
    client.next()
    for i in range(missed):
        said.append(f"away {i}")
        user2.send(room, said[-1])
    client.lists, client.subscriptions = {"a": a_list(limit=limit)}, {}
    client.pos = None if how == "anew" else client.pos
    lost = client.ask()["rooms"][room] if how == "lost answer" else None
    part = told(client, room)
    if lost:
        assert (lost.get("limited"), lost.get("prev_batch")) == (part.get("limited"), part.get("prev_batch"))
    if limit:
        assert part["limited"] is (limited or how == "anew") and len(part["timeline"]) == min(limit, missed)
        assert part["limited"] is False or bodies(user, room, part) == said
    client.subscriptions = {room: config(20)}
    answer = client.next()
    if limit == 20 or part.get("limited") is False:
        assert room not in answer["rooms"], "all of that was told"
        return
    part = answer["rooms"][room]
    assert part["limited"] is True and part["unstable_expanded_timeline"] is True and part["num_live"] == 0
    assert len(part["timeline"]) == 20 and bodies(user, room, part) == said


def test_sliding_sync_rooms_004_history_that_is_hidden_stays_hidden(user, user2):
    room = user.create_room(preset="public_chat", initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    user.send(room, "before")
    user2.join(room)
    user.send(room, "after")
    assert texts(Connection(user2, a=a_list()).next(), room) == ["after"]


def test_sliding_sync_rooms_005_ignored_users_are_left_out(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    client = Connection(user, a=a_list())
    client.next()
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {user2.user_id: {}}})
    user2.send(room, "spam")
    user.send(room, "mine")
    assert texts(client.next(), room) == ["mine"]


def test_sliding_sync_rooms_006_transaction_ids_and_aggregations(user):
    room = user.create_room()
    event = user.send(room, "root", txn="mine")
    user.send(room, type="m.reaction", content={"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "x"}})
    user.send(room, content={"msgtype": "m.text", "body": "reply", "m.relates_to": {"rel_type": "m.thread", "event_id": event}})
    part = Connection(user, a=a_list()).next()["rooms"][room]
    shown = next(e for e in part["timeline"] if e["event_id"] == event)
    assert shown["unsigned"]["transaction_id"] == "mine" and shown["unsigned"]["m.relations"]["m.thread"]["count"] == 1


# ---------------------------------------------------------------------- required_state
@pytest.mark.parametrize("asked, wanted", [
    ([], set()), ([["m.room.name", ""]], {("m.room.name", "")}), ([["m.room.name", "other"]], set()), ([["unknown.type", ""]], set()),
    ([["org.x", "*"]], {("org.x", "a"), ("org.x", "b")}), ([["*", "a"]], {("org.x", "a")}), ([["org.x", "b"], ["org.x", "*"]], {("org.x", "a"), ("org.x", "b")}),
    ([["m.room.member", "$ME"]], {("m.room.member", "$ME")}), ([["m.room.create", ""], ["m.room.create", ""]], {("m.room.create", "")}),
    ([["m.room.name", "$LAZY"]], set()),
])
def test_sliding_sync_rooms_010_patterns(user, asked, wanted):
    room = user.create_room(name="N")
    for key in "ab":
        user.put_state(room, "org.x", {"v": 1}, key=key)
    got = state_keys(Connection(user, a=a_list(state=asked)).next(), room)
    assert got == {(t, user.user_id if k == "$ME" else k) for t, k in wanted}


def test_sliding_sync_rooms_011_everything_is_everything(user, user2):
    room = user.create_room(name="N", preset="public_chat")
    user2.join(room)
    all_of_it = {(e["type"], e["state_key"]) for e in user.call("GET", f"{V3}/rooms/{quote(room)}/state").json()}
    assert state_keys(Connection(user, a=a_list(state=[["*", "*"]])).next(), room) == all_of_it
    lazily = state_keys(Connection(user, a=a_list(limit=1, state=[["*", "*"], *LAZY])).next(), room)
    assert lazily == {k for k in all_of_it if k[0] != "m.room.member"} | {("m.room.member", user2.user_id)}


def test_sliding_sync_rooms_012_changes_are_told_and_only_those(user):
    room = user.create_room(name="one", topic="T")
    client = Connection(user, a=a_list(state=[["m.room.name", ""], ["m.room.topic", ""], ["m.room.avatar", ""]]))
    assert state_keys(client.next(), room) == {("m.room.name", ""), ("m.room.topic", "")}
    user.send(room)
    assert "required_state" not in told(client, room)
    user.put_state(room, "m.room.name", {"name": "two"})
    user.put_state(room, "org.unasked", {})
    part = told(client, room)
    assert [(e["type"], e["content"]) for e in part["required_state"]] == [("m.room.name", {"name": "two"})] and part["name"] == "two"


def test_sliding_sync_rooms_013_more_asked_for_is_told_at_once(user):
    room = user.create_room(name="N", topic="T")
    client = Connection(user, a=a_list(state=[["m.room.name", ""]]))
    client.next()
    client.lists["a"]["required_state"] = [["m.room.name", ""], ["m.room.topic", ""]]
    assert ("m.room.topic", "") in state_keys(client.next(), room)
    assert room not in client.next()["rooms"]
    client.lists["a"]["required_state"] = [["m.room.name", ""]]
    assert room not in client.next()["rooms"], "less asked for tells nothing"


def test_sliding_sync_rooms_014_state_changed_behind_a_gap_is_told(user):
    room = user.create_room(name="one")
    client = Connection(user, a=a_list(limit=1, state=[["m.room.name", ""]]))
    client.next()
    user.put_state(room, "m.room.name", {"name": "two"})
    for i in range(3):
        user.send(room, str(i))
    part = told(client, room)
    assert part["limited"] is True and [e["content"]["name"] for e in part["required_state"]] == ["two"] and part["name"] == "two"


# ---------------------------------------------------------------------- lazily loaded members
def test_sliding_sync_rooms_020_members_come_when_they_are_needed(server, user, user2):
    room, third = user.create_room(preset="public_chat"), server.register()
    user2.join(room)
    third.join(room)
    user.send(room, "x")
    client = Connection(user, a=a_list(limit=1, state=LAZY))
    assert members(told(client, room)) == {user.user_id}
    user2.send(room, "y")
    assert members(told(client, room)) == {user2.user_id}
    user2.send(room, "z")
    user.send(room, "w")
    client.lists["a"]["timeline_limit"] = 2
    assert members(told(client, room)) == set(), "both are known"
    third.call("PUT", f"{V3}/profile/{quote(third.user_id)}/displayname", {"displayname": "Third"})
    part = told(client, room)
    assert members(part) == {third.user_id}, "where nothing is left out, all that changes is told"


def test_sliding_sync_rooms_021_members_that_changed_in_a_gap_are_told_anew_when_needed(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    user2.send(room, "x")
    client = Connection(user, a=a_list(limit=1, state=LAZY))
    assert members(told(client, room)) == {user2.user_id}
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Renamed"})
    for i in range(3):
        user.send(room, str(i))
    assert members(told(client, room)) == {user.user_id}
    user2.send(room, "y")
    part = told(client, room)
    assert [e["content"]["displayname"] for e in part["required_state"]] == ["Renamed"]


def test_sliding_sync_rooms_022_members_are_told_again_to_another_connection(user):
    room = user.create_room()
    for conn_id in ("a", "b"):
        assert members(told(Connection(user, conn_id, a=a_list(limit=1, state=LAZY)), room)) == {user.user_id}


# ---------------------------------------------------------------------- what names a room
def test_sliding_sync_rooms_030_names_avatars_heroes_counts(server, user, user2):
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Second"})
    room = user.create_room(invite=[user2.user_id])
    client = Connection(user, a=a_list())
    part = told(client, room)
    assert part["joined_count"] == 1 and part["invited_count"] == 1 and "name" not in part and "avatar" not in part
    assert [hero["user_id"] for hero in part["heroes"]] == [user2.user_id] and part["heroes"][0]["displayname"] == "Second"
    user2.join(room)
    part = told(client, room)
    assert part["joined_count"] == 2 and part["invited_count"] == 0
    user.send(room)
    part = told(client, room)
    assert "joined_count" not in part and "heroes" not in part, "what did not change is not told"
    user.put_state(room, "m.room.name", {"name": "Called"})
    user.put_state(room, "m.room.avatar", {"url": "mxc://x/y"})
    part = told(client, room)
    assert part["name"] == "Called" and part["avatar"] == "mxc://x/y" and "heroes" not in part
    user.put_state(room, "m.room.name", {})
    user.put_state(room, "m.room.avatar", {})
    part = told(client, room)
    assert part["name"] is None and part["avatar"] is None and part["heroes"]


def test_sliding_sync_rooms_031_bump_stamps_grow_with_messages_alone(user):
    room = user.create_room()
    client = Connection(user, a=a_list(limit=1))
    first = told(client, room)["bump_stamp"]
    user.put_state(room, "m.room.topic", {"topic": "T"})
    assert told(client, room).get("bump_stamp", first) == first
    for type in ("m.room.message", "m.room.encrypted", "m.sticker"):
        user.send(room, type=type, content={"body": "x"})
        stamp = told(client, room)["bump_stamp"]
        assert stamp > first
        first = stamp
    assert told(Connection(user, a=a_list(limit=1)), room)["bump_stamp"] == first


def test_sliding_sync_rooms_032_direct_rooms_are_marked(user, user2):
    room = user.create_room()
    assert "is_dm" not in told(Connection(user, a=a_list()), room)
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.direct", {user2.user_id: [room], "bad": 1, "worse": [1, None]})
    assert told(Connection(user, a=a_list()), room)["is_dm"] is True


def test_sliding_sync_rooms_033_unread_counts(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    user.send(room, "seen")
    client = Connection(user, a=a_list())
    assert told(client, room)["notification_count"] == 0
    event = user2.send(room, content={"msgtype": "m.text", "body": "hi", "m.mentions": {"user_ids": [user.user_id]}})
    part = told(client, room)
    assert (part["notification_count"], part["highlight_count"]) == (1, 1)
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})
    user2.send(room, "again")
    part = told(client, room)
    assert (part["notification_count"], part["highlight_count"]) == (1, 0)


def counts(part):
    return part["notification_count"], part["highlight_count"]


@pytest.mark.parametrize("type", ["m.read", "m.read.private"])
@pytest.mark.parametrize("waits", [False, True])
def test_sliding_sync_rooms_034_what_was_read_is_told_with_the_new_counts(server, user, user2, type, waits):
    """MSC4186: RoomResult: notification_count; a badge falls on all devices, whether or not they ask for receipts."""
    room, other = user.create_room(preset="public_chat"), user.create_room()
    user2.join(room)
    client = Connection(user, a=a_list())
    client.next()
    events = [user2.send(room, content={"msgtype": "m.text", "body": "hi", "m.mentions": {"user_ids": [user.user_id]}}), user2.send(room)]
    assert counts(told(client, room)) == (2, 1)
    path, since = f"{V3}/rooms/{quote(room)}/receipt/{type}/", client.pos

    def read(event):
        time.sleep(0.5 * waits)
        user.call("POST", path + quote(event), {})
    for event, left in zip(events, [(1, 0), (0, 0)]):
        client.next()
        thread = threading.Thread(target=read, args=[event])
        thread.start()
        waits or thread.join()
        answer = client.ask(timeout=20000)
        thread.join()
        assert set(answer["rooms"]) == {room} and counts(answer["rooms"][room]) == left, "also of a lost answer"
        assert not answer["rooms"][room]["timeline"] and answer["rooms"][room]["limited"] is False
        assert counts(told(client, room)) == left and not client.next()["rooms"]
    assert client.pos != since and other not in client.next()["rooms"]
    user2.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(events[0])}", {})
    assert not client.next()["rooms"], "what others read moves no badge of mine"


def test_sliding_sync_rooms_035_threads_that_were_read_are_told(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    root = user.send(room, "root")
    client = Connection(user, a=a_list())
    client.next()
    reply = user2.send(room, content={"msgtype": "m.text", "body": "r", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    plain = user2.send(room)
    assert counts(told(client, room)) == (2, 0)
    for event, thread, left in [(reply, root, 1), (plain, "main", 0)]:
        user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {"thread_id": thread})
        assert counts(told(client, room)) == (left, 0)


def test_sliding_sync_rooms_036_markers_move_no_counts(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    event = user2.send(room)
    client = Connection(user, a=a_list())
    assert counts(told(client, room)) == (1, 0)
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.fully_read/{quote(event)}", {})
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room)}/account_data/m.marked_unread", {"unread": True})
    assert not client.next()["rooms"]


def test_sliding_sync_rooms_037_what_was_read_outside_of_the_window_is_told_when_it_is_back(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    event = user2.send(room)
    client = Connection(user, a=a_list())
    client.next()
    client.lists = {"a": a_list(is_encrypted=True)}
    client.next()
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})
    assert not client.next()["rooms"]
    client.lists = {"a": a_list()}
    assert counts(told(client, room)) == (0, 0) and not client.next()["rooms"]


# ---------------------------------------------------------------------- invitations and knocks
def test_sliding_sync_rooms_040_invitations_bring_stripped_state(user, user2):
    client = Connection(user, a=a_list(state=[["*", "*"]]))
    client.next()
    room = user2.create_room(name="Secret", invite=[user.user_id])
    user2.send(room, "inside")
    part = told(client, room)
    assert part["initial"] is True and part["membership"] == "invite" and part["bump_stamp"] > 0
    assert {"m.room.create", "m.room.name", "m.room.member"} <= {e["type"] for e in part["invite_state"]}
    assert not {"timeline", "required_state", "prev_batch", "limited", "num_live", "joined_count"} & set(part)
    user2.send(room, "still inside")
    assert room not in client.next()["rooms"]
    user.join(room)
    part = told(client, room)
    assert part["initial"] is True and part["membership"] == "join" and "invite_state" not in part


def test_sliding_sync_rooms_041_a_declined_invitation_goes_away(user, user2):
    room = user2.create_room(invite=[user.user_id])
    client = Connection(user, a=a_list())
    client.next()
    user.leave(room)
    part = told(client, room)
    assert part["membership"] == "leave" and {e["type"] for e in part["timeline"]} <= {"m.room.member"}
    assert room not in client.next()["rooms"]


def test_sliding_sync_rooms_042_knocks(user, user2):
    room = user2.create_room(room_version="10", initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    user.call("POST", f"{V3}/knock/{quote(room)}", {})
    part = told(Connection(user, a=a_list()), room)
    assert part["membership"] == "knock" and part["invite_state"] and "timeline" not in part


def test_sliding_sync_rooms_043_forgotten_rooms_are_nowhere(user, user2):
    room = user2.create_room(preset="public_chat")
    user.join(room)
    user2.call("POST", f"{V3}/rooms/{quote(room)}/kick", {"user_id": user.user_id})
    user.call("POST", f"{V3}/rooms/{quote(room)}/forget", {})
    client = Connection(user, a=a_list())
    client.subscriptions = {room: config()}
    assert not client.next()["rooms"]
