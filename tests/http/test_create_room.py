# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /createRoom."""
import pytest

from harness import quote
from room_calls import R0, V3, count_rooms, refuses_strangers, state_of, timeline

CREATE = f"{V3}/createRoom"
VERSIONS = ["10", "11", "12"]


def create(user, **body):
    return user.call("POST", CREATE, body)["room_id"]


def power(user, room_id):
    return user.get_state(room_id, "m.room.power_levels").json()


def test_create_room_001_an_empty_body_makes_a_private_room(user):
    room_id = create(user)
    state = state_of(user, room_id)
    assert room_id.startswith("!") and ":" not in room_id          # version 12
    assert state[("m.room.create", "")]["room_version"] == "12"
    assert state[("m.room.member", user.user_id)]["membership"] == "join"
    assert state[("m.room.join_rules", "")] == {"join_rule": "invite"}
    assert state[("m.room.history_visibility", "")] == {"history_visibility": "shared"}
    assert state[("m.room.guest_access", "")] == {"guest_access": "can_join"}
    assert user.call("GET", f"{V3}/directory/list/room/{quote(room_id)}")["visibility"] == "private"


def test_create_room_002_the_old_path_works(user):
    room_id = user.call("POST", f"{R0}/createRoom", {})["room_id"]
    assert room_id in user.call("GET", f"{R0}/joined_rooms")["joined_rooms"]


@pytest.mark.parametrize("version", VERSIONS)
def test_create_room_003_the_events_come_in_the_order_of_the_specification(user, user2, version):
    alias = user.server.unused_name("order")
    room_id = create(user, room_version=version, name="N", topic="T", room_alias_name=alias, invite=[user2.user_id],
                     initial_state=[{"type": "org.example.a", "content": {"x": 1}},
                                    {"type": "org.example.b", "state_key": "k", "content": {}}])
    assert [(e["type"], e.get("state_key")) for e in timeline(user, room_id)] == [
        ("m.room.create", ""), ("m.room.member", user.user_id), ("m.room.power_levels", ""), ("m.room.canonical_alias", ""),
        ("m.room.join_rules", ""), ("m.room.history_visibility", ""), ("m.room.guest_access", ""),
        ("org.example.a", ""), ("org.example.b", "k"), ("m.room.name", ""), ("m.room.topic", ""),
        ("m.room.member", user2.user_id)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("preset, rule, guests", [
    ("private_chat", "invite", "can_join"), ("trusted_private_chat", "invite", "can_join"), ("public_chat", "public", "forbidden")])
def test_create_room_004_presets(user, version, preset, rule, guests):
    state = state_of(user, create(user, preset=preset, room_version=version))
    assert state[("m.room.join_rules", "")]["join_rule"] == rule
    assert state[("m.room.history_visibility", "")]["history_visibility"] == "shared"
    assert state[("m.room.guest_access", "")]["guest_access"] == guests


def test_create_room_005_the_preset_follows_from_the_visibility(user):
    public, private = create(user, visibility="public"), create(user, visibility="private")
    assert state_of(user, public)[("m.room.join_rules", "")]["join_rule"] == "public"
    assert state_of(user, private)[("m.room.join_rules", "")]["join_rule"] == "invite"
    assert user.call("GET", f"{V3}/directory/list/room/{quote(public)}")["visibility"] == "public"
    both = create(user, visibility="public", preset="private_chat")
    assert state_of(user, both)[("m.room.join_rules", "")]["join_rule"] == "invite"
    assert user.call("GET", f"{V3}/directory/list/room/{quote(both)}")["visibility"] == "public"


@pytest.mark.parametrize("version", ["10", "11"])
def test_create_room_006_power_levels_of_older_versions_list_the_creator(user, user2, version):
    room_id = create(user, room_version=version, invite=[user2.user_id])
    assert power(user, room_id)["users"] == {user.user_id: 100}
    assert power(user, room_id)["events"]["m.room.tombstone"] == 100
    trusted = create(user, room_version=version, preset="trusted_private_chat", invite=[user2.user_id])
    assert power(user, trusted)["users"] == {user.user_id: 100, user2.user_id: 100}


def test_create_room_007_creators_of_version_12_stand_above_the_levels(user, user2):
    """Rooms v12: creators are not listed; m.room.tombstone is above state_default; trusted invitees are creators."""
    levels = power(user, create(user, room_version="12"))
    assert user.user_id not in levels["users"]
    assert levels["events"]["m.room.tombstone"] > levels["state_default"]
    third = "@somebody:elsewhere.example"
    room_id = create(user, room_version="12", preset="trusted_private_chat", invite=[user2.user_id],
                     creation_content={"additional_creators": [third]})
    content = state_of(user, room_id)[("m.room.create", "")]
    assert content["additional_creators"] == [third, user2.user_id]
    assert user2.user_id not in power(user, room_id)["users"]
    user2.join(room_id)
    user2.put_state(room_id, "m.room.tombstone", {"body": "moved", "replacement_room": room_id})


def test_create_room_008_invites_reach_the_invited(user, user2):
    room_id = create(user, invite=[user2.user_id, user2.user_id], is_direct=True, name="Us")
    member = user.get_state(room_id, "m.room.member", user2.user_id).json()
    assert member["membership"] == "invite" and member["is_direct"] is True
    user2.join(room_id)
    assert room_id in user2.call("GET", f"{V3}/joined_rooms")["joined_rooms"]


def test_create_room_009_the_power_level_override_lies_on_top(user):
    room_id = create(user, power_level_content_override={"events_default": 10, "org.example.extra": {"x": 1}})
    levels = power(user, room_id)
    assert levels["events_default"] == 10 and levels["state_default"] == 50 and levels["org.example.extra"] == {"x": 1}


def test_create_room_010_name_and_topic_win_over_initial_state(user):
    room_id = create(user, name="Param", topic="Topic", initial_state=[
        {"type": "m.room.name", "content": {"name": "State"}}, {"type": "m.room.topic", "state_key": "", "content": {"topic": "State"}},
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    state = state_of(user, room_id)
    assert state[("m.room.name", "")] == {"name": "Param"}
    assert state[("m.room.topic", "")] == {"topic": "Topic", "m.topic": {"m.text": [{"body": "Topic"}]}}
    assert state[("m.room.history_visibility", "")] == {"history_visibility": "joined"}
    assert [e["type"] for e in timeline(user, room_id)].count("m.room.history_visibility") == 1


def test_create_room_011_the_alias_is_made_and_canonical(user, user2):
    name = user.server.unused_name("alias") + "-äöü"
    room_id = create(user, room_alias_name=name)
    alias = f"#{name}:{user.server.server_name}"
    assert user.get_state(room_id, "m.room.canonical_alias").json() == {"alias": alias}
    assert user.call("GET", f"{V3}/directory/room/{quote(alias)}")["room_id"] == room_id
    before = count_rooms(user.server)
    user2.call("POST", CREATE, {"room_alias_name": name}, status=400, errcode="M_ROOM_IN_USE")
    assert count_rooms(user.server) == before


@pytest.mark.parametrize("name", ["", "with:colon", "x" * 255])
def test_create_room_012_an_alias_outside_the_grammar(user, name):
    """Appendices: room aliases."""
    user.call("POST", CREATE, {"room_alias_name": name}, status=400, errcode="M_INVALID_PARAM")


@pytest.mark.parametrize("version", VERSIONS)
def test_create_room_013_creation_content_cannot_change_creator_and_version(user, version):
    content = state_of(user, create(user, room_version=version, creation_content={
        "creator": "@evil:example.org", "room_version": "1", "m.federate": False, "type": "m.space", "org.example.x": [1]}))
    create_event = content[("m.room.create", "")]
    assert create_event["room_version"] == version and create_event["m.federate"] is False
    assert create_event["type"] == "m.space" and create_event["org.example.x"] == [1]
    assert create_event.get("creator") == (user.user_id if version == "10" else None)


@pytest.mark.parametrize("version", ["0", "13", "", "org.example"])
def test_create_room_014_an_unknown_version(user, version):
    user.call("POST", CREATE, {"room_version": version}, status=400, errcode="M_UNSUPPORTED_ROOM_VERSION")


WRONG_TYPES = [
    {"name": 1}, {"topic": []}, {"room_alias_name": {}}, {"preset": 1}, {"visibility": True}, {"room_version": 12},
    {"creation_content": []}, {"creation_content": "x"}, {"power_level_content_override": 1}, {"initial_state": {}},
    {"initial_state": [1]}, {"initial_state": [{"content": {}}]}, {"initial_state": [{"type": "m.x"}]},
    {"initial_state": [{"type": 1, "content": {}}]}, {"initial_state": [{"type": "m.x", "content": []}]},
    {"initial_state": [{"type": "m.x", "state_key": 3, "content": {}}]}, {"invite": "@a:b"}, {"invite": [1]}, {"invite_3pid": {}},
    {"is_direct": "yes"}, {"creation_content": {"m.federate": "no"}}, {"creation_content": {"type": 1}},
    {"creation_content": {"additional_creators": "@a:b"}}, {"creation_content": {"additional_creators": [1]}},
    {"power_level_content_override": {"ban": "50"}}, {"power_level_content_override": {"users": []}},
    {"power_level_content_override": {"events": {"m.room.name": "1"}}}, {"initial_state": [{"type": "m.x", "content": {"f": 1.5}}]},
    {"creation_content": {"big": 2 ** 53}},
]


@pytest.mark.parametrize("body", WRONG_TYPES, ids=str)
def test_create_room_015_wrong_types_store_nothing(user, body):
    before = count_rooms(user.server)
    user.call("POST", CREATE, body, status=400, errcode="M_BAD_JSON")
    assert count_rooms(user.server) == before


@pytest.mark.parametrize("body, errcode", [
    ({"preset": "secret_chat"}, "M_INVALID_PARAM"), ({"visibility": "secret"}, "M_INVALID_PARAM"),
    ({"invite": ["somebody"]}, "M_INVALID_PARAM")])
def test_create_room_016_unknown_words(user, body, errcode):
    user.call("POST", CREATE, body, status=400, errcode=errcode)


@pytest.mark.parametrize("data, errcode", [
    (b"{", "M_NOT_JSON"), (b"[]", "M_BAD_JSON"), (b"", "M_NOT_JSON"), (b'{"name":"\xff"}', "M_NOT_JSON")])
def test_create_room_017_malformed_bodies(user, data, errcode):
    user.call("POST", CREATE, data=data, status=400, errcode=errcode)


@pytest.mark.parametrize("body", [
    {"initial_state": [{"type": "m.room.create", "content": {}}]},
    {"room_version": "11", "power_level_content_override": {"users": {}, "users_default": 0}, "name": "x"},
    {"room_version": "11", "power_level_content_override": {"events": {"m.room.name": 101}}, "name": "x"},
    {"initial_state": [{"type": "m.room.member", "state_key": "@other:example.org", "content": {"membership": "join"}}]}])
def test_create_room_018_an_impossible_room_is_refused_whole(user, body):
    before = count_rooms(user.server)
    user.call("POST", CREATE, body, status=400, errcode="M_INVALID_ROOM_STATE")
    assert count_rooms(user.server) == before


def test_create_room_019_version_12_refuses_creators_among_the_levels(user):
    override = {"users": {user.user_id: 100}}
    user.call("POST", CREATE, {"power_level_content_override": override}, status=400, errcode="M_INVALID_ROOM_STATE")


def test_create_room_020_who_cannot_be_invited_stops_the_room(user):
    before = count_rooms(user.server)
    user.call("POST", CREATE, {"invite": [f"@nobody-at-all:{user.server.server_name}"]}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", CREATE, {"invite": ["@somebody:elsewhere.example"]}, status=403, errcode="M_FORBIDDEN")
    user.call("POST", CREATE, {"invite_3pid": [{"id_server": "x", "id_access_token": "x", "medium": "email", "address": "a@b"}]},
              status=403, errcode="M_FORBIDDEN")
    state = [{"type": "m.room.member", "state_key": "@somebody:elsewhere.example", "content": {"membership": "invite"}}]
    user.call("POST", CREATE, {"initial_state": state}, status=403, errcode="M_FORBIDDEN")
    assert count_rooms(user.server) == before


def test_create_room_021_lists_have_limits(user):
    state = [{"type": f"org.example.t{i}", "content": {}} for i in range(101)]
    user.call("POST", CREATE, {"initial_state": state}, status=413, errcode="M_TOO_LARGE")
    create(user, initial_state=state[:100])
    user.call("POST", CREATE, {"invite": [f"@u{i}:{user.server.server_name}" for i in range(81)]}, status=413, errcode="M_TOO_LARGE")


def test_create_room_022_an_event_too_large_stores_nothing(user):
    before = count_rooms(user.server)
    user.call("POST", CREATE, {"name": "x" * 66000}, status=413, errcode="M_TOO_LARGE")
    assert count_rooms(user.server) == before


def test_create_room_023_credentials(server):
    refuses_strangers(server, "POST", "/createRoom", {})


@pytest.mark.parametrize("version", VERSIONS)
def test_create_room_024_a_room_is_encrypted_from_its_first_message_on(user, user2, version):
    """CS-API: m.room.encryption, m.room.create (initial_state); the summary and invites say so."""
    content = {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_msgs": 50}
    room_id = create(user, room_version=version, preset="trusted_private_chat", name="Secret", invite=[user2.user_id],
                     initial_state=[{"type": "m.room.encryption", "content": content}])
    types = [e["type"] for e in timeline(user, room_id)]
    assert types.index("m.room.encryption") < types.index("m.room.name"), "before what a client could send"
    assert state_of(user, room_id)[("m.room.encryption", "")] == content
    assert power(user, room_id)["events"]["m.room.encryption"] == 100
    told = user2.sync()["rooms"]["invite"][room_id]["invite_state"]["events"]
    assert content in [e["content"] for e in told if e["type"] == "m.room.encryption"]
    for bad in ("x", None, []):
        user.call("POST", CREATE, {"initial_state": [{"type": "m.room.encryption", "content": bad}]}, status=400, errcode="M_BAD_JSON")
