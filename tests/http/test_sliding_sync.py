# SPDX-License-Identifier: Apache-2.0
"""MSC4186: simplified sliding sync: who may, what is refused, connections and positions, lists and their filters."""
import threading
import time

import pytest

from harness import V3, quote
from sliding_calls import NAMES, PATH, Connection, a_list, config, texts


def nested(depth):
    return '{"lists":' + '{"a":' * depth + "1" + "}" * (depth + 1)


# ---------------------------------------------------------------------- who may, and bad input
def test_sliding_sync_001_needs_a_token(server, user):
    server.call("POST", PATH, {}, token=None, status=401, errcode="M_MISSING_TOKEN")
    server.call("POST", PATH, {}, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    server.call("GET", PATH, token=user.token, status=405, errcode="M_UNRECOGNIZED")
    assert user.call("POST", PATH, {}).json()["rooms"] == {}


def test_sliding_sync_002_is_advertised(server):
    assert server.call("GET", "/_matrix/client/versions").json()["unstable_features"]["org.matrix.simplified_msc3575"] is True


@pytest.mark.parametrize("ranges", [[[-1, 5]], [[5, 1]], [[0]], [[0, 1, 2]], [["0", "1"]], "0-1", [[0, 1.5]], [[0, 2 ** 64]], [[i, i] for i in range(1000)],
                                    {"a": 1}, [0, 1]])
def test_sliding_sync_003_bad_ranges_are_refused(user, ranges):
    reply = user.call("POST", PATH, {"lists": {"a": {**a_list(), "ranges": ranges}}}, status=400)
    assert reply["errcode"] in ("M_BAD_JSON", "M_INVALID_PARAM", "M_NOT_JSON")


def test_sliding_sync_004_huge_ranges_are_all_rooms(user):
    room = user.create_room()
    for ranges in ([[0, 2 ** 62]], None):
        answer = user.call("POST", PATH, {"lists": {"a": {**a_list(), "ranges": ranges}}}).json()
        assert list(answer["rooms"]) == [room] and answer["lists"]["a"]["count"] == 1
    assert not user.call("POST", PATH, {"lists": {"a": a_list(2 ** 61, 2 ** 62)}}).json()["rooms"]


@pytest.mark.parametrize("body, errcode", [
    ({"lists": []}, "M_BAD_JSON"), ({"lists": {"a": 1}}, "M_BAD_JSON"), ({"lists": {"a": {}}}, "M_MISSING_PARAM"),
    ({"lists": {"a": {"timeline_limit": 1}}}, "M_MISSING_PARAM"), ({"lists": {"a": {"required_state": []}}}, "M_MISSING_PARAM"),
    ({"lists": {"a": {**a_list(), "timeline_limit": "1"}}}, "M_BAD_JSON"), ({"lists": {"a": {**a_list(), "timeline_limit": -1}}}, "M_INVALID_PARAM"),
    ({"lists": {"a": {**a_list(), "timeline_limit": 1001}}}, "M_INVALID_PARAM"),
    ({"lists": {"a": {**a_list(), "required_state": [["m.room.name"]]}}}, "M_BAD_JSON"),
    ({"lists": {"a": {**a_list(), "required_state": [["m.room.name", 1]]}}}, "M_BAD_JSON"),
    ({"lists": {"a": {**a_list(), "required_state": [["t", str(i)] for i in range(10000)]}}}, "M_INVALID_PARAM"),
    ({"lists": {"a": a_list(is_dm="yes")}}, "M_BAD_JSON"), ({"lists": {"a": a_list(tags="m.favourite")}}, "M_BAD_JSON"),
    ({"lists": {"a": a_list(spaces=[None])}}, "M_BAD_JSON"), ({"lists": {"a": a_list(room_types=[1])}}, "M_BAD_JSON"),
    ({"lists": {"a": a_list(spaces=["!x"] * 10000)}}, "M_INVALID_PARAM"), ({"lists": {"a": {**a_list(), "filters": []}}}, "M_BAD_JSON"),
    ({"lists": {str(i): a_list() for i in range(101)}}, "M_INVALID_PARAM"), ({"lists": {"a" * 256: a_list()}}, "M_INVALID_PARAM"),
    ({"room_subscriptions": {f"!{i}:x": config() for i in range(10000)}}, "M_INVALID_PARAM"), ({"room_subscriptions": {"!a:b": []}}, "M_BAD_JSON"),
    ({"conn_id": 1}, "M_BAD_JSON"), ({"conn_id": "c" * 256}, "M_INVALID_PARAM"), ({"extensions": {"to_device": 1}}, "M_BAD_JSON"),
    ({"extensions": {"to_device": {"enabled": "yes"}}}, "M_BAD_JSON"), ({"extensions": {"to_device": {"enabled": True, "since": "soon"}}}, "M_INVALID_PARAM"),
    ({"extensions": {"to_device": {"enabled": True, "limit": 0}}}, "M_INVALID_PARAM"),
    ({"extensions": {"receipts": {"enabled": True, "rooms": "all"}}}, "M_BAD_JSON"),
])
def test_sliding_sync_005_bad_bodies_are_named(user, body, errcode):
    user.call("POST", PATH, body, status=400, errcode=errcode)


@pytest.mark.parametrize("data", ["", "{", "[]", "1", nested(10000), '{"lists":{"a":1,"a":1}}'], ids=lambda data: str(len(data)))
def test_sliding_sync_006_what_is_no_json_object_is_refused(user, data):
    reply = user.call("POST", PATH, data=data, status=400)
    assert reply["errcode"] in ("M_NOT_JSON", "M_BAD_JSON")


@pytest.mark.parametrize("query", ["timeout=-1", "timeout=soon", "set_presence=here"])
def test_sliding_sync_007_bad_parameters_are_named(user, query):
    user.call("POST", f"{PATH}?{query}", {}, status=400, errcode="M_INVALID_PARAM")
    user.call("POST", f"{PATH}?timeout=0&set_presence=unavailable", {})


# ---------------------------------------------------------------------- connections and positions
@pytest.mark.parametrize("pos", ["garbage", "1/2/3", "0/1", "-1/1", "1/-1", "99999/1", "1/99999", "s1", "/", "1/", "9223372036854775808/1", "1" * 5000 + "/1"])
def test_sliding_sync_010_a_position_of_nobody_is_unknown(user, pos):
    user.call("POST", f"{PATH}?pos={quote(pos)}", {}, status=400, errcode="M_UNKNOWN_POS")


def test_sliding_sync_011_a_position_is_of_one_device_and_connection(server, user, user2):
    client = Connection(user, "one", all=a_list())
    client.next()
    other = server.login(user.user_id)
    for caller, conn_id in ((user2, "one"), (other, "one"), (user, "two"), (user, None)):
        stranger = Connection(caller, conn_id, all=a_list())
        stranger.pos = client.pos
        stranger.ask(status=400, errcode="M_UNKNOWN_POS")
    client.next()


def test_sliding_sync_012_a_connection_that_begins_anew_ends_the_old_one(user):
    client = Connection(user, all=a_list())
    old = client.next()["pos"]
    beside = Connection(user, "other", all=a_list())
    beside.next()
    client.pos = None
    client.next()
    room = user.create_room()
    client.ask(pos=old, status=400, errcode="M_UNKNOWN_POS")
    assert set(client.next()["rooms"]) == {room} and set(beside.next()["rooms"]) == {room}


def test_sliding_sync_013_the_same_position_gives_the_same_again(user):
    """A lost answer: MSC4186: the server must handle several requests with the latest pos."""
    room = user.create_room()
    client = Connection(user, all=a_list(state=NAMES + [["m.room.member", "$LAZY"]]))
    client.next()
    user.send(room, "one")
    user.create_room()
    answers = [client.ask() for _ in range(4)]
    for answer in answers:
        answer.pop("pos")
        for part in answer["rooms"].values():
            for event in part["timeline"] + part.get("required_state", []):
                event["unsigned"].pop("age", None)
    assert all(answer == answers[0] for answer in answers)
    assert texts(answers[0], room) == ["one"] and len(answers[0]["rooms"]) == 2


def test_sliding_sync_014_versions_are_dropped_once_acknowledged(server, user):
    client = Connection(user, "c", all=a_list())
    for i in range(4):
        user.create_room()
        client.next()
    rows = server.sql("select count(*) from sliding_state s join device d using (device_nid) join mxid u using (user_nid)"
                      f" where u.mxid = '{user.user_id}'")
    assert int(rows[0][0]) <= 2


def test_sliding_sync_015_connections_of_a_device_are_bounded(server, user):
    for i in range(30):
        Connection(user, f"c{i}", all=a_list()).next()
    rows = server.sql("select count(distinct conn_id) from sliding_state s join device d using (device_nid) join mxid u using (user_nid)"
                      f" where u.mxid = '{user.user_id}'")
    assert int(rows[0][0]) == 20


def test_sliding_sync_016_a_logout_takes_connections_with_it(server, user):
    Connection(user, all=a_list()).next()
    before = int(server.sql("select count(*) from sliding_state")[0][0])
    user.call("POST", f"{V3}/logout", {})
    assert int(server.sql("select count(*) from sliding_state")[0][0]) == before - 1


def test_sliding_sync_017_a_request_that_was_given_up_takes_no_newer_position_along(server, user, user2):
    """MSC4186: the server must handle several requests with the latest pos: a waiting one that is answered late says nothing of what came since."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    for i in range(5):
        user2.send(room, str(i))
    wanted = a_list(limit=1, state=[["m.room.member", "$LAZY"]])
    client = Connection(user, "room-list", all=wanted)
    client.next()
    client.next()
    given_up = [Connection(user, "room-list", all={**wanted}) for _ in range(2)]
    threads = []
    for old in given_up:
        old.pos = client.pos
        threads.append(threading.Thread(target=old.next, kwargs={"timeout": 20000}))
        threads[-1].start()
    time.sleep(0.7)
    client.lists["all"]["timeline_limit"] = 3
    assert texts(client.next(), room) == ["2", "3", "4"]
    for i in range(4):
        user.send(room, f"more {i}")      # by which the others are answered: with a member that is new to the connection
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    answer = client.next()
    assert texts(answer, room) == ["more 1", "more 2", "more 3"] and answer["rooms"][room]["limited"] is True
    user2.send(room, "at last")
    assert texts(client.next(), room) == ["at last"]
    rows = server.sql("select count(*) from sliding_state s join device d using (device_nid) join mxid u using (user_nid)"
                      f" where u.mxid = '{user.user_id}'")
    assert int(rows[0][0]) <= 2, "what was given up goes with what the client came back with"


def test_sliding_sync_018_answers_to_one_position_are_bounded(server, user):
    user.create_room()
    client = Connection(user, all=a_list())
    client.next()
    user.create_room()
    answers = [client.ask()["pos"] for _ in range(9)]
    rows = server.sql("select count(*) from sliding_state s join device d using (device_nid) join mxid u using (user_nid)"
                      f" where u.mxid = '{user.user_id}'")
    assert len(set(answers)) == 9 and int(rows[0][0]) == 5
    user.create_room()
    client.ask(pos=answers[-1])
    client.ask(pos=answers[-2], status=400, errcode="M_UNKNOWN_POS")


def test_sliding_sync_019_beginnings_that_overlap_stand_side_by_side(server, user):
    """The rule of sliding_put(): a first request that takes long, and was given up, ends no connection that began meanwhile."""
    user.create_room()
    client = Connection(user, "c", all=a_list())
    client.next()
    began, mine = server.sql("select s.used_ts, s.device_nid from sliding_state s join device d using (device_nid) join mxid u using (user_nid)"
                             f" where u.mxid = '{user.user_id}'")[0]
    for since, left in [(int(began), 2), (int(began) + 1, 1)]:
        server.sql(f"select sliding_put({mine}, 'c', 0, {since}, 'x', {since}, 20, {since}, 4)")
        assert int(server.sql(f"select count(*) from sliding_state where device_nid = {mine}")[0][0]) == left


# ---------------------------------------------------------------------- waiting
def test_sliding_sync_020_waits_for_news_and_no_longer(user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    client = Connection(user, all=a_list())
    client.next()
    client.next()
    began = time.monotonic()
    assert not client.next(timeout=700)["rooms"]
    assert 0.6 < time.monotonic() - began < 10
    thread = threading.Thread(target=lambda: (time.sleep(0.5), user2.send(room, "wake up")))
    thread.start()
    began = time.monotonic()
    answer = client.next(timeout=20000)
    thread.join()
    assert texts(answer, room) == ["wake up"] and time.monotonic() - began < 10
    assert answer["rooms"][room]["num_live"] == 1 and "initial" not in answer["rooms"][room]


def test_sliding_sync_021_news_outside_of_the_window_wakes_nobody_and_is_not_lost(user, user2):
    """The room is filtered out while it moves; once it is asked for, all that it missed is told."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    client = Connection(user, all=a_list())
    client.next()
    client.lists = {"all": a_list(is_encrypted=True)}
    client.next()
    user2.send(room, "unheard")
    began = time.monotonic()
    thread = threading.Thread(target=lambda: (time.sleep(0.3), user2.send(room, "still unheard")))
    thread.start()
    assert not client.next(timeout=1500)["rooms"] and time.monotonic() - began > 1
    thread.join()
    client.lists = {"all": a_list()}
    assert texts(client.next(), room) == ["unheard", "still unheard"]


def test_sliding_sync_022_without_a_position_nobody_waits(user):
    began = time.monotonic()
    Connection(user, all=a_list()).next(timeout=20000)
    assert time.monotonic() - began < 5


# ---------------------------------------------------------------------- lists
def test_sliding_sync_030_rooms_are_ordered_by_activity(user):
    rooms = [user.create_room(name=str(i)) for i in range(6)]
    client = Connection(user, top=a_list(0, 1))
    answer = client.next()
    assert set(answer["rooms"]) == {rooms[5], rooms[4]} and answer["lists"]["top"]["count"] == 6
    user.send(rooms[0], "up")
    answer = client.next()
    assert set(answer["rooms"]) == {rooms[0]} and answer["rooms"][rooms[0]]["initial"] is True
    assert texts(answer, rooms[0]) == ["up"] and answer["rooms"][rooms[0]]["num_live"] == 1
    client.lists = {"top": a_list(0, 3)}
    assert set(client.next()["rooms"]) == {rooms[3]}, "only what was not told yet: of the first four three are known"
    client.lists["top"]["ranges"] = [[0, 0], [4, 5]]
    assert set(client.next()["rooms"]) == {rooms[1], rooms[2]}
    assert not client.next()["rooms"]


def test_sliding_sync_031_a_room_that_left_the_window_tells_all_when_it_is_back(user):
    first, second = user.create_room(), user.create_room()
    client = Connection(user, top=a_list(0, 0, limit=3))
    client.next()
    user.send(first, "a")
    assert set(client.next()["rooms"]) == {first}
    for i in range(5):
        user.send(second, str(i))
    user.send(first, "b")
    assert texts(client.next(), first) == ["b"]
    user.send(second, "5")
    answer = client.next()["rooms"][second]
    assert answer["limited"] is True and "initial" not in answer
    assert [e["content"]["body"] for e in answer["timeline"]] == ["3", "4", "5"]
    page = user.call("GET", f"{V3}/rooms/{quote(second)}/messages?dir=b&from={answer['prev_batch']}&limit=3").json()
    assert [e["content"]["body"] for e in page["chunk"]] == ["2", "1", "0"], "the gap can be filled from prev_batch"


def test_sliding_sync_032_filters(user, user2):
    plain, secret = user.create_room(), user.create_room(initial_state=[{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}])
    space, dm = user.create_room(creation_content={"type": "m.space"}), user.create_room(is_direct=True, invite=[user2.user_id])
    invited = user2.create_room(invite=[user.user_id])
    user.put_state(space, "m.space.child", {"via": ["x"]}, key=plain)
    user.put_state(space, "m.space.child", {"via": ["x"]}, key=dm)
    user.put_state(space, "m.space.child", {}, key=dm)
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.direct", {user2.user_id: [dm]})
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(plain)}/tags/m.favourite", {})
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(dm)}/tags/u.x", {})
    every = {plain, secret, space, dm, invited}
    for filters, wanted in [
        ({}, every), ({"is_dm": True}, {dm}), ({"is_dm": False}, every - {dm}), ({"is_encrypted": True}, {secret}),
        ({"is_encrypted": False}, every - {secret}), ({"is_invite": True}, {invited}), ({"is_invite": False}, every - {invited}),
        ({"room_types": ["m.space"]}, {space}), ({"room_types": [None]}, every - {space}), ({"room_types": [None, "m.space"]}, every),
        ({"not_room_types": ["m.space"]}, every - {space}), ({"not_room_types": [None]}, {space}),
        ({"room_types": ["m.space"], "not_room_types": ["m.space"]}, set()), ({"tags": ["m.favourite"]}, {plain}),
        ({"tags": ["m.favourite", "u.x"]}, {plain, dm}), ({"not_tags": ["u.x"]}, every - {dm}),
        ({"tags": ["u.x"], "not_tags": ["u.x"]}, set()), ({"spaces": [space]}, {plain}), ({"spaces": ["!unknown:x"]}, set()), ({"spaces": []}, set()),
        ({"is_dm": False, "is_encrypted": False, "not_room_types": ["m.space"], "is_invite": False}, {plain}),
    ]:
        answer = Connection(user, a=a_list(**filters)).next()
        assert set(answer["rooms"]) == wanted and answer["lists"]["a"]["count"] == len(wanted), filters
    user.put_state(plain, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert set(Connection(user, a=a_list(is_encrypted=True)).next()["rooms"]) == {secret, plain}, "what is remembered of rooms moves on"


def test_sliding_sync_033_rooms_left_are_told_once_and_not_listed(user, user2):
    stay, go = user.create_room(), user2.create_room(preset="public_chat")
    user.join(go)
    client = Connection(user, all=a_list())
    assert set(client.next()["rooms"]) == {stay, go}
    user.leave(go)
    answer = client.next()
    assert set(answer["rooms"]) == {go} and answer["rooms"][go]["membership"] == "leave"
    assert answer["rooms"][go]["timeline"][-1]["content"]["membership"] == "leave"
    user2.send(go, "behind your back")
    answer = client.next()
    assert not answer["rooms"] and answer["lists"]["all"]["count"] == 1
    assert set(Connection(user, "fresh", all=a_list()).next()["rooms"]) == {stay}
    user.join(go)
    answer = client.next()
    assert answer["rooms"][go]["initial"] is True and answer["rooms"][go]["membership"] == "join"


@pytest.mark.parametrize("how", ["kick", "ban"])
def test_sliding_sync_034_who_was_thrown_out_is_told(user, user2, how):
    room = user2.create_room(preset="public_chat")
    user.join(room)
    client = Connection(user, all=a_list())
    client.next()
    user2.call("POST", f"{V3}/rooms/{quote(room)}/{how}", {"user_id": user.user_id})
    user2.send(room, "secret")
    for answer in (client.next(), Connection(user, "fresh", all=a_list()).next()):
        part = answer["rooms"][room]
        assert part["membership"] == ("leave" if how == "kick" else "ban") and "secret" not in texts(answer, room)
    assert not client.next()["rooms"]


# ---------------------------------------------------------------------- subscriptions
def test_sliding_sync_040_subscriptions_are_for_those_inside(user, user2):
    mine, foreign = user.create_room(), user2.create_room(preset="public_chat")
    client = Connection(user)
    client.subscriptions = {mine: config(), foreign: config(), "!unknown:x": config(), "no room id": config()}
    answer = client.next()
    assert set(answer["rooms"]) == {mine} and "lists" not in answer["rooms"][mine]
    user.join(foreign)
    assert set(client.next()["rooms"]) == {foreign}


def test_sliding_sync_041_configurations_are_combined(user):
    room = user.create_room(name="N", topic="T")
    client = Connection(user, a=a_list(limit=1, state=[["m.room.name", ""]]), b=a_list(limit=3, state=[["m.room.topic", ""]]))
    client.subscriptions = {room: config(2, [["m.room.create", ""]])}
    part = client.next()["rooms"][room]
    assert len(part["timeline"]) == 3 and part["lists"] == ["a", "b"]
    assert {e["type"] for e in part["required_state"]} == {"m.room.name", "m.room.topic", "m.room.create"}
