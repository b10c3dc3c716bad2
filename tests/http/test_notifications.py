# SPDX-License-Identifier: Apache-2.0
# CS-API: GET /notifications
import pytest

from harness import V3, quote


def notifications(user, query="", **expect):
    return user.call("GET", f"{V3}/notifications{query}", **expect).json()


def bodies(answer):
    return [n["event"]["content"]["body"] for n in answer["notifications"]]


@pytest.fixture
def room(user, user2):
    room = user2.create_room(preset="public_chat")
    user.join(room)
    return room


def mention(sender, user, room, text):
    return sender.send(room, content={"msgtype": "m.text", "body": text, "m.mentions": {"user_ids": [user.user_id]}})


def test_notifications_001_newest_first_with_what_was_to_be_done(user, user2, room):
    assert notifications(user) == {"notifications": []}
    user2.send(room, "one")
    user.send(room, "my own")
    user2.send(room, content={"msgtype": "m.notice", "body": "a robot"})
    event = mention(user2, user, room, "you")
    answer = notifications(user)
    assert bodies(answer) == ["you", "one"] and "next_token" not in answer
    newest = answer["notifications"][0]
    assert newest["event"]["event_id"] == event and newest["event"]["sender"] == user2.user_id and "room_id" not in newest["event"]
    assert newest["room_id"] == room and newest["ts"] == newest["event"]["origin_server_ts"] and newest["read"] is False
    assert newest["actions"] == ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]


def test_notifications_002_pages_meet_without_gap_or_overlap(user, user2, room):
    other = user2.create_room(preset="public_chat")
    user.join(other)
    for i in range(7):
        user2.send(other if i % 2 else room, f"m{i}")
    seen, token = [], None
    for _ in range(10):
        answer = notifications(user, f"?limit=2&from={token}" if token else "?limit=2")
        assert len(answer["notifications"]) <= 2
        seen += bodies(answer)
        token = answer.get("next_token")
        if not token:
            break
    assert seen == [f"m{i}" for i in reversed(range(7))] and not token
    user2.send(room, "later")
    assert bodies(notifications(user, f"?from={notifications(user, '?limit=1')['next_token']}")) == seen


def test_notifications_003_only_highlights(user, user2, room):
    user2.send(room, "one")
    mention(user2, user, room, "you")
    user2.send(room, "two")
    assert bodies(notifications(user, "?only=highlight")) == ["you"]


@pytest.mark.parametrize("type", ["m.read", "m.read.private"])
def test_notifications_004_a_receipt_makes_it_read(user, user2, room, type):
    events = [user2.send(room, f"m{i}") for i in range(3)]
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/{type}/{quote(events[1])}", {})
    assert [(n["event"]["event_id"], n["read"]) for n in notifications(user)["notifications"]] == [
        (events[2], False), (events[1], True), (events[0], True)]


def test_notifications_005_a_receipt_of_a_thread_is_for_that(user, user2, room):
    root = user2.send(room, "root")
    reply = user2.send(room, content={"msgtype": "m.text", "body": "in it", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(reply)}", {"thread_id": root})
    assert [(n["event"]["event_id"], n["read"]) for n in notifications(user)["notifications"]] == [(reply, True), (root, False)]


def test_notifications_006_what_is_not_for_the_user_is_not_told(user, user2, room, new_user):
    muted = user2.create_room(preset="public_chat")
    user2.send(muted, "before the join")
    user.join(muted)
    left = user2.create_room(preset="public_chat")
    user.join(left)
    user2.send(left, "left behind")
    user.leave(left)
    user.call("PUT", f"{V3}/pushrules/global/override/{quote(muted)}",
              {"actions": [], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": muted}]})
    pest = new_user()
    pest.join(room)
    user.call("PUT", f"{V3}/user/{user.user_id}/account_data/m.ignored_user_list", {"ignored_users": {pest.user_id: {}}})
    user2.send(muted, "muted")
    pest.send(room, "pest")
    gone = user2.send(room, "redacted")
    user2.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(gone)}/r", {})
    user2.send(room, "for you")
    assert bodies(notifications(user)) == ["for you"]


def test_notifications_007_rules_on_contents_count(user, user2, room):
    user.call("PUT", f"{V3}/pushrules/global/content/cake", {"pattern": "cake", "actions": ["notify", {"set_tweak": "highlight"}]})
    user2.send(room, "bread")
    user2.send(room, "cake")
    assert bodies(notifications(user, "?only=highlight")) == ["cake"]


@pytest.mark.parametrize("query", ["?from=x", "?from=n", "?from=n0", "?from=n-1", "?from=n99999999999999999999", "?from=", "?limit=0", "?limit=-1",
                                   "?limit=x", "?only=x"])
def test_notifications_008_bad_requests(user, query):
    notifications(user, query, status=400, errcode="M_INVALID_PARAM")


def test_notifications_009_a_long_way_without_any_comes_to_an_end(user, user2, room):
    user2.send(room, "the one")
    for i in range(430):                     # more than are read at once, by far
        user2.send(room, content={"msgtype": "m.notice", "body": "robot"})
    assert bodies(notifications(user, "?limit=1")) == ["the one"]


def test_notifications_010_old_ones_are_not_told(make_server):
    server = make_server("--conf-line", "MatrixNotificationsKept 1m")
    user, user2 = server.register(), server.register()
    room = user2.create_room(preset="public_chat")
    user.join(room)
    old = user2.send(room, "old")
    user2.send(room, "new")
    assert bodies(notifications(user)) == ["new", "old"]
    server.sql(f"update event set ts = ts - 61000 where ord < (select max(ord) from event) and room_nid = (select room_nid from room where room_id = '{room}')")
    answer = notifications(user)
    assert bodies(answer) == ["new"] and "next_token" not in answer, old
