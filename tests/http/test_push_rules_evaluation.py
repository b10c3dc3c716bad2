# SPDX-License-Identifier: Apache-2.0
"""CS-API: push rules; receiving notifications; marking notifications as read: the counts that /sync tells."""
import pytest

from harness import V3, quote
from room_calls import as_filter

THREADS = as_filter(room={"timeline": {"unread_thread_notifications": True}})


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def told(answer, room):
    return answer["rooms"]["join"].get(room)


def pair(counts):
    return counts["notification_count"], counts["highlight_count"]


def unread(user, room):
    """(notified, highlighted) in the whole room."""
    return pair(told(user.sync(), room)["unread_notifications"])


def by_thread(user, room):
    """The same of the main timeline (None) and of each thread."""
    part = told(user.call("GET", f"{V3}/sync?{THREADS}").json(), room)
    counts = {root: pair(c) for root, c in part.get("unread_thread_notifications", {}).items()}
    return {None: pair(part["unread_notifications"]), **counts}


def say(user, room, body="hello", **more):
    return user.send(room, content={"msgtype": "m.text", "body": body, **more})


def relates(rel_type, parent, **more):
    return {"m.relates_to": {"rel_type": rel_type, "event_id": parent, **more}}


def read(user, room, event_id, type="m.read", thread=None):
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/{quote(type)}/{quote(event_id)}", {"thread_id": thread} if thread else {})


def put_rule(user, kind, rule_id, **rule):
    user.call("PUT", f"{V3}/pushrules/global/{kind}/{quote(rule_id)}", rule)


def ignore(user, *ids):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {i: {} for i in ids}})


def test_push_rules_evaluation_001_messages_count_until_they_are_read(user, user2, room):
    one, two = say(user, room), say(user, room)
    assert unread(user2, room) == (2, 0)
    read(user2, room, one)
    assert unread(user2, room) == (1, 0)
    read(user2, room, two)
    assert unread(user2, room) == (0, 0)
    assert unread(user, room) == (0, 0)


def test_push_rules_evaluation_002_the_further_of_public_and_private_receipt_counts(user, user2, room):
    a, b, c, d = [say(user, room) for _ in range(4)]
    for event_id, type, left in ((c, "m.read", 1), (a, "m.read.private", 1), (d, "m.read.private", 0), (a, "m.read", 0)):
        read(user2, room, event_id, type)
        assert unread(user2, room) == (left, 0), (event_id, type)


def test_push_rules_evaluation_003_mentions_highlight(user, user2, room):
    say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    assert unread(user2, room) == (1, 1)
    say(user, room, **{"m.mentions": {"user_ids": ["@other:example.org", 7, user.user_id]}})
    assert unread(user2, room) == (2, 1)
    say(user, room, **{"m.mentions": {"room": True}})
    assert unread(user2, room) == (3, 2)
    say(user2, room, **{"m.mentions": {"room": True}})
    assert unread(user, room) == (1, 0), "without power a room mention is a message"


@pytest.mark.parametrize("type, content, counts", [
    ("m.room.message", {"msgtype": "m.notice", "body": "x"}, (0, 0)), ("m.reaction", {}, (0, 0)), ("org.example.any", {}, (0, 0)),
    ("m.room.encrypted", {"algorithm": "m.megolm.v1.aes-sha2"}, (1, 0)), ("m.call.invite", {}, (1, 0)),
    ("m.room.message", {"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}, "m.new_content": {}}, (0, 0))])
def test_push_rules_evaluation_004_what_the_predefined_rules_count(user, user2, room, type, content, counts):
    user.send(room, type=type, content=content)
    assert unread(user2, room) == counts


def test_push_rules_evaluation_005_threads_are_counted_apart(user, user2, room):
    """CS-API: threading; unread_thread_notifications."""
    root, plain = say(user, room, "root"), say(user, room)
    reply = say(user, room, "in", **relates("m.thread", root), **{"m.mentions": {"user_ids": [user2.user_id]}})
    say(user, room, "in", **relates("m.thread", root))
    user.send(room, type="org.example.x", content=relates("org.example.rel", reply))
    assert unread(user2, room) == (4, 1)
    assert by_thread(user2, room) == {None: (2, 0), root: (2, 1)}
    read(user2, room, reply, thread=root)
    assert by_thread(user2, room) == {None: (2, 0), root: (1, 0)}
    read(user2, room, plain, thread="main")
    assert by_thread(user2, room) == {None: (0, 0), root: (1, 0)}
    read(user2, room, say(user, room))
    assert by_thread(user2, room) == {None: (0, 0)}


def test_push_rules_evaluation_006_an_unthreaded_receipt_reads_all_before_it(user, user2, room):
    root = say(user, room, "root")
    first = say(user, room, "in", **relates("m.thread", root))
    say(user, room, "in", **relates("m.thread", root))
    read(user2, room, first)
    assert by_thread(user2, room) == {None: (0, 0), root: (1, 0)}


def test_push_rules_evaluation_007_redacted_events_do_not_count(user, user2, room):
    event_id = say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    say(user, room)
    user.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(event_id)}/t", {})
    assert unread(user2, room) == (1, 0)


def test_push_rules_evaluation_008_who_sends_has_read(user, user2, room):
    """CS-API: marking notifications as read: 'by sending an event'."""
    root = say(user, room, "root")
    say(user, room, "in", **relates("m.thread", root))
    say(user2, room)
    assert by_thread(user2, room) == {None: (0, 0), root: (1, 0)}
    say(user2, room, "in", **relates("m.thread", root))
    assert unread(user2, room) == (0, 0)


def test_push_rules_evaluation_009_counts_come_with_the_event_and_with_the_receipt(user, user2, room):
    """CS-API: push, server behaviour: the count appears in the same /sync response as the event itself."""
    since = user2.sync()["next_batch"]
    for n in (1, 2, 3):
        event_id = say(user, room)
        answer = user2.sync(since, 5000)
        assert pair(told(answer, room)["unread_notifications"]) == (n, 0)
        since = answer["next_batch"]
    for type in ("m.read.private", "m.read"):
        read(user2, room, event_id, type)
        answer = user2.sync(since, 5000)
        assert pair(told(answer, room)["unread_notifications"]) == (0, 0)
        since = answer["next_batch"]


def test_push_rules_evaluation_010_rooms_can_be_muted_or_followed(user, user2, room):
    say(user, room)
    put_rule(user2, "room", room, actions=[])
    say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    assert unread(user2, room) == (1, 1)
    put_rule(user2, "override", "mute", actions=["dont_notify"], conditions=[{"kind": "event_match", "key": "room_id", "pattern": room}])
    assert unread(user2, room) == (0, 0)
    user2.call("DELETE", f"{V3}/pushrules/global/override/mute")
    put_rule(user2, "room", room, actions=["notify"])
    user.send(room, type="org.example.any", content={})
    assert unread(user2, room) == (3, 1)


def test_push_rules_evaluation_011_words_senders_and_properties(user, user2, room):
    put_rule(user2, "content", "tea", pattern="t?a*time", actions=["notify", {"set_tweak": "highlight"}])
    put_rule(user2, "sender", user.user_id, actions=[])
    for body in ("Tea time", "steatime", "tea for two, time flies"):
        say(user, room, body)
    assert unread(user2, room) == (2, 2)
    put_rule(user2, "override", "p", actions=["notify"], conditions=[
        {"kind": "event_property_is", "key": "content.org\\.x", "value": 1}, {"kind": "room_member_count", "is": "2"}])
    user.send(room, type="org.example.any", content={"org.x": 1})
    user.send(room, type="org.example.any", content={"org.x": True})
    assert unread(user2, room) == (3, 2)
    since = user2.sync()["next_batch"]
    say(user, room, "teatime")
    assert pair(told(user2.sync(since, 5000), room)["unread_notifications"]) == (4, 3)


def test_push_rules_evaluation_012_the_master_rule_silences_all(user, user2, room):
    user2.call("PUT", f"{V3}/pushrules/global/override/.m.rule.master/enabled", {"enabled": True})
    say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    assert unread(user2, room) == (0, 0)


def test_push_rules_evaluation_013_what_came_before_one_joined_is_read(user, user2):
    room = user.create_room(preset="public_chat")
    say(user, room)
    user2.join(room)
    say(user, room)
    user2.call("PUT", f"{V3}/profile/{quote(user2.user_id)}/displayname", {"displayname": "Other"})
    assert unread(user2, room) == (1, 0), "a new name is no new membership"


def test_push_rules_evaluation_014_ignored_users_neither_count_nor_show(user, user2, room):
    """CS-API: ignoring users."""
    since = user2.sync()["next_batch"]
    ignore(user2, user.user_id)
    hidden = say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    user.put_state(room, "m.room.topic", {"topic": "told"})
    for answer in (user2.sync(), user2.sync(since)):
        part = told(answer, room)
        assert hidden not in [e["event_id"] for e in part["timeline"]["events"]]
        assert "m.room.topic" in [e["type"] for e in part["timeline"]["events"]]
        assert pair(part["unread_notifications"]) == (0, 0)
    ignore(user2)
    assert unread(user2, room) == (1, 1)


def test_push_rules_evaluation_015_globs_on_long_texts_take_their_time_in_a_line(user, user2, room):
    """Many stars against a long text: linear, not exponential."""
    for i in range(20):
        put_rule(user2, "content", f"r{i}", pattern="*a" * 200 + "b", actions=["notify", {"set_tweak": "highlight"}])
    for _ in range(5):
        say(user, room, "a" * 30000)
    assert unread(user2, room) == (5, 0)


def test_push_rules_evaluation_016_nothing_is_written_for_a_member(server, user, user2, room):
    def rows():
        return sum(int(r[0]) for r in server.sql("select count(*) from event_push union all select count(*) from event_relation"))
    before = rows()
    for _ in range(3):
        say(user, room)
    assert rows() == before
    say(user, room, **{"m.mentions": {"user_ids": [user2.user_id]}})
    assert rows() == before + 1
