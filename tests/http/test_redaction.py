# SPDX-License-Identifier: Apache-2.0
"""PUT /rooms/{roomId}/redact/{eventId}/{txnId}. CS-API: redactions; Rooms: redactions."""
import pytest

from harness import V3, quote


@pytest.fixture(params=["10", "11", "12"])
def room(request, user, user2):
    room = user.create_room(preset="public_chat", room_version=request.param)
    user2.join(room)
    return room


def redact(user, room, event_id, txn="1", body=None, **expect):
    return user.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(event_id)}/{quote(txn)}", {} if body is None else body, **expect)


def event(user, room, event_id):
    return user.call("GET", f"{V3}/rooms/{quote(room)}/event/{quote(event_id)}").json()


def test_redaction_001_the_content_goes_and_the_reason_stays(user, room):
    target = user.send(room, "secret")
    redaction = redact(user, room, target, body={"reason": "oops"})["event_id"]
    got = event(user, room, target)
    assert got["content"] == {}
    assert got["unsigned"]["redacted_because"]["event_id"] == redaction
    assert got["unsigned"]["redacted_because"]["content"]["reason"] == "oops"
    because = event(user, room, redaction)
    assert because["type"] == "m.room.redaction" and because["content"]["reason"] == "oops"
    assert because["redacts"] == target and because["content"].get("redacts", target) == target


def test_redaction_002_a_transaction_id_is_good_once(user, room):
    target, other = user.send(room), user.send(room)
    first = redact(user, room, target)["event_id"]
    assert redact(user, room, target)["event_id"] == first
    assert redact(user, room, target, "2")["event_id"] != first
    assert redact(user, room, other)["event_id"] != first


def test_redaction_003_ones_own_or_with_power(user, user2, room):
    by_user, by_user2 = user.send(room), user2.send(room)
    redact(user2, room, by_user, status=403, errcode="M_FORBIDDEN")
    assert event(user, room, by_user)["content"] != {}
    redact(user2, room, by_user2)
    redact(user, room, user2.send(room), "2")


def test_redaction_004_only_members(user, user2, room):
    target = user2.send(room)
    user2.leave(room)
    redact(user2, room, target, status=403, errcode="M_FORBIDDEN")


def test_redaction_005_an_event_that_is_not_there(user, room):
    redact(user, room, "$" + "A" * 43, status=404, errcode="M_NOT_FOUND")
    elsewhere = user.create_room()
    redact(user, room, user.send(elsewhere), status=404, errcode="M_NOT_FOUND")
    redact(user, room, "no-event", status=400, errcode="M_INVALID_PARAM")


def test_redaction_006_state_keeps_what_its_type_keeps(user, room):
    """Rooms: redactions: a name goes, the way to join stays."""
    name = user.put_state(room, "m.room.name", {"name": "secret"})["event_id"]
    redact(user, room, name)
    assert user.get_state(room, "m.room.name").json() == {}
    rules = user.get_state(room, "m.room.join_rules", "").json()
    rules_event = user.call("GET", f"{V3}/rooms/{quote(room)}/state/m.room.join_rules/?format=event").json()
    redact(user, room, rules_event["event_id"])
    assert user.get_state(room, "m.room.join_rules").json() == {"join_rule": rules["join_rule"]}


def test_redaction_007_as_an_event_of_its_own(user, room):
    """CS-API: PUT /rooms/{roomId}/send: m.room.redaction works in all room versions."""
    target = user.send(room, "secret")
    redaction = user.send(room, type="m.room.redaction", content={"redacts": target, "reason": "r"})
    assert event(user, room, target)["content"] == {}
    assert event(user, room, redaction)["redacts"] == target
    user.call("PUT", f"{V3}/rooms/{quote(room)}/send/m.room.redaction/none", {}, status=400, errcode="M_INVALID_PARAM")


def test_redaction_008_the_other_member_learns_of_it(user, user2, room):
    target = user.send(room, "secret")
    since = user2.sync()["next_batch"]
    redaction = redact(user, room, target)["event_id"]

    def told(answer):
        events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        return [e for e in events if e["event_id"] == redaction and e["type"] == "m.room.redaction" and e["redacts"] == target]
    user2.sync_until(told, since)


def test_redaction_009_a_bad_reason(user, room):
    redact(user, room, user.send(room), body={"reason": 5}, status=400, errcode="M_BAD_JSON")


def test_redaction_010_an_administrator_redacts_what_local_users_sent(server, user, user2, room):
    admin = server.admin()
    admin.join(room)
    redact(admin, room, user.send(room, "secret"), "admin")
