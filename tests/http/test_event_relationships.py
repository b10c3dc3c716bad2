# SPDX-License-Identifier: Apache-2.0
"""CS-API: aggregations of child events; event replacements; threading; reference relations; event annotations."""
import pytest

from harness import V3, quote
from relation_calls import bundle, edit, event, ids, ignore, next_txn, react, redact, refer, relates, reply, text
from room_calls import as_filter, room_path


@pytest.fixture
def room(user, user2):
    room_id = user.create_room(preset="public_chat")
    user2.join(room_id)
    return room_id


def send(user, room, content, type="m.room.message", txn=None, **expect):
    return user.call("PUT", f"{V3}/rooms/{quote(room)}/send/{quote(type)}/{txn or next_txn()}", content, **expect)


def edited_by(user, room, parent):
    return bundle(event(user, room, parent)).get("m.replace", {}).get("event_id")


def thread_of(user, room, root):
    return bundle(event(user, room, root)).get("m.thread")


# ---- where events are served

def test_event_relationships_001_bundles_are_where_the_page_says(user, room):
    root = user.send(room, "root")
    reply(user, room, root)
    edit(user, room, root)
    refer(user, room, root)
    for _ in range(9):
        user.send(room, "more")
    wanted = {"m.thread", "m.replace", "m.reference"}
    around = user.call("GET", room_path(room, f"context/{quote(root)}?limit=0")).json()
    before = user.call("GET", room_path(room, f"context/{quote(user.send(room, 'last'))}?limit=30")).json()
    page = user.call("GET", room_path(room, "messages?dir=b&limit=50")).json()
    for events in ([event(user, room, root)], [around["event"]], before["events_before"], page["chunk"]):
        found = [e for e in events if e["event_id"] == root][0]
        assert set(bundle(found)) == wanted and found["content"]["body"] == "root", "the event itself stays as it was sent"
    assert not [e for e in page["chunk"] if e["event_id"] != root and bundle(e)]


def test_event_relationships_002_sync_bundles_where_it_is_limited(user, user2, room):
    since = user2.sync()["next_batch"]
    root = user.send(room, "root")
    change = edit(user, room, root)
    whole = user2.sync(since)["rooms"]["join"][room]["timeline"]
    assert whole["limited"] is False and not any(bundle(e) for e in whole["events"]), "the children are there themselves"
    last = reply(user, room, root)
    for limit, limited in ((3, False), (2, True)):
        target = f"{V3}/sync?since={since}&{as_filter(room={'timeline': {'limit': limit, 'types': ['m.room.message']}})}"
        assert user2.call("GET", target)["rooms"]["join"][room]["timeline"]["limited"] is limited
    only_roots = as_filter(room={"timeline": {"limit": 2}})
    for _ in range(3):
        root = user.send(room, "root")
    change = edit(user, room, root)
    cut = user2.call("GET", f"{V3}/sync?since={since}&{only_roots}")["rooms"]["join"][room]["timeline"]
    assert cut["limited"] is True and ids(cut["events"]) == [root, change] and last
    assert bundle(cut["events"][0])["m.replace"]["event_id"] == change
    assert "room_id" not in bundle(cut["events"][0])["m.replace"], "in the form of the event around it"
    first = user2.call("GET", f"{V3}/sync?{only_roots}")["rooms"]["join"][room]["timeline"]
    assert bundle(first["events"][0])["m.replace"]["event_id"] == change


def test_event_relationships_003_the_ring_and_the_database_say_the_same(user, user2, room):
    """What a waiter is told out of memory is what a fresh look at the same stretch says."""
    since = user2.sync()["next_batch"]
    root = user.send(room, "root")
    reply(user, room, root)
    edit(user, room, root)
    answers = []
    for extra in ({}, {"full_state": "false"}, {"filter": '{"event_fields":["type","content","unsigned","event_id"]}'}):
        events = user2.sync(since, **extra)["rooms"]["join"][room]["timeline"]["events"]
        answers.append([(e["event_id"], bundle(e)) for e in events])
    assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 3 and not any(b for _, b in answers[0])


# ---- m.replace

def test_event_relationships_004_the_newest_edit(user, room):
    root = user.send(room, "root")
    assert edited_by(user, room, root) is None
    edit(user, room, root, "one")
    second = edit(user, room, root, "two")
    got = bundle(event(user, room, root))["m.replace"]
    assert got["event_id"] == second and got["sender"] == user.user_id and got["type"] == "m.room.message" and got["room_id"] == room
    assert got["content"]["m.new_content"] == text("two") and got["origin_server_ts"] and got["unsigned"]["age"] >= 0
    redact(user, room, second)
    assert bundle(event(user, room, root))["m.replace"]["content"]["m.new_content"] == text("one"), "the edit before it"


def test_event_relationships_005_the_same_moment(user, server, room):
    """CS-API: event replacements: at the same origin_server_ts the larger event id is the more recent one."""
    root = user.send(room, "root")
    edits = [edit(user, room, root, f"e{i}") for i in range(6)]
    server.sql(f"update event_relation r set ts = 1 from event e join room x using (room_nid) where e.nid = r.nid and x.room_id = '{room}'")
    server.sql(f"update event e set ts = 1 from event_relation r join room x using (room_nid) where e.nid = r.nid and x.room_id = '{room}'")
    assert edited_by(user, room, root) == max(edits)


def test_event_relationships_006_edits_that_are_none(user, user2, room):
    root = user.send(room, "root")
    edit(user2, room, root)
    edit(user, room, root, type="org.example.message")
    user.send(room, content=text("no new content", **relates("m.replace", root)))
    user.send(room, content=text("new content is no object", **{"m.new_content": "x"}, **relates("m.replace", root)))
    user.put_state(room, "org.example.state", {"m.new_content": {}, **relates("m.replace", root)})
    assert edited_by(user, room, root) is None
    elsewhere = user.create_room()
    edit(user, elsewhere, root)
    assert edited_by(user, room, root) is None
    good = edit(user, room, root)
    edit(user, room, good, "edit of an edit")
    assert edited_by(user, room, root) == good and edited_by(user, room, good) is None
    name = user.put_state(room, "m.room.name", {"name": "x"})["event_id"]
    edit(user, room, name, type="m.room.name")
    assert bundle(event(user, room, name)) == {}, "state events have no bundles"


def test_event_relationships_007_encrypted_edits(user, room):
    secret = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s"}
    root = user.send(room, type="m.room.encrypted", content=secret)
    change = user.send(room, type="m.room.encrypted", content={**secret, **relates("m.replace", root)})
    edit(user, room, root, "in clear")
    assert edited_by(user, room, root) == change


def test_event_relationships_008_redacted_and_edited(user, room):
    root = user.send(room, "root")
    edit(user, room, root)
    reply(user, room, root)
    redact(user, room, root)
    got = event(user, room, root)
    assert got["content"] == {} and set(bundle(got)) == {"m.thread"}, "edits go with the original, the thread stays"


# ---- m.thread

def test_event_relationships_009_threads(user, user2, room):
    root = user.send(room, "root")
    assert thread_of(user, room, root) is None
    first, last = reply(user2, room, root, "one"), reply(user2, room, root, "two")
    thread = thread_of(user, room, root)
    assert set(thread) == {"count", "latest_event", "current_user_participated"}
    assert thread["count"] == 2 and thread["latest_event"]["event_id"] == last and thread["latest_event"]["room_id"] == room
    redact(user2, room, last)
    thread = thread_of(user, room, root)
    assert thread["count"] == 1 and thread["latest_event"]["event_id"] == first
    redact(user2, room, first)
    assert thread_of(user, room, root) is None


def test_event_relationships_010_participation(user, user2, new_user, room):
    root = user.send(room, "root")
    own = reply(user2, room, root)
    reply(user, room, root)
    user3 = new_user()
    user3.join(room)
    assert [thread_of(u, room, root)["current_user_participated"] for u in (user, user2, user3)] == [True, True, False]
    redact(user2, room, own)
    assert thread_of(user2, room, root)["current_user_participated"] is False


def test_event_relationships_011_the_latest_event_has_its_own_bundle(user, room):
    root = user.send(room, "root")
    last = reply(user, room, root)
    change = edit(user, room, last)
    mention = refer(user, room, last)
    latest = thread_of(user, room, root)["latest_event"]
    assert latest["event_id"] == last, "an edit in a thread is no message of it"
    assert bundle(latest)["m.replace"]["event_id"] == change
    assert bundle(latest)["m.reference"] == {"chunk": [{"event_id": mention}]}


def test_event_relationships_012_transaction_ids_in_bundles(user, user2, room):
    root = user.send(room, "root")
    user.send(room, content=text(**relates("m.thread", root)), txn="in-thread")
    assert thread_of(user, room, root)["latest_event"]["unsigned"]["transaction_id"] == "in-thread"
    assert "transaction_id" not in thread_of(user2, room, root)["latest_event"]["unsigned"]


def test_event_relationships_013_a_thread_begins_with_what_relates_to_nothing(user, user2, new_user, room):
    root = user.send(room, "root")
    child, reaction = reply(user, room, root), react(user, room, root)["event_id"]
    for parent in (child, reaction, edit(user, room, root), refer(user, room, root)):
        send(user2, room, text(**relates("m.thread", parent)), status=400, errcode="M_UNKNOWN")
    rich = user.send(room, content=text(**{"m.relates_to": {"m.in_reply_to": {"event_id": root}}}))
    assert reply(user2, room, rich), "a rich reply is no relation of a type"
    redact(user, room, reaction)
    assert reply(user2, room, reaction), "nor is what was redacted"
    stranger = new_user()
    send(stranger, room, text(**relates("m.thread", child)), status=403, errcode="M_FORBIDDEN")


def test_event_relationships_014_a_known_transaction_is_not_judged_again(user, room):
    root = user.send(room, "root")
    one = send(user, room, text(**relates("m.thread", root)), txn="again")["event_id"]
    assert send(user, room, text(**relates("m.thread", root)), txn="again")["event_id"] == one
    again = next_txn()
    two = send(user, room, relates("m.annotation", root, key="x"), "m.reaction", again)["event_id"]
    assert send(user, room, relates("m.annotation", root, key="x"), "m.reaction", again)["event_id"] == two


# ---- m.reference, m.annotation

def test_event_relationships_015_references(user, user2, room):
    root = user.send(room, "root")
    sent = [refer(user, room, root), refer(user2, room, root), refer(user, room, root)]
    assert bundle(event(user, room, root)) == {"m.reference": {"chunk": [{"event_id": e} for e in sent]}}
    redact(user2, room, sent[1])
    assert bundle(event(user, room, root))["m.reference"]["chunk"] == [{"event_id": sent[0]}, {"event_id": sent[2]}]


def test_event_relationships_016_annotations_are_not_bundled_and_not_sent_twice(user, user2, room):
    root = user.send(room, "root")
    first = react(user, room, root)["event_id"]
    react(user, room, root, status=400, errcode="M_DUPLICATE_ANNOTATION")
    react(user, room, root, "👎")
    react(user2, room, root)
    send(user, room, relates("m.annotation", root, key="👍"), "org.example.vote")
    assert bundle(event(user, room, root)) == {}
    redact(user, room, first)
    react(user, room, root)
    react(user, room, root, status=400, errcode="M_DUPLICATE_ANNOTATION")
    for bad in ({"rel_type": "m.annotation", "event_id": root}, {"rel_type": "m.annotation", "event_id": root, "key": 1}):
        for _ in range(2):
            send(user, room, {"m.relates_to": bad}, "m.reaction")


# ---- who may see

def test_event_relationships_017_ignored_users_do_not_count(user, user2, room):
    root, other = user.send(room, "root"), user2.send(room, "other")
    mine, theirs = reply(user, room, root), reply(user2, room, root)
    refer(user2, room, root)
    edit(user2, room, other)
    ignore(user, user2.user_id)
    thread = thread_of(user, room, root)
    assert thread["count"] == 1 and thread["latest_event"]["event_id"] == mine
    assert set(bundle(event(user, room, root))) == {"m.thread"}
    user.call("GET", room_path(room, f"event/{quote(other)}"), status=404, errcode="M_NOT_FOUND")
    page = user.call("GET", room_path(room, "messages?dir=b&limit=20"))["chunk"]
    assert [bundle(e)["m.thread"]["count"] for e in page if e["event_id"] == root] == [1]
    assert thread_of(user2, room, root)["latest_event"]["event_id"] == theirs


def test_event_relationships_018_history_visibility(user, user2):
    room = user.create_room(preset="public_chat")
    user.put_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    user2.join(room)
    root = user.send(room, "root")
    seen, old = reply(user, room, root), edit(user, room, root, "old")
    user2.leave(room)
    for i in range(3):
        reply(user, room, root)
        edit(user, room, root, f"hidden{i}")
        refer(user, room, root)
    got = bundle(event(user2, room, root))
    assert set(got) == {"m.thread", "m.replace"}
    assert got["m.thread"]["count"] == 1 and got["m.thread"]["latest_event"]["event_id"] == seen
    assert got["m.replace"]["event_id"] == old
    user2.join(room)
    last = reply(user, room, root)
    thread = thread_of(user2, room, root)
    assert thread["count"] == 2 and thread["latest_event"]["event_id"] == last, "what happened meanwhile stays hidden"
    assert thread_of(user, room, root)["count"] == 5


def test_event_relationships_019_reading_a_thread_is_another_matter(user, user2, room):
    """CS-API: threaded read receipts: what was read counts no longer as unread, and as before in the bundle."""
    root = user.send(room, "root")
    last = reply(user, room, root)
    want = as_filter(room={"timeline": {"unread_thread_notifications": True, "limit": 1}})

    def unread():
        return user2.call("GET", f"{V3}/sync?{want}")["rooms"]["join"][room].get("unread_thread_notifications", {}).get(root)
    assert unread()["notification_count"] == 1
    user2.call("POST", room_path(room, f"receipt/m.read/{quote(last)}"), {"thread_id": root})
    assert not unread() or unread()["notification_count"] == 0
    assert thread_of(user2, room, root)["count"] == 1 and thread_of(user2, room, root)["latest_event"]["event_id"] == last


def test_event_relationships_020_clients_are_told_that_threads_work(server):
    features = server.call("GET", "/_matrix/client/versions")["unstable_features"]
    assert all(features[f"org.matrix.{name}.stable"] is True for name in ("msc3440", "msc3715", "msc3856"))


# What a client asks for only of a server that says it has it: private receipts, counts of threads, m.mentions, deep relations.
@pytest.mark.parametrize("name", ["msc2285.stable", "msc3771", "msc3773", "msc3952_intentional_mentions", "msc3981"])
def test_event_relationships_021_clients_are_told_what_badges_need(server, name):
    """CS-API: GET /_matrix/client/versions, unstable_features; matrix-js-sdk asks for unread_thread_notifications by msc3771 and msc3773."""
    assert server.call("GET", "/_matrix/client/versions")["unstable_features"][f"org.matrix.{name}"] is True
