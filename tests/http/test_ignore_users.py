# SPDX-License-Identifier: Apache-2.0
"""CS-API: ignoring users: what m.ignored_user_list hides, and what it does not."""
import json
import threading
import time

import pytest

from harness import V3, quote


def ignore(user, *others):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.ignored_user_list",
              {"ignored_users": {other.user_id: {} for other in others}})


def rooms(user, room_id, tail):
    return f"{V3}/rooms/{quote(room_id)}/{tail}"


def senders(answer, room_id):
    room = answer["rooms"]["join"].get(room_id, {"timeline": {"events": []}})
    return {e["sender"] for e in room["timeline"]["events"] if "state_key" not in e}


@pytest.fixture
def troll(new_user):
    return new_user()


@pytest.fixture
def room(user, user2, troll):
    room_id = user.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    user2.join(room_id)
    troll.join(room_id)
    return room_id


def test_ignore_users_001_sync_hides_messages_and_keeps_state(user, user2, troll, room):
    since = user.sync()["next_batch"]
    ignore(user, troll)
    troll.send(room, "hidden")
    user2.send(room, "shown")
    troll.put_state(room, "m.room.topic", {"topic": "by the ignored one"})
    for answer in (user.sync(since), user.sync()):
        events = answer["rooms"]["join"][room]["timeline"]["events"]
        assert [e["content"].get("body") for e in events if e["type"] == "m.room.message"] == ["shown"]
        assert any(e["type"] == "m.room.topic" and e["sender"] == troll.user_id for e in events)


def test_ignore_users_002_a_change_holds_at_once_for_all_clients(server, user, troll, room):
    """CS-API: "Following an update of the m.ignored_user_list, the sync API for all clients should immediately start ignoring"."""
    other = server.login(user.user_id)
    tokens = [user.sync()["next_batch"], other.sync()["next_batch"]]
    ignore(user, troll)
    troll.send(room, "while ignored")
    for client, since in zip((user, other), tokens):
        assert troll.user_id not in senders(client.sync(since), room)
    tokens = [user.sync(tokens[0])["next_batch"], other.sync(tokens[1])["next_batch"]]
    ignore(user)
    troll.send(room, "after")
    for client, since in zip((user, other), tokens):
        events = client.sync(since)["rooms"]["join"][room]["timeline"]["events"]
        # "it should not send events that were missed while the user was ignored"
        assert [e["content"]["body"] for e in events if e["type"] == "m.room.message"] == ["after"]
    bodies = [e["content"].get("body") for e in user.sync()["rooms"]["join"][room]["timeline"]["events"]]
    assert "while ignored" in bodies      # "the client should perform a fresh sync"


def test_ignore_users_003_a_waiting_poll_is_not_answered_by_them(user, user2, troll, room):
    ignore(user, troll)
    since = user.sync()["next_batch"]
    def speak():
        time.sleep(0.3)
        troll.send(room, "hidden")
        time.sleep(0.3)
        user2.send(room, "shown")
    thread = threading.Thread(target=speak)
    thread.start()
    quiet = json.dumps({"presence": {"types": []}})
    answer = user.sync(since, 5000, filter=quiet)
    thread.join()
    assert senders(answer, room) == {user2.user_id}


@pytest.mark.parametrize("dir", ["b", "f"])
def test_ignore_users_004_messages_hides_them(user, user2, troll, room, dir):
    ignore(user, troll)
    for n in range(6):
        (troll if n % 2 else user2).send(room, f"m{n}")
    troll.put_state(room, "m.room.topic", {"topic": "x"})
    found, place = [], None
    while True:      # in small pages, so that some hold none of the wanted events
        page = user.call("GET", rooms(user, room, f"messages?dir={dir}&limit=2" + (f"&from={place}" if place else ""))).json()
        found += page["chunk"]
        if "end" not in page:
            break
        place = page["end"]
    bodies = [e["content"].get("body") for e in found if e["type"] == "m.room.message"]
    assert bodies == (["m0", "m2", "m4"] if dir == "f" else ["m4", "m2", "m0"])
    assert [e for e in found if e["type"] == "m.room.topic"]
    assert len([e for e in troll.call("GET", rooms(troll, room, f"messages?dir={dir}&limit=50")).json()["chunk"]
                if e["type"] == "m.room.message"]) == 6


def test_ignore_users_005_single_events_and_context_hide_them(user, user2, troll, room):
    hidden, shown = troll.send(room, "hidden"), user2.send(room, "shown")
    ignore(user, troll)
    for tail in (f"event/{quote(hidden)}", f"context/{quote(hidden)}"):
        user.call("GET", rooms(user, room, tail), status=404, errcode="M_NOT_FOUND")
        user2.call("GET", rooms(user2, room, tail))
    context = user.call("GET", rooms(user, room, f"context/{quote(shown)}?limit=20")).json()
    assert context["event"]["event_id"] == shown
    assert hidden not in {e["event_id"] for e in context["events_before"] + context["events_after"]}
    topic = troll.put_state(room, "m.room.topic", {"topic": "x"})["event_id"]
    assert user.call("GET", rooms(user, room, f"event/{quote(topic)}"))["event_id"] == topic
    ignore(user)
    assert user.call("GET", rooms(user, room, f"event/{quote(hidden)}"))["event_id"] == hidden


def test_ignore_users_006_relations_hide_them(user, user2, troll, room):
    parent = user.send(room, "parent")
    relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": parent}, "msgtype": "m.text", "body": "child"}
    hidden, shown = troll.send(room, content=relation), user2.send(room, content=relation)
    ignore(user, troll)
    chunk = user.call("GET", f"{V3}/rooms/{quote(room)}/relations/{quote(parent)}".replace("v3", "v1"))["chunk"]
    assert [e["event_id"] for e in chunk] == [shown] and hidden != shown


def test_ignore_users_007_their_invitations_are_not_shown(user, user2, troll):
    ignore(user, troll)
    since = user.sync()["next_batch"]
    bad, good = troll.create_room(invite=[user.user_id]), user2.create_room(invite=[user.user_id])
    for answer in (user.sync(since), user.sync()):
        assert set(answer["rooms"]["invite"]) == {good}
    # it is hidden, not gone: CS-API: "Servers may optionally decide to reject the invite"
    assert user.join(bad) == bad


def test_ignore_users_008_a_poll_is_not_ended_by_a_hidden_invitation(user, user2, troll):
    ignore(user, troll)
    since = user.sync()["next_batch"]
    def invite():
        time.sleep(0.3)
        troll.create_room(invite=[user.user_id])
        time.sleep(0.5)
        user2.create_room(invite=[user.user_id], name="good")
    thread = threading.Thread(target=invite)
    thread.start()
    answer = user.sync(since, 6000, filter=json.dumps({"presence": {"types": []}}))
    thread.join()
    events = [e for room in answer["rooms"]["invite"].values() for e in room["invite_state"]["events"]]
    assert {e["sender"] for e in events if e["type"] == "m.room.name"} == {user2.user_id}


@pytest.mark.parametrize("content", [{}, {"ignored_users": []}, {"ignored_users": "x"}, {"ignored_users": {"nobody": {}, "": 1}}])
def test_ignore_users_009_a_list_of_another_form_ignores_nobody(user, troll, room, content):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.ignored_user_list", content)
    since = user.sync()["next_batch"]
    event_id = troll.send(room, "shown")
    assert senders(user.sync(since), room) == {troll.user_id}
    assert user.call("GET", rooms(user, room, f"event/{quote(event_id)}"))["event_id"] == event_id
