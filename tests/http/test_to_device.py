# SPDX-License-Identifier: Apache-2.0
# CS-API: send-to-device messaging
import threading
import time

import pytest
from harness import V3
from key_calls import bodies, to_device
from room_calls import refuses_strangers


def test_to_device_001_strangers_are_refused(server):
    refuses_strangers(server, "PUT", "/sendToDevice/m.test/1", {"messages": {}})


def test_to_device_002_a_message_is_delivered_until_it_is_acknowledged(user, user2):
    at = user2.sync()["next_batch"]
    assert to_device(user, {user2.user_id: {user2.device_id: {"n": 1, "deep": {"a": [None, "\u2028"]}}}}).json() == {}
    answer = user2.sync(at)
    assert answer["to_device"]["events"] == [{"sender": user.user_id, "type": "m.test", "content": {"n": 1, "deep": {"a": [None, "\u2028"]}}}]
    assert user2.sync(at)["to_device"] == answer["to_device"], "it was not acknowledged"
    assert bodies(user2.sync()) == bodies(answer), "a client without a token has acknowledged nothing"
    assert bodies(user2.sync(answer["next_batch"])) == []
    assert bodies(user2.sync(at)) == [] and bodies(user2.sync()) == [], "what was acknowledged is gone"


def test_to_device_003_a_poll_that_waits_is_woken(user, user2):
    at = user2.sync()["next_batch"]
    at = user2.sync(at, 100)["next_batch"]
    later = threading.Timer(0.3, to_device, (user, {user2.user_id: {user2.device_id: {"n": 1}}}))
    later.start()
    begin = time.monotonic()
    answer = user2.sync(at, 10000)
    later.join()
    assert bodies(answer) == [{"n": 1}] and time.monotonic() - begin < 5
    assert bodies(user2.sync(at, 1000)) == [{"n": 1}]
    assert bodies(user2.sync(answer["next_batch"], 100)) == [] and bodies(user2.sync(at, 100)) == []


def test_to_device_004_only_the_device_named_is_told(server, user, user2):
    second = server.login(user2.user_id)
    at, theirs = user2.sync()["next_batch"], second.sync()["next_batch"]
    to_device(user, {user2.user_id: {second.device_id: {"n": 1}, "NONE": {"n": 2}}, f"@nobody:{server.server_name}": {"*": {}}})
    assert bodies(user2.sync(at)) == [] and bodies(second.sync(theirs)) == [{"n": 1}]


def test_to_device_005_a_star_means_every_device(server, user, user2):
    second = server.login(user2.user_id)
    at, theirs = user2.sync()["next_batch"], second.sync()["next_batch"]
    to_device(user, {user2.user_id: {"*": {"n": "all"}, second.device_id: {"n": "own"}}})
    assert bodies(user2.sync(at)) == [{"n": "all"}] and bodies(second.sync(theirs)) == [{"n": "own"}]


def test_to_device_006_a_transaction_id_sends_once(server, user, user2):
    """CS-API: transaction identifiers: of one device and one path."""
    at = user2.sync()["next_batch"]
    second = server.login(user.user_id)

    def say(sender, n, **how):
        to_device(sender, {user2.user_id: {user2.device_id: {"n": n}}}, **how)
    say(user, 1, txn="a")
    say(user, 2, txn="a")
    say(user, 3, txn="a", type="m.other")
    say(second, 4, txn="a")
    say(user, 5, txn="b/\u00e4 ")
    assert [b["n"] for b in bodies(user2.sync(at))] == [1, 3, 4, 5]


def test_to_device_007_more_than_fits_comes_in_order_with_the_next_answers(user, user2):
    first = at = user2.sync()["next_batch"]
    for i in range(230):
        to_device(user, {user2.user_id: {user2.device_id: {"n": i}}}, txn=f"t{i}")
    seen, sizes = [], []
    for _ in range(4):
        answer = user2.sync(at)
        sizes.append(len(bodies(answer)))
        seen += [b["n"] for b in bodies(answer)]
        if at == first:
            assert bodies(user2.sync(at)) == bodies(answer)
        at = answer["next_batch"]
    assert seen == list(range(230)) and sizes == [100, 100, 30, 0]


def test_to_device_008_rooms_go_on_while_messages_are_many(user, user2):
    """An answer that holds back messages holds back what came after them, and loses nothing."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    at, told, seen = user2.sync()["next_batch"], [], []
    for i in range(120):
        to_device(user, {user2.user_id: {user2.device_id: {"n": i}}}, txn=f"t{i}")
        if i % 40 == 0:
            told.append(user.send(room, str(i)))
    told.append(user.send(room, "last"))
    for _ in range(3):
        answer = user2.sync(at)
        seen += [e["event_id"] for e in answer["rooms"]["join"].get(room, {"timeline": {"events": []}})["timeline"]["events"]]
        at = answer["next_batch"]
    assert seen == told
    new = user2.sync()
    assert bodies(new) == [], "all were acknowledged"


def test_to_device_009_a_device_that_begins_with_many_messages(server, user, user2):
    """The first answer tells of an earlier time then, and the next ones of what came since."""
    room = user.create_room(preset="public_chat")
    user2.join(room)
    told, fresh = [], server.login(user2.user_id)
    for i in range(130):
        to_device(user, {user2.user_id: {fresh.device_id: {"n": i}}}, txn=f"t{i}")
        if i in (20, 110):
            told.append(user.send(room, str(i)))
            user.put_state(room, "m.room.topic", {"topic": str(i)})
    late = user.create_room(preset="public_chat")
    user2.join(late)
    first = fresh.sync()
    assert [b["n"] for b in bodies(first)] == list(range(100)) and late not in first["rooms"]["join"]
    assert [e["event_id"] for e in first["rooms"]["join"][room]["timeline"]["events"] if e["type"] == "m.room.message"] == told[:1]
    second = fresh.sync(first["next_batch"])
    assert [b["n"] for b in bodies(second)] == list(range(100, 130)) and late in second["rooms"]["join"]
    assert [e["event_id"] for e in second["rooms"]["join"][room]["timeline"]["events"] if e["type"] == "m.room.message"] == told[1:]
    assert [e["content"]["topic"] for e in second["rooms"]["join"][room]["timeline"]["events"] if "state_key" in e] == ["110"]


@pytest.mark.parametrize("body, errcode", [({}, "M_MISSING_PARAM"), ({"messages": []}, "M_BAD_JSON"), ({"messages": {"@a:b": 1}}, "M_BAD_JSON"),
                                           ({"messages": {"@a:b": {"D": "text"}}}, "M_BAD_JSON"),
                                           ({"messages": {"nobody": {}}}, "M_INVALID_PARAM")])
def test_to_device_010_messages_that_are_none(user, body, errcode):
    user.call("PUT", f"{V3}/sendToDevice/m.test/1", body, errcode=errcode, status=400)


def test_to_device_011_one_bad_message_refuses_all(user, user2):
    at = user2.sync()["next_batch"]
    to_device(user, {user2.user_id: {user2.device_id: {"n": 1}, "D": 1}}, errcode="M_BAD_JSON", status=400)
    assert bodies(user2.sync(at)) == []


def test_to_device_012_bounds(server, user, user2):
    at = user2.sync()["next_batch"]
    to_device(user, {user2.user_id: {user2.device_id: {"x": "a" * 66000}}}, errcode="M_TOO_LARGE", status=413)
    to_device(user, {user2.user_id: {user2.device_id: {"x": "a" * 10000000}}}, errcode="M_TOO_LARGE", status=413)
    to_device(user, {user2.user_id: {f"D{i}": {} for i in range(10000)}}, errcode="M_TOO_LARGE", status=413)
    to_device(user, {}, type="t" * 256, errcode="M_INVALID_PARAM", status=400)
    to_device(user, {}, txn="t" * 256, errcode="M_INVALID_PARAM", status=400)
    user.call("PUT", f"{V3}/sendToDevice//1", {"messages": {}}, errcode="M_INVALID_PARAM", status=400)
    user.call("PUT", f"{V3}/sendToDevice/m.test/1", data="[1]", errcode="M_BAD_JSON", status=400)
    user.call("PUT", f"{V3}/sendToDevice/m.test/1", data="", errcode="M_NOT_JSON", status=400)
    to_device(user, {user2.user_id: {user2.device_id: {"x": "a" * 65000}}})
    assert len(bodies(user2.sync(at))) == 1


def test_to_device_013_a_device_that_is_deleted_takes_its_messages_along(server, user, user2):
    second = server.login(user2.user_id, device_id="GONE")
    to_device(user, {user2.user_id: {"GONE": {"n": 1}}})
    second.call("POST", f"{V3}/logout", {})
    assert server.sql("select count(*) from to_device t left join device d using (device_nid) where d.device_nid is null")[0][0] == "0"
    assert bodies(server.login(user2.user_id, device_id="GONE").sync()) == []


def test_to_device_020_several_senders_and_processes_lose_nothing(make_server):
    """Each message at least once, in each sender's order, while the reader polls through any child."""
    server = make_server("--children", "3")
    reader, senders = server.register(), [server.register() for _ in range(4)]
    at, seen = reader.sync()["next_batch"], {s.user_id: [] for s in senders}

    def send(sender):
        for i in range(80):
            to_device(sender, {reader.user_id: {reader.device_id: {"n": i}}}, txn=f"t{i}")
    threads = [threading.Thread(target=send, args=(s,)) for s in senders]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    while sum(map(len, seen.values())) < 320 and time.monotonic() < end:
        answer = reader.sync(at, 1000)
        for event in answer["to_device"]["events"]:
            seen[event["sender"]].append(event["content"]["n"])
        at = answer["next_batch"]
    for thread in threads:
        thread.join()
    assert all(numbers == list(range(80)) for numbers in seen.values()), seen
    assert bodies(reader.sync(at)) == [] and bodies(reader.sync()) == []
