# SPDX-License-Identifier: Apache-2.0
"""CS-API: syncing: GET /sync."""
import json
import threading
import time

import pytest

from harness import V3, quote

LAZY = json.dumps({"room": {"state": {"lazy_load_members": True}}})


def room_of(answer, room_id, section="join"):
    return answer["rooms"][section].get(room_id)


def bodies(answer, room_id, section="join"):
    room = room_of(answer, room_id, section) or {"timeline": {"events": []}}
    return [e["content"].get("body") for e in room["timeline"]["events"] if e["type"] == "m.room.message"]


def state_keys(room, part="state"):
    return {(e["type"], e["state_key"]) for e in room[part]["events"]}


def ephemeral(answer, room_id, type):
    room = room_of(answer, room_id)
    return [e for e in room["ephemeral"]["events"] if e["type"] == type] if room else []


def ids_of_timeline(answer, room_id):
    room = room_of(answer, room_id)
    return [e["event_id"] for e in room["timeline"]["events"]] if room else []


class Later:
    """Something that happens while a poll waits."""

    def __init__(self, seconds, do, *arguments, **keywords):
        def run():
            time.sleep(seconds)
            self.result = do(*arguments, **keywords)
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def join(self):
        self.thread.join()
        return self.result


@pytest.fixture
def room(user, user2):
    """Both are in it, and have seen it."""
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


# ---------------------------------------------------------------------- who may, and bad input
@pytest.mark.parametrize("prefix", ["/_matrix/client/r0", "/_matrix/client/v3"])
def test_sync_001_needs_a_token(server, user, prefix):
    server.call("GET", f"{prefix}/sync", status=401, errcode="M_MISSING_TOKEN")
    server.call("GET", f"{prefix}/sync", token="nonsense", status=401, errcode="M_UNKNOWN_TOKEN")
    user.call("GET", f"{prefix}/sync")
    server.call("GET", f"{prefix}/sync?access_token={user.token}")


@pytest.mark.parametrize("query", [
    "since=garbage", "since=s", "since=s-1", "since=s01", "since=s1_2", "since=s99999999999", "since=s9223372036854775808", "since=t1",
    "since=s1%00", "timeout=-1", "timeout=soon", "full_state=1", "full_state=maybe", "set_presence=here", "use_state_after=yes",
    "filter=nonsense", "filter=-1", "filter=99999", "filter=01",
])
def test_sync_002_bad_parameters_are_named(user, query):
    user.call("GET", f"{V3}/sync?{query}", status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("text, errcode", [
    ("{", "M_NOT_JSON"), ("{\"a\":1}x", "M_NOT_JSON"), ('{"room":[]}', "M_BAD_JSON"), ('{"room":{"timeline":{"limit":"x"}}}', "M_BAD_JSON"),
    ('{"room":{"timeline":{"types":"x"}}}', "M_BAD_JSON"), ("{" + '"a":{' * 200 + "}" * 201, "M_NOT_JSON"),
])
def test_sync_003_bad_inline_filters_are_named(user, text, errcode):
    user.call("GET", f"{V3}/sync?filter={quote(text)}", status=400, errcode=errcode)


def test_sync_004_a_token_taken_back_ends_the_wait(server, user):
    since = user.sync()["next_batch"]
    later = Later(0.5, user.call, "POST", f"{V3}/logout", {})
    started = time.monotonic()
    reply = user.call("GET", f"{V3}/sync?since={since}&timeout=3000", status=401, errcode="M_UNKNOWN_TOKEN")
    later.join()
    assert time.monotonic() - started < 10 and reply


# ---------------------------------------------------------------------- initial
def test_sync_010_initial_sync_tells_state_before_and_timeline(user):
    room_id = user.create_room(name="A room", topic="of one's own")
    for i in range(12):
        user.send(room_id, f"m{i}")
    answer = user.sync()
    room = room_of(answer, room_id)
    assert bodies(answer, room_id) == [f"m{i}" for i in range(2, 12)]
    assert room["timeline"]["limited"] is True and room["timeline"]["prev_batch"]
    assert {("m.room.create", ""), ("m.room.member", user.user_id), ("m.room.name", ""), ("m.room.topic", ""),
            ("m.room.power_levels", "")} <= state_keys(room)
    for event in room["timeline"]["events"] + room["state"]["events"]:
        assert "room_id" not in event and event["event_id"].startswith("$") and event["sender"] == user.user_id
        assert 0 <= event["unsigned"]["age"] < 60000 and isinstance(event["origin_server_ts"], int)
        assert not {"auth_events", "prev_events", "hashes", "signatures", "depth"} & set(event)
    assert room["summary"]["m.joined_member_count"] == 1
    assert any(e["type"] == "m.push_rules" for e in answer["account_data"]["events"])


def test_sync_011_a_young_room_stands_in_the_timeline_whole(user):
    """CS-API: syncing: state is that at the start of the timeline."""
    room_id = user.create_room()
    room = room_of(user.sync(), room_id)
    assert room["timeline"]["events"][0]["type"] == "m.room.create"
    assert room["timeline"]["limited"] is False and room["state"]["events"] == []


def test_sync_012_state_after_stands_in_for_state(user):
    """CS-API: use_state_after."""
    room_id = user.create_room(name="now")
    answer = user.sync(use_state_after="true")
    room = room_of(answer, room_id)
    assert "state" not in room and ("m.room.name", "") in state_keys(room, "state_after")
    user.put_state(room_id, "m.room.name", {"name": "later"})
    room = room_of(user.sync(answer["next_batch"], use_state_after="true"), room_id)
    assert [e["content"] for e in room["state_after"]["events"]] == [{"name": "later"}]
    assert [e["content"] for e in room["timeline"]["events"]] == [{"name": "later"}]


# ---------------------------------------------------------------------- incremental
def test_sync_020_incremental_tells_what_is_new_and_only_that(user, user2, room):
    since = user.sync()["next_batch"]
    empty = user.sync(since)
    assert empty["rooms"]["join"] == {} and empty["account_data"]["events"] == []
    user2.send(room, "one")
    answer = user.sync(empty["next_batch"])
    assert bodies(answer, room) == ["one"] and list(answer["rooms"]["join"]) == [room]
    told = room_of(answer, room)
    assert told["state"]["events"] == [] and told["timeline"]["limited"] is False and "summary" not in told
    assert user.sync(answer["next_batch"])["rooms"]["join"] == {}
    # the same token again: the same answer
    assert ids_of_timeline(user.sync(empty["next_batch"]), room) == ids_of_timeline(answer, room)


def test_sync_021_a_long_poll_is_woken_and_a_quiet_one_ends_in_time(user, user2, room):
    since = user.sync()["next_batch"]
    started = time.monotonic()
    answer = user.sync(since, 1000)
    assert 0.9 < time.monotonic() - started < 3 and answer["rooms"]["join"] == {}
    later = Later(0.5, user2.send, room, "wake up")
    started = time.monotonic()
    answer = user.sync(answer["next_batch"], 10000)
    assert time.monotonic() - started < 2 and ids_of_timeline(answer, room) == [later.join()]
    # what happens elsewhere wakes nobody, and moves the token
    other = user2.create_room()
    started = time.monotonic()
    later = Later(0.3, user2.send, other, "elsewhere")
    quiet = user.sync(answer["next_batch"], 1500)
    later.join()
    assert time.monotonic() - started > 1.4 and quiet["rooms"]["join"] == {}
    assert int(quiet["next_batch"][1:]) > int(answer["next_batch"][1:])


def test_sync_022_an_own_message_is_there_at_once(user, room):
    since = user.sync()["next_batch"]
    for i in range(20):
        event_id = user.send(room, f"{i}")
        answer = user.sync(since)
        assert ids_of_timeline(answer, room) == [event_id]
        since = answer["next_batch"]


def test_sync_023_transaction_id_is_for_the_sending_device(server, user, user2, room):
    """CS-API: UnsignedData: transaction_id."""
    again = server.login(user.user_id, user.password)
    readers = [user, again, user2]
    since = [reader.sync()["next_batch"] for reader in readers]
    laters = [Later(0.4, user.send, room, "mine", txn="txn 1/%")]
    live = []
    threads = [threading.Thread(target=lambda r=r, s=s: live.append((r, r.sync(s, 10000)))) for r, s in zip(readers, since)]
    for thread in threads:
        thread.start()
    for thread in threads + laters:
        thread.join()
    plain = [(reader, reader.sync(s)) for reader, s in zip(readers, since)]
    for reader, answer in live + plain:
        unsigned = room_of(answer, room)["timeline"]["events"][-1]["unsigned"]
        assert unsigned.get("transaction_id") == ("txn 1/%" if reader is user else None)
        assert unsigned["membership"] == "join" and unsigned["age"] >= 0


def test_sync_024_full_state_answers_at_once_with_all_state(user, user2, room):
    since = user.sync()["next_batch"]
    started = time.monotonic()
    answer = user.sync(since, 10000, full_state="true")
    assert time.monotonic() - started < 5
    told = room_of(answer, room)
    assert {("m.room.create", ""), ("m.room.member", user.user_id), ("m.room.member", user2.user_id)} <= state_keys(told)
    assert told["timeline"]["events"] == []
    user2.send(room, "new")
    answer = user.sync(since, full_state="true")
    assert bodies(answer, room) == ["new"] and ("m.room.create", "") in state_keys(room_of(answer, room))


def test_sync_025_a_gap_is_limited_and_its_state_is_told(user, user2, room):
    since = user.sync()["next_batch"]
    user2.put_state(room, "m.room.member", {"membership": "join", "displayname": "New Name"}, user2.user_id)
    user.put_state(room, "m.room.topic", {"topic": "in the gap"})
    sent = [user2.send(room, f"{i}") for i in range(25)]
    told = room_of(user.sync(since), room)
    assert told["timeline"]["limited"] is True
    assert [e["event_id"] for e in told["timeline"]["events"]] == sent[-10:]
    assert state_keys(told) == {("m.room.topic", ""), ("m.room.member", user2.user_id)}
    assert told["summary"]["m.joined_member_count"] == 2


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_sync_026_paging_back_from_prev_batch_leaves_no_hole(user, user2, room, limit):
    since = user.sync()["next_batch"]
    sent = [user2.send(room, f"{i}") for i in range(17)]
    told = room_of(user.sync(since, filter=json.dumps({"room": {"timeline": {"limit": limit}}})), room)
    seen = [e["event_id"] for e in told["timeline"]["events"]]
    token = told["timeline"]["prev_batch"]
    while len(seen) < 30:
        page = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=4&from={token}").json()
        seen = [e["event_id"] for e in reversed(page["chunk"])] + seen
        if "end" not in page or not page["chunk"]:
            break
        token = page["end"]
    assert len(seen) == len(set(seen)) and seen[-17:] == sent


def test_sync_027_a_limit_is_bounded(user, room):
    for i in range(105):
        user.send(room, f"{i}")
    told = room_of(user.sync(filter=json.dumps({"room": {"timeline": {"limit": 100000}}})), room)
    assert len(told["timeline"]["events"]) == 100


def test_sync_028_a_redacted_event_is_told_redacted(user, user2, room):
    since = user.sync()["next_batch"]
    event_id = user2.send(room, "regretted")
    user2.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(event_id)}/r1", {"reason": "oops"})
    events = room_of(user.sync(since), room)["timeline"]["events"]
    assert events[0]["content"] == {} and events[0]["unsigned"]["redacted_because"]["content"]["reason"] == "oops"
    assert events[1]["type"] == "m.room.redaction" and events[1]["redacts"] == event_id


def test_sync_029_what_a_state_event_replaced_is_told(user, room):
    user.put_state(room, "m.room.topic", {"topic": "one"})
    since = user.sync()["next_batch"]
    user.put_state(room, "m.room.topic", {"topic": "two"})
    event, = room_of(user.sync(since), room)["timeline"]["events"]
    assert event["unsigned"]["prev_content"] == {"topic": "one"}


# ---------------------------------------------------------------------- memberships
def test_sync_030_an_invitation_comes_with_stripped_state(user, user2):
    """CS-API: stripped state."""
    since = user2.sync()["next_batch"]
    room_id = user.create_room(name="Come in", topic="secret topic")
    later = Later(0.3, user.invite, room_id, user2.user_id)
    answer = user2.sync_until(lambda a: room_id in a["rooms"]["invite"], since)
    later.join()
    events = room_of(answer, room_id, "invite")["invite_state"]["events"]
    by_key = {(e["type"], e["state_key"]): e for e in events}
    assert by_key["m.room.member", user2.user_id]["content"]["membership"] == "invite"
    assert by_key["m.room.name", ""]["content"] == {"name": "Come in"} and ("m.room.create", "") in by_key
    assert all(set(e) == {"type", "state_key", "content", "sender"} for e in events)
    assert room_id not in user2.sync(answer["next_batch"])["rooms"]["invite"]
    assert room_id in user2.sync()["rooms"]["invite"] and room_id not in user2.sync()["rooms"]["join"]


def test_sync_031_a_joined_room_comes_whole(user, user2):
    room_id = user.create_room(preset="public_chat", name="N")
    for i in range(15):
        user.send(room_id, f"before {i}")
    since = user2.sync()["next_batch"]
    user2.join(room_id)
    answer = user2.sync(since)
    told = room_of(answer, room_id)
    assert told["timeline"]["limited"] is True and ("m.room.create", "") in state_keys(told)
    assert told["timeline"]["events"][-1]["state_key"] == user2.user_id
    assert told["summary"]["m.joined_member_count"] == 2
    user.send(room_id, "after")
    assert bodies(user2.sync(answer["next_batch"]), room_id) == ["after"]


def test_sync_032_a_left_room_is_told_once_up_to_the_leaving(user, user2, room):
    since = user2.sync()["next_batch"]
    user.send(room, "last words")
    user2.leave(room)
    user.send(room, "behind your back")
    answer = user2.sync(since)
    told = room_of(answer, room, "leave")
    assert bodies(answer, room, "leave") == ["last words"] and room not in answer["rooms"]["join"]
    assert told["timeline"]["events"][-1]["content"]["membership"] == "leave"
    assert room not in user2.sync(answer["next_batch"])["rooms"]["leave"]
    user.send(room, "and again")
    assert room not in user2.sync(answer["next_batch"])["rooms"]["join"]
    assert room not in user2.sync()["rooms"]["leave"]
    left = user2.sync(filter=json.dumps({"room": {"include_leave": True}}))
    assert room_of(left, room, "leave")["timeline"]["events"][-1]["state_key"] == user2.user_id
    assert "behind your back" not in json.dumps(left)


def test_sync_033_who_declines_sees_nothing_of_the_room(user, user2):
    room_id = user.create_room(preset="private_chat", name="Not for you")
    user.send(room_id, "hidden")
    user.invite(room_id, user2.user_id)
    since = user2.sync()["next_batch"]
    user2.leave(room_id)
    answer = user2.sync(since)
    told = room_of(answer, room_id, "leave")
    assert [e["content"]["membership"] for e in told["timeline"]["events"]] == ["leave"] and told["state"]["events"] == []
    assert "hidden" not in json.dumps(answer) and "Not for you" not in json.dumps(answer)


def test_sync_034_a_ban_wakes_the_banned(user, user2, room):
    since = user2.sync()["next_batch"]
    later = Later(0.4, user.call, "POST", f"{V3}/rooms/{quote(room)}/ban", {"user_id": user2.user_id, "reason": "because"})
    answer = user2.sync_until(lambda a: room in a["rooms"]["leave"], since)
    later.join()
    event = room_of(answer, room, "leave")["timeline"]["events"][-1]
    assert event["content"]["membership"] == "ban" and event["content"]["reason"] == "because"


def test_sync_035_history_before_the_joining_is_hidden_where_the_room_says_so(user, user2):
    """CS-API: room history visibility: joined."""
    room_id = user.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    user.send(room_id, "before")
    since = user2.sync()["next_batch"]
    user2.join(room_id)
    user.send(room_id, "after")
    for answer in (user2.sync(since), user2.sync()):
        assert bodies(answer, room_id) == ["after"] and "before" not in json.dumps(answer)


def test_sync_036_coming_and_going_between_two_polls(user, user2, room):
    since = user2.sync()["next_batch"]
    user2.leave(room)
    user.send(room, "while you were out")
    user2.join(room)
    answer = user2.sync(since)
    assert room not in answer["rooms"]["leave"]
    memberships = [e["content"]["membership"] for e in room_of(answer, room)["timeline"]["events"] if e["type"] == "m.room.member"]
    assert memberships[-2:] == ["leave", "join"]
    new = user.create_room(preset="public_chat")
    user2.join(new)
    user2.leave(new)
    assert room_of(user2.sync(answer["next_batch"]), new, "leave")["timeline"]["events"][-1]["content"]["membership"] == "leave"


def test_sync_037_knocking_is_told(user, user2):
    """CS-API: knocking on rooms."""
    room_id = user.create_room(name="Knock first", initial_state=[
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}])
    since = user2.sync()["next_batch"]
    user2.call("POST", f"{V3}/knock/{quote(room_id)}", {"reason": "please"})
    events = room_of(user2.sync(since), room_id, "knock")["knock_state"]["events"]
    assert {(e["type"], e["state_key"]) for e in events} >= {("m.room.name", ""), ("m.room.member", user2.user_id)}


def test_sync_038_the_summary_names_heroes_and_counts(user, user2, new_user):
    """CS-API: RoomSummary."""
    room_id = user.create_room(preset="public_chat")
    answer = user.sync()
    user2.join(room_id)
    told = room_of(user.sync(answer["next_batch"]), room_id)
    assert told["summary"] == {"m.heroes": [user2.user_id], "m.joined_member_count": 2, "m.invited_member_count": 0}
    third = new_user()
    user.invite(room_id, third.user_id)
    summary = room_of(user.sync(answer["next_batch"]), room_id)["summary"]
    assert sorted(summary["m.heroes"]) == sorted([user2.user_id, third.user_id]) and summary["m.invited_member_count"] == 1


# ---------------------------------------------------------------------- filters
def test_sync_040_a_stored_filter_is_used(user, user2, room):
    body = {"room": {"timeline": {"types": ["m.room.message"], "limit": 3}, "state": {"types": ["m.room.name"]}}}
    filter_id = user.call("POST", f"{V3}/user/{quote(user.user_id)}/filter", body)["filter_id"]
    user.put_state(room, "m.room.name", {"name": "N"})
    for i in range(5):
        user2.send(room, f"{i}")
        user2.send(room, type="m.reaction", content={})
    told = room_of(user.sync(filter=filter_id), room)
    assert [e["content"]["body"] for e in told["timeline"]["events"]] == ["2", "3", "4"] and told["timeline"]["limited"] is True
    assert state_keys(told) == {("m.room.name", "")}
    # CS-API: filtering: another user's filter is none
    user2.call("GET", f"{V3}/sync?filter={int(filter_id) + 7}", status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("timeline, wanted", [
    ({"types": ["m.room.*"]}, ["m.room.message", "m.room.message"]), ({"not_types": ["m.*"]}, ["x.y"]), ({"types": []}, []),
    ({"types": ["*"], "not_types": ["m.room.message"]}, ["x.y"]), ({"types": ["x_y"]}, []),
    ({"contains_url": True}, ["m.room.message"]), ({"contains_url": False}, ["m.room.message", "x.y"]),
])
def test_sync_041_types_and_urls(user, user2, room, timeline, wanted):
    since = user.sync()["next_batch"]
    user2.send(room, "a")
    user2.send(room, content={"msgtype": "m.image", "body": "b", "url": "mxc://a/b"})
    user2.send(room, type="x.y", content={"a": 1})
    text = json.dumps({"room": {"timeline": timeline}})
    told = room_of(user.sync(since, filter=text), room)
    assert [e["type"] for e in told["timeline"]["events"]] == wanted if wanted else told is None or told["timeline"]["events"] == []


def test_sync_042_senders_and_rooms(user, user2, room):
    other = user.create_room(preset="public_chat")
    since = user.sync()["next_batch"]
    user.send(room, "by me")
    user2.send(room, "by you")
    user.send(other, "elsewhere")

    def ask(room_filter):
        return user.sync(since, filter=json.dumps({"room": room_filter}))
    assert bodies(ask({"timeline": {"senders": [user2.user_id]}}), room) == ["by you"]
    assert bodies(ask({"timeline": {"not_senders": [user2.user_id]}}), room) == ["by me"]
    assert set(ask({"rooms": [other]})["rooms"]["join"]) == {other}
    assert set(ask({"not_rooms": [other]})["rooms"]["join"]) == {room}
    assert set(ask({"rooms": [other], "not_rooms": [other]})["rooms"]["join"]) == set()
    assert bodies(ask({"timeline": {"rooms": [other]}}), room) == []
    assert bodies(ask({"timeline": {"not_rooms": [other]}}), other) == []


def test_sync_043_state_that_the_timeline_filter_hides_is_told_as_state(user, room):
    text = json.dumps({"room": {"timeline": {"types": ["m.room.message"]}}})
    since = user.sync(filter=text)["next_batch"]
    user.put_state(room, "m.room.topic", {"topic": "new"})
    for answer in (user.sync(since, filter=text), user.sync(since, 2000, filter=text)):
        told = room_of(answer, room)
        assert told["timeline"]["events"] == [] and [e["content"] for e in told["state"]["events"]] == [{"topic": "new"}]


def test_sync_044_a_filter_that_hides_the_news_lets_the_poll_wait(user, user2, room):
    text = json.dumps({"room": {"timeline": {"types": ["m.room.message"]}, "ephemeral": {"types": []}}})
    since = user.sync()["next_batch"]
    later = Later(0.3, user2.send, room, type="m.reaction", content={})
    started = time.monotonic()
    answer = user.sync(since, 1500, filter=text)
    later.join()
    assert time.monotonic() - started > 1.4 and answer["rooms"]["join"] == {}
    user2.send(room, "seen")
    assert bodies(user.sync(answer["next_batch"], 2000, filter=text), room) == ["seen"]


def test_sync_045_event_fields_and_format(user, user2, room):
    since = user.sync()["next_batch"]
    user2.send(room, "fields")
    event, = room_of(user.sync(since, filter=json.dumps({"event_fields": ["content.body", "type"]})), room)["timeline"]["events"]
    assert event == {"content": {"body": "fields"}, "type": "m.room.message"}
    event, = room_of(user.sync(since, filter=json.dumps({"event_format": "federation"})), room)["timeline"]["events"]
    assert {"auth_events", "prev_events", "hashes", "signatures", "depth"} <= set(event)


def test_sync_046_lazy_members_are_the_senders_and_oneself(user, user2, new_user, room):
    """CS-API: lazy-loading room members."""
    third = new_user()
    third.join(room)
    user.put_state(room, "m.room.name", {"name": "no heroes"})
    for i in range(12):
        user2.send(room, f"{i}")
    answer = user.sync(filter=LAZY)
    told = room_of(answer, room)
    members = {key for type, key in state_keys(told) if type == "m.room.member"}
    assert members == {user.user_id, user2.user_id} and ("m.room.create", "") in state_keys(told)
    since = answer["next_batch"]
    third.send(room, "hello")
    answer = user.sync(since, filter=LAZY)
    assert state_keys(room_of(answer, room)) == {("m.room.member", third.user_id)}
    third.send(room, "again")
    later = user.sync(answer["next_batch"], filter=LAZY)
    assert state_keys(room_of(later, room)) == set(), "redundant"
    redundant = json.dumps({"room": {"state": {"lazy_load_members": True, "include_redundant_members": True}}})
    assert state_keys(room_of(user.sync(answer["next_batch"], filter=redundant), room)) == {("m.room.member", third.user_id)}


def test_sync_047_lazy_members_of_a_gap_are_told(user, user2, new_user, room):
    """CS-API: sync: "MUST return membership events for events in the gap"."""
    user.put_state(room, "m.room.name", {"name": "no heroes"})
    since = user.sync(filter=LAZY)["next_batch"]
    third = new_user()
    third.join(room)
    for i in range(15):
        user2.send(room, f"{i}")
    told = room_of(user.sync(since, filter=LAZY), room)
    assert told["timeline"]["limited"] is True and ("m.room.member", third.user_id) in state_keys(told)


# ---------------------------------------------------------------------- what is no event
def test_sync_050_typing_is_told_and_ends(user, user2, room):
    """CS-API: typing notifications."""
    since = user.sync()["next_batch"]
    target = f"{V3}/rooms/{quote(room)}/typing/{quote(user2.user_id)}"
    later = Later(0.3, user2.call, "PUT", target, {"typing": True, "timeout": 1500})
    answer = user.sync(since, 10000)
    later.join()
    assert ephemeral(answer, room, "m.typing") == [{"type": "m.typing", "content": {"user_ids": [user2.user_id]}}]
    started = time.monotonic()
    answer = user.sync(answer["next_batch"], 10000)
    assert ephemeral(answer, room, "m.typing")[0]["content"] == {"user_ids": []} and time.monotonic() - started < 5


def test_sync_051_receipts_are_told_once_and_private_ones_to_oneself(user, user2, new_user, room):
    """CS-API: receipts."""
    third = new_user()
    third.join(room)
    event_id = user.send(room, "read me")
    since = {u: u.sync()["next_batch"] for u in (user, user2, third)}
    for type in ("m.read", "m.read.private"):
        user2.call("POST", f"{V3}/rooms/{quote(room)}/receipt/{type}/{quote(event_id)}", {})
    content = ephemeral(user.sync(since[user]), room, "m.receipt")[0]["content"]
    assert list(content[event_id]) == ["m.read"] and content[event_id]["m.read"][user2.user_id]["ts"] > 0
    own = ephemeral(user2.sync(since[user2]), room, "m.receipt")[0]["content"]
    assert set(own[event_id]) == {"m.read", "m.read.private"}
    assert "m.read.private" not in json.dumps(third.sync(since[third])) and "m.read.private" not in json.dumps(third.sync())
    assert ephemeral(user.sync(user.sync(since[user])["next_batch"]), room, "m.receipt") == []


def test_sync_052_account_data_is_told_to_all_devices_of_the_user_alone(server, user, user2, room):
    again = server.login(user.user_id, user.password)
    since, foreign = again.sync()["next_batch"], user2.sync()["next_batch"]
    later = Later(0.3, user.call, "PUT", f"{V3}/user/{quote(user.user_id)}/account_data/x.y", {"a": 1})
    answer = again.sync(since, 10000)
    later.join()
    assert answer["account_data"]["events"] == [{"type": "x.y", "content": {"a": 1}}]
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room)}/account_data/x.z", {"b": 2})
    told = room_of(again.sync(answer["next_batch"]), room)
    assert told["account_data"]["events"] == [{"type": "x.z", "content": {"b": 2}}] and told["timeline"]["events"] == []
    initial = again.sync()
    assert {"type": "x.y", "content": {"a": 1}} in initial["account_data"]["events"]
    assert room_of(initial, room)["account_data"]["events"] == [{"type": "x.z", "content": {"b": 2}}]
    assert user2.sync(foreign)["rooms"]["join"] == {} and "x.y" not in json.dumps(user2.sync())
    hidden = json.dumps({"account_data": {"not_types": ["x.*"]}, "room": {"account_data": {"types": []}}})
    answer = again.sync(since, filter=hidden)
    assert answer["account_data"]["events"] == [] and answer["rooms"]["join"] == {}


def test_sync_053_push_rules_are_told_when_they_change(user):
    since = user.sync()["next_batch"]
    user.call("PUT", f"{V3}/pushrules/global/override/mine", {"actions": ["notify"], "conditions": []})
    event, = user.sync(since, 2000)["account_data"]["events"]
    assert event["type"] == "m.push_rules" and "mine" in [rule["rule_id"] for rule in event["content"]["global"]["override"]]


# ---------------------------------------------------------------------- the ring and the database
def test_sync_054_a_timeline_limit_of_0_tells_state_and_no_events(user, user2):
    """What matrix-js-sdk asks for with initialSyncLimit 0; history then begins with the newest event."""
    room = user.create_room(preset="public_chat", name="Quiet")
    user.send(room, "one")
    none = json.dumps({"room": {"timeline": {"limit": 0}}})
    first = user.sync(filter=none)
    part = room_of(first, room)
    assert part["timeline"]["events"] == [] and part["timeline"]["limited"] is True
    assert "Quiet" in [e["content"].get("name") for e in part["state"]["events"]]
    page = user.call("GET", f"{V3}/rooms/{quote(room)}/messages?dir=b&limit=1&from={part['timeline']['prev_batch']}").json()
    assert [e["content"]["body"] for e in page["chunk"]] == ["one"]
    user.put_state(room, "m.room.name", {"name": "Loud"})
    user.send(room, "two")
    part = room_of(user.sync(first["next_batch"], filter=none), room)
    assert part["timeline"]["events"] == [] and part["timeline"]["limited"] is True
    assert [e["content"]["name"] for e in part["state"]["events"]] == ["Loud"]
    user.call("GET", f"{V3}/sync?filter=" + quote(json.dumps({"room": {"timeline": {"limit": -1}}})), errcode="M_INVALID_PARAM")


def test_sync_060_a_poll_that_waited_is_told_what_a_later_one_is(make_server):
    server = make_server("--children", "1")
    user, user2 = server.register(), server.register()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    user.send(room, "known")
    since, live = user.sync()["next_batch"], []

    def strip(answer):
        for told in answer["rooms"]["join"].values():
            for event in told["timeline"]["events"] + told["state"]["events"]:
                event["unsigned"].pop("age")
        return {**answer, "next_batch": ""}

    def news():
        user2.send(room, "text with \" and \u2028 and \U0001F600")
        user2.put_state(room, "m.room.member", {"membership": "join", "displayname": "D"}, user2.user_id)
        user.put_state(room, "m.room.topic", {"topic": "a"})
        user.put_state(room, "m.room.topic", {"topic": "b"})
        event_id = user.send(room, "mine", txn="t\"1")
        user2.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event_id)}", {"thread_id": "main"})
        user2.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event_id)}", {})
        user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/x.y", {"a": [1.5, None]})
        user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room)}/tags/u.x", {"order": 0.5})
    later, at = Later(0.3, news), since
    end = time.monotonic() + 3
    while time.monotonic() < end:
        answer = user.sync(at, 1000)
        live.append(answer)
        at = answer["next_batch"]
    later.join()
    by_ring = [strip(user.sync(since))] + [strip(user.sync(a)) for a in [l["next_batch"] for l in live]]
    server.quickstart("restart")
    by_database = [strip(user.sync(since))] + [strip(user.sync(a)) for a in [l["next_batch"] for l in live]]
    assert by_ring == by_database
    told = [e["event_id"] for l in live for e in (room_of(l, room) or {"timeline": {"events": []}})["timeline"]["events"]]
    assert told == ids_of_timeline(by_database[0], room)


def test_sync_061_a_small_ring_loses_nothing(make_server):
    server = make_server("--children", "1", "--conf-line", "MatrixSyncRingEvents 3")
    user, user2 = server.register(), server.register()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    at, seen, sent = user.sync()["next_batch"], [], []
    later = Later(0.1, lambda: [sent.append(user2.send(room, str(i))) for i in range(60)])
    end = time.monotonic() + 20
    while len(seen) < 60 and time.monotonic() < end:
        answer = user.sync(at, 1000, filter=json.dumps({"room": {"timeline": {"limit": 100}}}))
        seen += ids_of_timeline(answer, room)
        at = answer["next_batch"]
    later.join()
    assert seen == sent
