# SPDX-License-Identifier: Apache-2.0
"""
CS-API: room history visibility: the four settings against six histories of membership, by every way to read a room.
The readers' rooms are told as a small play; what each may see of it follows from the rules of the specification,
written down once more here, independently of the server.
"""
import pytest

from harness import V3, quote
from room_calls import room_path

SETTINGS = ["world_readable", "shared", "invited", "joined"]
# who the reader was when the messages "m0" to "m3" were sent, and is at the end
HISTORIES = {
    "never": ["none", "none", "none", "none", "none"],
    "invited": ["none", "invite", "invite", "invite", "invite"],
    "joined": ["none", "invite", "join", "join", "join"],
    "left": ["none", "invite", "join", "leave", "leave"],
    "declined": ["none", "invite", "leave", "leave", "leave"],
    "returned": ["none", "join", "leave", "join", "join"],
    "banned": ["none", "join", "join", "ban", "ban"],
}


def may_open(setting, history):
    """The gate: members, former members, and anybody where it is world_readable; the banned are kept out."""
    if setting == "world_readable":
        return True
    return HISTORIES[history][-1] != "ban" and "join" in HISTORIES[history]


def may_see(setting, history, i):
    """Rules 1 to 5 for message i."""
    then, later = HISTORIES[history][i], HISTORIES[history][i + 1:]
    return (setting == "world_readable" or then == "join" or (setting == "shared" and "join" in later)
            or (setting == "invited" and then == "invite"))


def become(user, reader, room_id, now, before):
    if now == before:
        return
    if now == "invite":
        user.invite(room_id, reader.user_id)
    elif now == "join":
        if before != "invite":
            user.invite(room_id, reader.user_id)
        reader.join(room_id)
    elif now == "leave":
        reader.leave(room_id)
    elif now == "ban":
        user.call("POST", room_path(room_id, "ban"), {"user_id": reader.user_id})


@pytest.fixture(scope="module")
def owner(server):
    return server.register()


@pytest.fixture(scope="module")
def plays(server, owner):
    """{(setting, history): (room id, reader, ids of the messages)}"""
    readers, out = {h: server.register() for h in HISTORIES}, {}
    for setting in SETTINGS:
        for history, steps in HISTORIES.items():
            state = [{"type": "m.room.history_visibility", "content": {"history_visibility": setting}}]
            room_id = owner.create_room(initial_state=state)
            before, sent = "none", []
            for i, now in enumerate(steps):
                become(owner, readers[history], room_id, now, before)
                before = now
                if i < 4:
                    sent.append(owner.send(room_id, f"m{i}"))
            out[setting, history] = (room_id, readers[history], sent)
    return out


def public_room(owner, setting):
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": setting}}]
    return owner.create_room(preset="public_chat", initial_state=state)


def messages(events):
    return {e["event_id"] for e in events if e["type"] == "m.room.message"}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_history_visibility_001_messages(plays, setting, history):
    room_id, reader, sent = plays[setting, history]
    wanted = {e for i, e in enumerate(sent) if may_see(setting, history, i)}
    for direction in ("b", "f"):
        path = room_path(room_id, f"messages?dir={direction}&limit=100")
        if may_open(setting, history):
            assert messages(reader.call("GET", path)["chunk"]) == wanted
        else:
            reader.call("GET", path, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_history_visibility_002_single_events_and_context(plays, setting, history):
    room_id, reader, sent = plays[setting, history]
    wanted = {e for i, e in enumerate(sent) if may_see(setting, history, i)}
    for event_id in sent:
        one, around = room_path(room_id, f"event/{quote(event_id)}"), room_path(room_id, f"context/{quote(event_id)}?limit=50")
        if not may_open(setting, history):
            reader.call("GET", one, status=404, errcode="M_NOT_FOUND")
            reader.call("GET", around, status=403, errcode="M_FORBIDDEN")
        elif event_id not in wanted:
            reader.call("GET", one, status=404, errcode="M_NOT_FOUND")
            reader.call("GET", around, status=404, errcode="M_NOT_FOUND")
        else:
            assert reader.call("GET", one)["event_id"] == event_id
            answer = reader.call("GET", around)
            assert messages(answer["events_before"] + [answer["event"]] + answer["events_after"]) == wanted


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_history_visibility_003_state_and_members(plays, owner, setting, history):
    room_id, reader, sent = plays[setting, history]
    for tail in ("members", "state", "state/m.room.create/", "aliases", "joined_members"):
        path, now = room_path(room_id, tail), HISTORIES[history][-1]
        special = {"joined_members": now == "join", "aliases": now == "join" or setting == "world_readable"}
        allowed = special.get(tail, may_open(setting, history))
        if allowed:
            reader.call("GET", path)
        else:
            reader.call("GET", path, status=403, errcode="M_FORBIDDEN")


def test_history_visibility_004_a_setting_holds_for_what_follows(owner, user2):
    """"These options are applied at the point an event is sent": m0 stays hidden, whatever is set later."""
    room_id = public_room(owner, "joined")
    hidden = owner.send(room_id, "hidden")
    change = owner.put_state(room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})["event_id"]
    shown = owner.send(room_id, "shown")
    seen = {e["event_id"] for e in user2.call("GET", room_path(room_id, "messages?dir=b&limit=100"))["chunk"]}
    assert shown in seen and change in seen and hidden not in seen
    owner.put_state(room_id, "m.room.history_visibility", {"history_visibility": "shared"})
    later = owner.send(room_id, "later")
    user2.call("GET", room_path(room_id, "messages?dir=b&limit=100"), status=403, errcode="M_FORBIDDEN")
    user2.join(room_id)
    seen = {e["event_id"] for e in user2.call("GET", room_path(room_id, "messages?dir=b&limit=100"))["chunk"]}
    assert {shown, change, later} <= seen and hidden not in seen


def test_history_visibility_005_the_readers_own_membership_is_seen(owner, user2):
    room_id = public_room(owner, "joined")
    owner.send(room_id, "before")
    user2.join(room_id)
    user2.leave(room_id)
    chunk = user2.call("GET", room_path(room_id, "messages?dir=b&limit=1"))["chunk"]
    assert [e["content"]["membership"] for e in chunk] == ["leave"]
    seen = user2.call("GET", room_path(room_id, "messages?dir=b&limit=100"))["chunk"]
    assert [e["content"]["membership"] for e in seen if e.get("state_key") == user2.user_id] == ["leave", "join"]


def test_history_visibility_006_unknown_values_are_shared(owner, user2):
    room_id = public_room(owner, "whatever")
    event_id = owner.send(room_id, "x")
    user2.call("GET", room_path(room_id, "messages?dir=b"), status=403, errcode="M_FORBIDDEN")
    user2.join(room_id)
    assert user2.call("GET", room_path(room_id, f"event/{quote(event_id)}"))["event_id"] == event_id


def test_history_visibility_007_hidden_content_does_not_come_back_as_prev_content(owner, user2):
    """CS-API: prev_content takes "permission to see the previous event"; replaces_state does not."""
    room_id = public_room(owner, "joined")
    old = owner.put_state(room_id, "org.example.x", {"secret": 1})["event_id"]
    user2.join(room_id)
    new = owner.put_state(room_id, "org.example.x", {"secret": 2})["event_id"]
    for reader, allowed in ((owner, True), (user2, False)):
        event = reader.call("GET", room_path(room_id, f"event/{quote(new)}")).json()
        assert event["unsigned"]["replaces_state"] == old
        assert ("prev_content" in event["unsigned"]) is allowed


def test_history_visibility_008_a_long_hidden_history_still_ends(owner, user2):
    """A page is cut short by a bound; its `end` leads on, and the last page has none."""
    room_id = public_room(owner, "joined")
    for i in range(40):
        owner.send(room_id, f"h{i}")
    user2.join(room_id)
    seen, token = [], ""
    for _ in range(20):
        answer = user2.call("GET", room_path(room_id, f"messages?dir=b&limit=2{token}")).json()
        seen += answer["chunk"]
        if "end" not in answer:
            break
        token = f"&from={quote(answer['end'])}"
    assert "end" not in answer and not messages(seen)
    assert user2.user_id in {e.get("state_key") for e in seen}
