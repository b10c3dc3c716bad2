# SPDX-License-Identifier: Apache-2.0
"""CS-API: POST /rooms/{roomId}/upgrade, and what follows an upgrade. CS-API: room upgrades, server behaviour."""
import concurrent.futures

import pytest

from harness import quote
from room_calls import R0, V3, count_events, count_rooms, membership, refuses_strangers, room_path, state_of, timeline

ALL = [str(n) for n in range(1, 13)]
UNKNOWN_ROOM = "!" + "A" * 43


def upgrade(user, room_id, version, base=V3, **body):
    path = f"{base}/rooms/{quote(room_id)}/upgrade"
    return user.call("POST", path, {"new_version": version, **body})["replacement_room"]


def refused(user, room_id, body, status, errcode):
    """Nothing has changed after it."""
    before = (count_rooms(user.server), count_events(user.server, room_id))
    user.call("POST", room_path(room_id, "upgrade"), body, status=status, errcode=errcode)
    assert (count_rooms(user.server), count_events(user.server, room_id)) == before


def levels_of(user, room_id):
    return user.get_state(room_id, "m.room.power_levels").json()


def set_levels(user, room_id, **change):
    user.put_state(room_id, "m.room.power_levels", {**levels_of(user, room_id), **change})


def state(type, content, key=""):
    return {"type": type, "state_key": key, "content": content}


CARRIED = [
    state("m.room.server_acl", {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": False}),
    state("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_msgs": 7}),
    state("m.room.avatar", {"url": "mxc://example.org/a"}),
    state("m.room.guest_access", {"guest_access": "forbidden"}),
    state("m.room.history_visibility", {"history_visibility": "joined"}),
    state("m.space.parent", {"via": ["example.org"], "canonical": True}, "!parent:example.org"),
]
LEFT = [
    state("org.example.custom", {"a": 1}),
    state("m.room.pinned_events", {"pinned": ["$x"]}),
    state("m.space.parent", {}, "!removed:example.org"),
    state("m.space.child", {"via": ["example.org"]}, "!child:example.org"),
]


@pytest.mark.parametrize("target", ALL)
def test_room_upgrades_001_from_every_version_to_every_version(user, user2, target):
    for source in ALL:
        old = user.create_room(room_version=source, preset="public_chat", name="N", topic="T", initial_state=CARRIED + LEFT)
        user2.join(old)
        last = user2.send(old, "the last")
        new = upgrade(user, old, target)
        assert (":" not in new) == (target == "12")
        got, before = state_of(user, new), state_of(user, old)
        # 2. the create event
        create = got[("m.room.create", "")]
        assert create == {"room_version": target, "predecessor": {"room_id": old, "event_id": last},
                          **({"creator": user.user_id} if int(target) < 11 else {})}
        # 3. state
        for carried in CARRIED + [state("m.room.join_rules", {"join_rule": "public"}), state("m.room.name", {"name": "N"}),
                                  state("m.room.topic", before[("m.room.topic", "")])]:
            assert got[(carried["type"], carried["state_key"])] == carried["content"]
        assert not {(s["type"], s["state_key"]) for s in LEFT} & set(got)
        assert [key for key in got if key[0] == "m.room.member"] == [("m.room.member", user.user_id)]
        # 5. the tombstone
        tombstone = before[("m.room.tombstone", "")]
        assert tombstone["replacement_room"] == new and tombstone["body"]
        # 6. the old room is silent
        user2.call("PUT", room_path(old, "send/m.room.message/t"), {}, status=403, errcode="M_FORBIDDEN")
        assert before[("m.room.power_levels", "")]["events_default"] == before[("m.room.power_levels", "")]["invite"] == 50
        # the new one lives
        user2.join(new)
        user2.send(new, "here")
        user.put_state(new, "m.room.topic", {"topic": "new"})
        user.call("POST", room_path(new, "kick"), {"user_id": user2.user_id})


@pytest.mark.parametrize("base", [R0, V3])
def test_room_upgrades_002_under_both_paths_and_again(user, base):
    """Rooms: "a room can upgrade from version 2 to version 1, if it is so desired"."""
    room = user.create_room(room_version="2")
    first = upgrade(user, room, "1", base)
    second = upgrade(user, first, "1", base)
    assert len({room, first, second}) == 3
    assert user.get_state(second, "m.room.create")["predecessor"]["room_id"] == first


@pytest.mark.parametrize("target", ["1", "11", "12"])
def test_room_upgrades_003_levels_are_carried_over(server, user, user2, target):
    third = server.register()
    old = user.create_room(room_version="9", preset="public_chat", power_level_content_override={
        "users": {user.user_id: 100, user2.user_id: 60, third.user_id: 70}, "users_default": 5, "ban": 61, "kick": 62,
        "redact": 63, "events": {"m.room.name": 10, "org.example.e": 20, "m.room.tombstone": 100},
        "notifications": {"room": 33}, "org.example.own": {"kept": [1]}})
    before = levels_of(user, old)
    got = levels_of(user, upgrade(user, old, target))
    if target == "12":
        before["users"].pop(user.user_id)
        before["events"]["m.room.tombstone"] = 150
    assert got == before


def test_room_upgrades_004_levels_as_strings_become_numbers(user, user2):
    """Rooms v10: levels are integers; before it strings are read as such. CS-API: m.room.power_levels."""
    old = user.create_room(room_version="5")
    user.put_state(old, "m.room.power_levels", {"users": {user.user_id: "100", user2.user_id: " +40 "}, "ban": "60", "kick": "x",
                                                "events": {"m.room.name": "30", "m.room.topic": []}})
    assert levels_of(user, upgrade(user, old, "10")) == {
        "users": {user.user_id: 100, user2.user_id: 40}, "ban": 60, "events": {"m.room.name": 30}}


def test_room_upgrades_005_creators(server, user, user2):
    """CS-API: upgradeRoom: additional_creators: "The full set of additional creators needs to be set"."""
    third = server.register()
    old = user.create_room(room_version="12", preset="trusted_private_chat", invite=[user2.user_id])
    set_levels(user, old, users={third.user_id: 60})
    plain = upgrade(user, old, "12")
    assert "additional_creators" not in user.get_state(plain, "m.room.create").json()
    assert levels_of(user, plain)["users"] == {third.user_id: 60}
    both = upgrade(user, old, "12", additional_creators=[third.user_id, third.user_id])
    assert user.get_state(both, "m.room.create")["additional_creators"] == [third.user_id]
    assert levels_of(user, both)["users"] == {}
    # where creators are none, they keep their power by being listed; the field is ignored
    down = upgrade(user, old, "11", additional_creators=[third.user_id])
    assert "additional_creators" not in user.get_state(down, "m.room.create").json()
    assert levels_of(user, down)["users"] == {user.user_id: 150, user2.user_id: 150, third.user_id: 60}


def test_room_upgrades_006_a_moderator_upgrades_and_keeps_the_rank(user, user2):
    """The upgrader may set no state that the old room's levels forbid them: all is carried over all the same."""
    old = user.create_room(room_version="10", preset="public_chat", name="N", initial_state=CARRIED)
    user2.join(old)
    set_levels(user, old, users={user.user_id: 100, user2.user_id: 50}, state_default=75,
               events={"m.room.tombstone": 50, "m.room.name": 100, "m.room.power_levels": 100})
    new = upgrade(user2, old, "11")
    got = state_of(user2, new)
    assert got[("m.room.name", "")] == {"name": "N"} and got[("m.room.server_acl", "")] == CARRIED[0]["content"]
    assert got[("m.room.power_levels", "")]["users"] == {user.user_id: 100, user2.user_id: 50}
    user2.put_state(new, "m.room.name", {"name": "other"}, status=403, errcode="M_FORBIDDEN")
    # 6. "If possible": they could not raise the old room's levels
    assert levels_of(user, old)["events_default"] == 0
    assert user.get_state(old, "m.room.tombstone")["replacement_room"] == new


@pytest.mark.parametrize("users_default, wanted", [(0, 50), (49, 50), (50, 51), (70, 71)])
def test_room_upgrades_007_the_old_room_is_silenced(user, users_default, wanted):
    """6. "the greater of 50 and users_default + 1"."""
    old = user.create_room(power_level_content_override={"users_default": users_default, "invite": 60})
    upgrade(user, old, "12")
    levels = levels_of(user, old)
    assert levels["events_default"] == wanted and levels["invite"] == max(wanted, 60)


def test_room_upgrades_008_bans_are_carried_over(server, user, user2):
    old = user.create_room(room_version="11", preset="public_chat")
    user2.join(old)
    user.call("POST", room_path(old, "ban"), {"user_id": user2.user_id, "reason": "spam"})
    strangers = [f"@bad{n}:example.org" for n in range(170)]     # more than one transaction holds
    for stranger in strangers:
        user.call("POST", room_path(old, "ban"), {"user_id": stranger})
    new = upgrade(user, old, "12", additional_creators=[strangers[0]])
    got = state_of(user, new)
    assert got[("m.room.member", user2.user_id)]["membership"] == "ban"
    assert got[("m.room.member", user2.user_id)]["reason"] == "spam"
    assert {key for type, key in got if type == "m.room.member"} == {user.user_id, user2.user_id, *strangers[1:]}
    user2.call("POST", f"{V3}/join/{quote(new)}", {}, status=403, errcode="M_FORBIDDEN")


def test_room_upgrades_009_a_banned_user_of_high_rank(user, user2):
    """Whom the old room could ban only before giving them a level is banned in the new room too."""
    old = user.create_room(room_version="11")
    user.call("POST", room_path(old, "ban"), {"user_id": user2.user_id})
    set_levels(user, old, users={user.user_id: 100, user2.user_id: 100})
    assert membership(user, upgrade(user, old, "11"), user2.user_id) == "ban"


def test_room_upgrades_010_aliases_and_the_directory_move(user, user2):
    """4. "Moves any local aliases to the new room." """
    server = user.server
    names = [server.unused_name("up") for _ in range(3)]
    alias, second, third = (f"#{name}:{server.server_name}" for name in names)
    old = user.create_room(room_alias_name=names[0], visibility="public", topic="listed")
    for each in (second, third):
        user.call("PUT", f"{V3}/directory/room/{quote(each)}", {"room_id": old})
    user.put_state(old, "m.room.canonical_alias", {"alias": alias, "alt_aliases": [second]})
    new = upgrade(user, old, "12")
    for each in (alias, second, third):
        assert user2.call("GET", f"{V3}/directory/room/{quote(each)}")["room_id"] == new
    assert user.get_state(new, "m.room.canonical_alias").json() == {"alias": alias, "alt_aliases": [second]}
    assert user.get_state(old, "m.room.canonical_alias").json() == {}
    assert user.call("GET", room_path(old, "aliases"))["aliases"] == []
    assert user.call("GET", f"{V3}/directory/list/room/{quote(new)}")["visibility"] == "public"
    assert user.call("GET", f"{V3}/directory/list/room/{quote(old)}")["visibility"] == "private"
    assert user2.join(alias) == new


def test_room_upgrades_011_a_private_room_without_alias_stays_so(user):
    old = user.create_room()
    new = upgrade(user, old, "12")
    assert ("m.room.canonical_alias", "") not in state_of(user, new)
    assert user.call("GET", f"{V3}/directory/list/room/{quote(new)}")["visibility"] == "private"


@pytest.mark.parametrize("federate", [True, False])
def test_room_upgrades_012_what_the_create_event_keeps(user, federate):
    """2. "a type field which is copied from the predecessor room"; rooms that do not federate go on so."""
    old = user.create_room(creation_content={"type": "org.example.kind", "m.federate": federate, "org.example.own": 1})
    create = user.get_state(upgrade(user, old, "12"), "m.room.create").json()
    create.pop("predecessor")
    assert create == {"room_version": "12", "type": "org.example.kind", **({} if federate else {"m.federate": False})}


@pytest.mark.parametrize("rule, target, wanted", [
    ("knock", "6", "invite"), ("knock", "7", "knock"), ("restricted", "7", "invite"), ("restricted", "8", "restricted"),
    ("knock_restricted", "6", "invite"), ("knock_restricted", "7", "knock"), ("knock_restricted", "9", "restricted"),
    ("knock_restricted", "12", "knock_restricted"), ("public", "1", "public"), ("invite", "12", "invite")])
def test_room_upgrades_013_join_rules_fit_the_version(user, user2, rule, target, wanted):
    """Rooms: feature matrix. A rule that the version does not know would let in nobody, not even the invited."""
    content = {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": UNKNOWN_ROOM}]}
    new = upgrade(user, user.create_room(room_version="10", initial_state=[state("m.room.join_rules", content)]), target)
    assert user.get_state(new, "m.room.join_rules")["join_rule"] == wanted
    user.invite(new, user2.user_id)
    user2.join(new)


def test_room_upgrades_014_a_space_moves_with_its_relations(user, user2):
    """CS-API: spaces: m.space.child, m.space.parent; restricted rooms: the allow conditions name the space."""
    space = user.create_room(creation_content={"type": "m.space"}, preset="public_chat")
    top = user.create_room(creation_content={"type": "m.space"})
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    child = user.create_room(initial_state=[state("m.space.parent", {"via": ["x"], "canonical": True}, space),
                                            state("m.room.join_rules", rule)])
    foreign = user2.create_room(preset="public_chat", initial_state=[state("m.space.parent", {"via": ["x"]}, space)])
    user.join(foreign)
    via = {"via": [user.server.server_name]}
    user.put_state(top, "m.space.child", {"via": ["x"], "order": "a", "suggested": True}, space)
    for room in (child, foreign, "!unknown:example.org"):
        user.put_state(space, "m.space.child", via, room)
    user.put_state(space, "m.space.child", {}, "!removed:example.org")
    new = upgrade(user, space, "12")

    got = state_of(user, new)
    assert got[("m.room.create", "")]["type"] == "m.space"
    assert {key for type, key in got if type == "m.space.child"} == {child, foreign, "!unknown:example.org"}
    above = state_of(user, top)
    assert above[("m.space.child", new)] == {**via, "order": "a", "suggested": True}
    assert above[("m.space.child", space)] == {}
    below = state_of(user, child)
    assert below[("m.space.parent", new)] == {**via, "canonical": True} and below[("m.space.parent", space)] == {}
    assert below[("m.room.join_rules", "")] == {"join_rule": "restricted", "allow": rule["allow"] + [
        {"type": "m.room_membership", "room_id": new}]}
    assert ("m.space.parent", new) not in state_of(user, foreign)
    user2.join(new)
    user2.join(child)


def test_room_upgrades_015_a_room_in_a_space(user, user2):
    space, other = (owner.create_room(creation_content={"type": "m.space"}, preset="public_chat") for owner in (user, user2))
    user.join(other)
    old = user.create_room(initial_state=[state("m.space.parent", {"via": ["x"], "canonical": True}, space)])
    user.put_state(space, "m.space.child", {"via": ["x"]}, old)
    user2.put_state(other, "m.space.child", {"via": ["x"]}, old)
    new = upgrade(user, old, "12")
    assert user.get_state(space, "m.space.child", new).json() == {"via": [user.server.server_name]}
    assert user.get_state(space, "m.space.child", old).json() == {}
    assert user.get_state(new, "m.space.parent", space).json() == {"via": ["x"], "canonical": True}
    # where the user's power is too low nothing changes
    assert user2.get_state(other, "m.space.child", old).json() == {"via": ["x"]}


RULES = f"{V3}/pushrules/global"


def settings(user, room_id):
    """Tags, direct chats and push rules that say something about the room."""
    tags = user.call("GET", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room_id)}/tags")["tags"]
    direct = user.call("GET", f"{V3}/user/{quote(user.user_id)}/account_data/m.direct").json()
    rules = user.call("GET", f"{RULES}/").json()
    return (tags, [who for who, rooms in direct.items() if room_id in rooms],
            [(kind, r["actions"], r["enabled"]) for kind in ("override", "room") for r in rules[kind]
             if r["rule_id"] == room_id or {"kind": "event_match", "key": "room_id", "pattern": room_id} in r.get("conditions", [])])


def make_settings(user, room_id, who):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room_id)}/tags/m.favourite", {"order": 0.5})
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.direct", {who: ["!other:x", room_id], "@else:x": ["!o:x"]})
    user.call("PUT", f"{RULES}/room/{quote(room_id)}", {"actions": ["notify"]})
    user.call("PUT", f"{RULES}/room/{quote(room_id)}/enabled", {"enabled": False})
    user.call("PUT", f"{RULES}/override/{quote(room_id)}", {
        "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room_id}], "actions": []})


def test_room_upgrades_016_settings_follow_who_joins(user, user2):
    """CS-API: room upgrades: "When a user joins the new room, the server should automatically transfer/replicate …"."""
    old = user.create_room(preset="public_chat")
    user2.join(old)
    for each, who in ((user, user2.user_id), (user2, user.user_id)):
        make_settings(each, old, who)
    since = user2.sync()["next_batch"]
    new = upgrade(user, old, "12")
    wanted = {"m.favourite": {"order": 0.5}}, [user2.user_id], [("override", [], True), ("room", ["notify"], False)]
    assert settings(user, new) == settings(user, old) == wanted
    assert settings(user2, new) == ({}, [], [])
    user2.join(new)
    assert settings(user2, new) == (wanted[0], [user.user_id], wanted[2])
    told = user2.sync_until(lambda a: new in a.get("rooms", {}).get("join", {}), since)
    assert {"type": "m.tag", "content": {"tags": wanted[0]}} in told["rooms"]["join"][new]["account_data"]["events"]
    # who comes back has settings of the new room
    user2.call("DELETE", f"{V3}/user/{quote(user2.user_id)}/rooms/{quote(new)}/tags/m.favourite")
    user2.leave(new)
    user2.join(new)
    assert settings(user2, new)[0] == {}


def test_room_upgrades_017_only_a_tombstone_makes_a_successor(user, user2):
    """A room that merely claims to replace another takes nobody's settings."""
    old = user.create_room(preset="public_chat")
    user2.join(old)
    make_settings(user2, old, user.user_id)
    claims = user.create_room(preset="public_chat", creation_content={"predecessor": {"room_id": old, "event_id": "$x"}})
    user2.join(claims)
    assert settings(user2, claims) == ({}, [], [])


def test_room_upgrades_018_the_members_see_it_in_their_sync(user, user2):
    old = user.create_room(preset="public_chat")
    user2.join(old)
    since = user2.sync()["next_batch"]
    new = upgrade(user, old, "11")
    told = user2.sync_until(lambda a: old in a.get("rooms", {}).get("join", {}), since)
    events = told["rooms"]["join"][old]["timeline"]["events"]
    assert [e["type"] for e in events][:2] == ["m.room.tombstone", "m.room.power_levels"]
    assert events[0]["content"]["replacement_room"] == new and events[0]["sender"] == user.user_id
    assert new not in told["rooms"].get("invite", {})


# ---------------------------------------------------------------------- refused
def test_room_upgrades_020_without_the_power(user, user2):
    """1. "Checks that the user has permission to send m.room.tombstone events in the room.": 403."""
    room = user.create_room(preset="public_chat", room_version="11")
    refused(user2, room, {"new_version": "12"}, 403, "M_FORBIDDEN")
    user2.join(room)
    refused(user2, room, {"new_version": "12"}, 403, "M_FORBIDDEN")
    set_levels(user, room, users={user.user_id: 100, user2.user_id: 99})
    refused(user2, room, {"new_version": "12"}, 403, "M_FORBIDDEN")
    user.leave(room)
    refused(user, room, {"new_version": "12"}, 403, "M_FORBIDDEN")


@pytest.mark.parametrize("room_id", [UNKNOWN_ROOM, "!none:example.org"])
def test_room_upgrades_021_an_unknown_room(user, room_id):
    user.call("POST", room_path(room_id, "upgrade"), {"new_version": "12"}, status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("version", ["0", "13", "", "org.example", "1.0", "12 "])
def test_room_upgrades_022_an_unknown_version(user, version):
    """CS-API: upgradeRoom: 400 M_UNSUPPORTED_ROOM_VERSION."""
    refused(user, user.create_room(), {"new_version": version}, 400, "M_UNSUPPORTED_ROOM_VERSION")


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"), ({"new_version": 12}, 400, "M_BAD_JSON"), ({"new_version": None}, 400, "M_BAD_JSON"),
    ({"new_version": "1\0"}, 400, "M_BAD_JSON"), ([], 400, "M_BAD_JSON"),
    ({"new_version": "12", "additional_creators": "@a:b"}, 400, "M_BAD_JSON"),
    ({"new_version": "11", "additional_creators": "@a:b"}, 400, "M_BAD_JSON"),
    ({"new_version": "12", "additional_creators": ["a"]}, 400, "M_BAD_JSON"),
    ({"new_version": "12", "additional_creators": [1]}, 400, "M_BAD_JSON"),
    ({"new_version": "12", "additional_creators": [f"@c{n}:x" for n in range(101)]}, 413, "M_TOO_LARGE")], ids=str)
def test_room_upgrades_023_a_bad_body(user, body, status, errcode):
    refused(user, user.create_room(), body, status, errcode)


def test_room_upgrades_024_no_json_and_no_room_id(user):
    user.call("POST", room_path(user.create_room(), "upgrade"), data=b"", status=400, errcode="M_NOT_JSON")
    user.call("POST", room_path(user.create_room(), "upgrade"), data=b"{", status=400, errcode="M_NOT_JSON")
    user.call("POST", room_path("no room", "upgrade"), {"new_version": "12"}, status=400, errcode="M_INVALID_PARAM")


def test_room_upgrades_025_no_token(server, user):
    refuses_strangers(server, "POST", f"/rooms/{quote(user.create_room())}/upgrade", {"new_version": "12"})


def test_room_upgrades_026_the_new_room_is_whole_before_the_old_one_ends(server, user):
    """An upgrade that stops before the tombstone leaves the old room as it was: its tombstone is the youngest of the events."""
    old = user.create_room(room_version="11", name="N")
    new = upgrade(user, old, "12")
    rows = server.sql("select r.room_id, t.type from event e join room r using (room_nid) join ev_type t using (type_nid)"
                      f" where r.room_id in ('{old}', '{new}') order by e.nid")
    tombstone = rows.index([old, "m.room.tombstone"])
    assert all(room != new for room, _ in rows[tombstone:])
    assert [type for room, type in rows if room == new][:2] == ["m.room.create", "m.room.member"]
    assert timeline(user, new)[-1]["type"] == "m.room.power_levels"


def test_room_upgrades_027_of_many_at_once_the_members_and_aliases_go_to_one(server, user):
    """Whoever is told of a new room is told of one; where two were faster than the check the last tombstone is what counts."""
    name = server.unused_name("race")
    old = user.create_room(room_version="11", room_alias_name=name)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: user.call("POST", room_path(old, "upgrade"), {"new_version": "12"}, status=None), range(6)))
    made = [r["replacement_room"] for r in replies if r.status_code == 200]
    assert made and all(r.status_code in (200, 400) for r in replies)
    assert user.get_state(old, "m.room.tombstone")["replacement_room"] in made
    assert user.call("GET", f"{V3}/directory/room/{quote(f'#{name}:{server.server_name}')}")["room_id"] in made
