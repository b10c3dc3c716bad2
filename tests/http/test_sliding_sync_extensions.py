# SPDX-License-Identifier: Apache-2.0
"""Extensions of sliding sync: MSC3885 to_device, MSC3884 e2ee, MSC3959 account_data, MSC3960 receipts, MSC3961 typing."""
import threading
import time

import pytest

from harness import V3, quote
from sliding_calls import PATH, Connection, a_list, config


def extended(user, name, conn_id=None, **settings):
    client = Connection(user, conn_id, all=a_list())
    client.extensions = {name: {"enabled": True, **settings}}
    return client


def to_device(sender, receiver, n):
    sender.call("PUT", f"{V3}/sendToDevice/org.x/{n}", {"messages": {receiver.user_id: {receiver.device_id: {"n": n}}}})


def receipt(user, room, event):
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(event)}", {})


@pytest.fixture
def room(user, user2):
    made = user.create_room(preset="public_chat")
    user2.join(made)
    return made


# ---------------------------------------------------------------------- which
def test_sliding_sync_extensions_001_only_what_is_enabled(user, room):
    names = ("to_device", "e2ee", "account_data", "receipts", "typing")
    assert user.call("POST", PATH, {"extensions": {name: {"enabled": False} for name in names}}).json()["extensions"] == {}
    assert user.call("POST", PATH, {"extensions": {"of.the.future": {"enabled": True}}}).json()["extensions"] == {}
    answer = user.call("POST", PATH, {"extensions": {name: {"enabled": True} for name in names}}).json()
    assert set(answer["extensions"]) == set(names)


# ---------------------------------------------------------------------- to the device
def test_sliding_sync_extensions_010_messages_come_until_acknowledged(user, user2):
    client = extended(user, "to_device")
    client.next()
    for n in range(5):
        to_device(user2, user, n)
    for _ in range(2):
        events = client.ask()["extensions"]["to_device"]["events"]
        assert [e["content"]["n"] for e in events] == [0, 1, 2, 3, 4] and events[0]["sender"] == user2.user_id
    client.extensions["to_device"]["limit"] = 2
    seen = []
    for _ in range(4):
        told = client.next()["extensions"]["to_device"]
        seen += [e["content"]["n"] for e in told["events"]]
        client.extensions["to_device"]["since"] = told["next_batch"]
    assert seen == [0, 1, 2, 3, 4]
    fresh = extended(user, "to_device", "other")
    assert fresh.next()["extensions"]["to_device"]["events"] == [], "acknowledged ones are gone for every connection"


def test_sliding_sync_extensions_011_a_message_wakes(user, user2):
    client = extended(user, "to_device")
    client.extensions["to_device"]["since"] = client.next()["extensions"]["to_device"]["next_batch"]
    client.next()
    thread = threading.Thread(target=lambda: (time.sleep(0.5), to_device(user2, user, 7)))
    thread.start()
    began = time.monotonic()
    answer = client.next(timeout=20000)
    thread.join()
    assert [e["content"]["n"] for e in answer["extensions"]["to_device"]["events"]] == [7] and time.monotonic() - began < 10


@pytest.mark.parametrize("since", ["s99999999999", "x", "", 5])
def test_sliding_sync_extensions_012_tokens_of_nobody_are_refused(user, since):
    reply = user.call("POST", PATH, {"extensions": {"to_device": {"enabled": True, "since": since}}}, status=400)
    assert reply["errcode"] in ("M_INVALID_PARAM", "M_BAD_JSON")


# ---------------------------------------------------------------------- keys
def test_sliding_sync_extensions_020_keys_and_device_lists(server, user, room):
    client = extended(user, "e2ee")
    told = client.next()["extensions"]["e2ee"]
    assert "device_one_time_keys_count" in told and told["device_unused_fallback_key_types"] == []
    client.next()
    new = server.register()
    new.join(room)
    told = client.next()["extensions"]["e2ee"]["device_lists"]
    assert new.user_id in told["changed"]
    new.leave(room)
    assert new.user_id in client.next()["extensions"]["e2ee"]["device_lists"]["left"]
    assert client.next()["extensions"]["e2ee"]["device_lists"] == {"changed": [], "left": []}


# ---------------------------------------------------------------------- account data
def test_sliding_sync_extensions_030_account_data(user, room):
    base = f"{V3}/user/{quote(user.user_id)}"
    user.call("PUT", f"{base}/account_data/org.x", {"v": 1})
    user.call("PUT", f"{base}/rooms/{quote(room)}/account_data/org.y", {"v": 2})
    client = extended(user, "account_data")
    told = client.next()["extensions"]["account_data"]
    assert {"m.push_rules", "org.x"} <= {e["type"] for e in told["global"]} and told["rooms"][room] == [{"type": "org.y", "content": {"v": 2}}]
    told = client.next()["extensions"]["account_data"]
    assert told == {"global": [], "rooms": {}}
    user.call("PUT", f"{base}/account_data/org.x", {"v": 3})
    user.call("PUT", f"{base}/rooms/{quote(room)}/tags/m.favourite", {"order": 0.5})
    told = client.next()["extensions"]["account_data"]
    assert told["global"] == [{"type": "org.x", "content": {"v": 3}}] and [e["type"] for e in told["rooms"][room]] == ["m.tag"]


def test_sliding_sync_extensions_031_rooms_outside_of_the_window_catch_up(user, room):
    base = f"{V3}/user/{quote(user.user_id)}"
    client = extended(user, "account_data")
    client.next()
    client.lists["all"] = a_list(is_encrypted=True)
    client.next()
    user.call("PUT", f"{base}/rooms/{quote(room)}/account_data/org.y", {"v": 1})
    assert client.next()["extensions"]["account_data"]["rooms"] == {}
    client.lists["all"] = a_list()
    assert client.next()["extensions"]["account_data"]["rooms"][room] == [{"type": "org.y", "content": {"v": 1}}]


def test_sliding_sync_extensions_032_lists_and_rooms_say_of_which_rooms(user, room):
    base, other = f"{V3}/user/{quote(user.user_id)}", user.create_room()
    for each in (room, other):
        user.call("PUT", f"{base}/rooms/{quote(each)}/account_data/org.y", {})
    for settings, wanted in [({}, {room, other}), ({"lists": []}, {room}), ({"lists": [], "rooms": []}, set()), ({"lists": ["all"], "rooms": []}, {room, other}),
                             ({"lists": ["none"]}, {room}), ({"rooms": [other]}, {room, other}), ({"lists": [], "rooms": [other]}, set()),
                             ({"lists": [], "rooms": [room]}, {room}), ({"lists": [], "rooms": ["*"]}, {room})]:
        client = extended(user, "account_data", **settings)
        client.subscriptions = {room: config()}
        assert set(client.next()["extensions"]["account_data"]["rooms"]) == wanted, settings


# ---------------------------------------------------------------------- receipts
def test_sliding_sync_extensions_040_receipts(server, user, user2, room):
    old = user.send(room, "old")
    third = server.register()
    third.join(room)
    receipt(third, room, old)
    for i in range(3):
        new = user.send(room, str(i))
    receipt(user2, room, new)
    client = extended(user, "receipts")
    client.lists["all"]["timeline_limit"] = 1
    told = client.next()["extensions"]["receipts"]["rooms"][room]
    assert told["type"] == "m.receipt" and set(told["content"]) == {new} and set(told["content"][new]["m.read"]) == {user2.user_id}
    assert client.next()["extensions"]["receipts"]["rooms"] == {}
    receipt(third, room, new)
    told = client.next()["extensions"]["receipts"]["rooms"][room]["content"]
    assert set(told[new]["m.read"]) == {third.user_id}
    user2.call("POST", f"{V3}/rooms/{quote(room)}/receipt/m.read.private/{quote(old)}", {})
    assert room not in client.next()["extensions"]["receipts"]["rooms"], "private ones are nobody else's"


def test_sliding_sync_extensions_041_receipts_of_threads_are_one_event(user, user2, room):
    root = user.send(room, "root")
    reply = user.send(room, content={"msgtype": "m.text", "body": "r", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    client = extended(user, "receipts")
    client.next()
    path = f"{V3}/rooms/{quote(room)}/receipt/m.read/{quote(reply)}"
    user2.call("POST", path, {"thread_id": root})
    user2.call("POST", path, {})
    told = client.next()["extensions"]["receipts"]["rooms"][room]["content"]
    assert set(told[reply]["m.read"]) == {user2.user_id}


# ---------------------------------------------------------------------- typing
def test_sliding_sync_extensions_050_typing_wakes_and_ends(user, user2, room):
    client = extended(user, "typing")
    assert client.next()["extensions"]["typing"]["rooms"] == {}
    client.next()
    path = f"{V3}/rooms/{quote(room)}/typing/{quote(user2.user_id)}"
    thread = threading.Thread(target=lambda: (time.sleep(0.5), user2.call("PUT", path, {"typing": True, "timeout": 30000})))
    thread.start()
    told = client.next(timeout=20000)["extensions"]["typing"]["rooms"]
    thread.join()
    assert told == {room: {"type": "m.typing", "content": {"user_ids": [user2.user_id]}}}
    assert extended(user, "typing", "new").next()["extensions"]["typing"]["rooms"][room]["content"]["user_ids"] == [user2.user_id]
    user2.call("PUT", path, {"typing": False})
    assert client.next()["extensions"]["typing"]["rooms"][room]["content"]["user_ids"] == []
