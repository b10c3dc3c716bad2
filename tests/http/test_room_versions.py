# SPDX-License-Identifier: Apache-2.0
"""Rooms of every version. Rooms: feature matrix, complete list of room versions; CS-API: createRoom, m.room_versions."""
import base64
import hashlib
import json

import pytest

from bodies import unpack
from harness import V3, quote
from room_calls import membership, room_path, state_of, timeline

ALL = [str(n) for n in range(1, 13)]
SERVER_IDS = ["1", "2"]


def pdus(server, room_id):
    """The stored bytes of a room's events, in their order."""
    rows = server.sql("select encode(pdu, 'hex') from event e join room r using (room_nid)"
                      f" where r.room_id = '{room_id}' order by e.nid")
    return [json.loads(unpack(bytes.fromhex(row[0]))) for row in rows]


def test_room_versions_001_capabilities_offer_each_as_stable(user):
    versions = user.call("GET", f"{V3}/capabilities")["capabilities"]["m.room_versions"]
    assert versions == {"default": "12", "available": dict.fromkeys(ALL, "stable")}


@pytest.mark.parametrize("version", ALL)
def test_room_versions_002_a_room_lives_in_each(server, user, user2, version):
    third = server.register()
    room = user.create_room(room_version=version, preset="public_chat", name="N", topic="T",
                            room_alias_name=server.unused_name("v"))
    assert (":" not in room) == (version == "12")
    user2.join(room)
    third.join(room)
    state = state_of(user, room)
    create = state[("m.room.create", "")]
    assert create["room_version"] == version
    assert create.get("creator") == (user.user_id if int(version) < 11 else None)
    assert state[("m.room.power_levels", "")]["users"] == ({} if version == "12" else {user.user_id: 100})

    first = user2.send(room, "one")
    if version in SERVER_IDS:
        assert first.endswith(f":{server.server_name}")
    else:
        assert len(first) == 44 and ":" not in first
    assert user.call("GET", room_path(room, f"event/{quote(first)}"))["content"]["body"] == "one"
    assert [user2.send(room, "again", txn="same"), user2.send(room, "again", txn="same")][0] == user2.send(room, "again", txn="same")
    user.put_state(room, "m.room.name", {"name": "other"})
    assert user2.get_state(room, "m.room.name")["name"] == "other"
    user2.put_state(room, "m.room.topic", {"topic": "no"}, status=403, errcode="M_FORBIDDEN")

    user.call("PUT", room_path(room, f"redact/{quote(first)}/r1"), {"reason": "why"})
    assert user2.call("GET", room_path(room, f"event/{quote(first)}"))["content"] == {}
    other = user.send(room, "of the creator")
    user2.call("PUT", room_path(room, f"redact/{quote(other)}/r2"), {}, status=403, errcode="M_FORBIDDEN")

    user.call("POST", room_path(room, "kick"), {"user_id": user2.user_id})
    assert membership(user, room, user2.user_id) == "leave"
    user2.join(room)
    user.call("POST", room_path(room, "ban"), {"user_id": third.user_id})
    third.call("POST", f"{V3}/join/{quote(room)}", {}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", room_path(room, "unban"), {"user_id": third.user_id})
    user.invite(room, third.user_id)
    third.join(room)

    events = timeline(user, room)
    bodies = [e["content"].get("body") for e in events if e["type"] == "m.room.message"]
    assert bodies == [None, "again", "of the creator"]
    synced = user2.sync()["rooms"]["join"][room]["timeline"]["events"]
    assert [e["event_id"] for e in synced] == [e["event_id"] for e in events[-len(synced):]]
    since = user2.sync()["next_batch"]
    last = user.send(room, "live")
    seen = user2.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}), since)
    assert [e["event_id"] for e in seen["rooms"]["join"][room]["timeline"]["events"]] == [last]


# Rooms v1: redactions; what survives of the types that these rooms hold.
KEPT = {"m.room.member": ["membership"], "m.room.create": ["creator"], "m.room.join_rules": ["join_rule"],
        "m.room.power_levels": ["ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"],
        "m.room.history_visibility": ["history_visibility"]}
KEPT_TOP = ["event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "depth", "prev_events", "auth_events",
            "origin", "origin_server_ts", "membership", "prev_state"]


def reference_hash(pdu):
    """SS-API: calculating the reference hash for an event: redacted, without signatures, age_ts and unsigned."""
    bare = {key: value for key, value in pdu.items() if key in KEPT_TOP}
    bare["content"] = {key: value for key, value in pdu["content"].items() if key in KEPT.get(pdu["type"], [])}
    text = json.dumps(bare, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


@pytest.mark.parametrize("version", SERVER_IDS)
def test_room_versions_003_events_are_named_with_their_reference_hashes(server, user, user2, version):
    """Rooms v1: event format: prev_events and auth_events are pairs of an event id and its hashes."""
    room = user.create_room(room_version=version, preset="public_chat", topic="a topic that redaction takes")
    user2.join(room)
    for n in range(3):
        user2.send(room, f"m{n}")
    secret = user2.send(room, "redacted while it is the head")
    user.call("PUT", room_path(room, f"redact/{quote(secret)}/r"), {})
    user.send(room, "last")
    events = pdus(server, room)
    hashes = {e["event_id"]: reference_hash(e) for e in events}
    assert len(events) == len(hashes) > 12
    for event in events[1:]:
        assert event["prev_events"] and event["auth_events"]
        for event_id, named in event["prev_events"] + event["auth_events"]:
            assert named == {"sha256": hashes[event_id]}, event
    assert events[0]["prev_events"] == events[0]["auth_events"] == []


@pytest.mark.parametrize("version", ALL)
def test_room_versions_004_trusted_invitees_and_further_creators(user, user2, version):
    """CS-API: createRoom: trusted_private_chat gives all invitees the power of the creator."""
    room = user.create_room(room_version=version, preset="trusted_private_chat", invite=[user2.user_id],
                            creation_content={"additional_creators": ["@more:example.org"]})
    user2.join(room)
    state = state_of(user, room)
    users = state[("m.room.power_levels", "")]["users"]
    creators = state[("m.room.create", "")]["additional_creators"]
    if version == "12":
        assert users == {} and creators == ["@more:example.org", user2.user_id]
    else:
        assert users == {user.user_id: 100, user2.user_id: 100} and creators == ["@more:example.org"]
    user2.put_state(room, "m.room.power_levels", {**state[("m.room.power_levels", "")], "ban": 70})


@pytest.mark.parametrize("version", ["11", "12"])
def test_room_versions_005_additional_creators_are_looked_at_where_they_count(user, version):
    """CS-API: m.room.create: "In room versions 1 through 11, this field serves no purpose and is not validated."."""
    body = {"room_version": version, "creation_content": {"additional_creators": ["no user id"]}}
    if version == "12":
        user.call("POST", f"{V3}/createRoom", body, status=400, errcode="M_BAD_JSON")
        body["creation_content"]["additional_creators"] = [f"@c{n}:example.org" for n in range(101)]
        user.call("POST", f"{V3}/createRoom", body, status=413, errcode="M_TOO_LARGE")
    else:
        user.call("POST", f"{V3}/createRoom", body)


def test_room_versions_006_creators_have_no_level_that_could_be_set(server, user, user2):
    """Rooms v12: authorization rule 10.4; CS-API: createRoom: creators cannot be specified in `users`."""
    def refused(**body):
        rooms = server.sql("select count(*) from room")
        user.call("POST", f"{V3}/createRoom", {"room_version": "12", **body}, status=400, errcode="M_INVALID_ROOM_STATE")
        assert server.sql("select count(*) from room") == rooms
    refused(power_level_content_override={"users": {user.user_id: 100}})
    refused(power_level_content_override={"users": {user2.user_id: 50}},
            creation_content={"additional_creators": [user2.user_id]})
    refused(power_level_content_override={"users": {user2.user_id: 50}}, preset="trusted_private_chat", invite=[user2.user_id])
    room = user.create_room(room_version="12", power_level_content_override={"users": {user2.user_id: 50}})
    levels = user.get_state(room, "m.room.power_levels").json()
    user.put_state(room, "m.room.power_levels", {**levels, "users": {user.user_id: 100}}, status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("override, wanted", [
    ({}, 150), ({"events": {"m.room.name": 0}}, 150), ({"state_default": 200, "events": {}}, 201),
    ({"events": {"m.room.tombstone": 120}}, 120)])
def test_room_versions_007_a_tombstone_is_above_state_default(user, override, wanted):
    """CS-API: createRoom: in version 12 the level of m.room.tombstone "MUST explicitly be higher than state_default"."""
    room = user.create_room(room_version="12", power_level_content_override=override)
    assert user.get_state(room, "m.room.power_levels")["events"]["m.room.tombstone"] == wanted
