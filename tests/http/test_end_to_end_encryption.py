# SPDX-License-Identifier: Apache-2.0
# CS-API: end-to-end encryption: keys of devices, and what /sync tells of them
import threading
import time

import pytest
from harness import V3, quote
from key_calls import ALGORITHMS, Device, b64, bodies, changed, claim, counts, left, query, to_device, upload
from room_calls import refuses_strangers

UPLOAD = f"{V3}/keys/upload"


@pytest.mark.parametrize("path", ["upload", "query", "claim"])
def test_end_to_end_encryption_001_strangers_are_refused(server, path):
    refuses_strangers(server, "POST", f"/keys/{path}", {})
    refuses_strangers(server, "GET", "/keys/changes?from=s1&to=s1")


@pytest.mark.parametrize("path", ["upload", "query", "claim"])
def test_end_to_end_encryption_002_bodies_that_are_none(user, path):
    user.call("POST", f"{V3}/keys/{path}", data="", errcode="M_NOT_JSON", status=400)
    user.call("POST", f"{V3}/keys/{path}", data="[]", errcode="M_BAD_JSON", status=400)
    user.call("POST", f"{V3}/keys/{path}", data="{\"a\"", errcode="M_NOT_JSON", status=400)
    user.call("PUT", f"{V3}/keys/{path}", {}, errcode="M_UNRECOGNIZED", status=405)


def test_end_to_end_encryption_010_what_is_uploaded_can_be_asked_for(server, user, user2):
    device = Device(user)
    assert device.upload(3).json() == {"one_time_key_counts": {"signed_curve25519": 3}}
    second = server.login(user.user_id, initial_device_display_name="Second \"phone\"")
    Device(second).upload()
    answer = query(user2, user.user_id, user2.user_id).json()
    assert answer["failures"] == {} and answer["device_keys"][user2.user_id] == {}
    told = answer["device_keys"][user.user_id]
    assert set(told) == {user.device_id, second.device_id}
    assert told[second.device_id]["unsigned"] == {"device_display_name": "Second \"phone\""}
    assert {k: v for k, v in told[user.device_id].items() if k != "unsigned"} == device.keys()
    only = user2.call("POST", f"{V3}/keys/query", {"device_keys": {user.user_id: [second.device_id, "NONE"]}})["device_keys"]
    assert set(only[user.user_id]) == {second.device_id}
    assert answer["master_keys"] == answer["self_signing_keys"] == answer["user_signing_keys"] == {}


def test_end_to_end_encryption_011_a_foreign_servers_users_are_a_failure(user):
    answer = query(user, "@a:elsewhere.example", user.user_id).json()
    assert list(answer["failures"]) == ["elsewhere.example"] and list(answer["device_keys"]) == [user.user_id]
    answer = claim(user, {"@a:elsewhere.example": {"D": "signed_curve25519"}}).json()
    assert list(answer["failures"]) == ["elsewhere.example"] and answer["one_time_keys"] == {}


@pytest.mark.parametrize("change, errcode", [
    ({"user_id": "@other:example.org"}, "M_INVALID_PARAM"),
    ({"user_id": 1}, "M_INVALID_PARAM"),
    ({"device_id": "OTHER"}, "M_INVALID_PARAM"),
    ({"algorithms": "m.olm"}, "M_BAD_JSON"),
    ({"algorithms": [1]}, "M_BAD_JSON"),
    ({"keys": []}, "M_BAD_JSON"),
    ({"keys": {"ed25519:OTHER": "x"}}, "M_INVALID_PARAM"),
    ({"keys": {"ed25519": "x"}}, "M_INVALID_PARAM"),
    ({"keys": {"ed25519:": "x"}}, "M_INVALID_PARAM"),
    ({"keys": None}, "M_BAD_JSON"),
    ({"extra": 1.5}, "M_BAD_JSON"),
    ({"extra": 2 ** 60}, "M_BAD_JSON"),
])
def test_end_to_end_encryption_012_device_keys_that_are_none(user, user2, change, errcode):
    body = {**Device(user).keys(), **change}
    upload(user, {"device_keys": body}, errcode=errcode, status=400)
    assert query(user2, user.user_id).json()["device_keys"] == {user.user_id: {}}


def test_end_to_end_encryption_013_signatures_of_device_keys_are_objects(user):
    keys = Device(user).keys()
    for signatures in (None, [], {user.user_id: []}, {user.user_id: {"ed25519:X": 1}}):
        upload(user, {"device_keys": {**keys, "signatures": signatures}}, errcode="M_BAD_JSON", status=400)
    upload(user, {"device_keys": {**keys, "signatures": {user.user_id: {"ed25519": "x"}}}}, errcode="M_INVALID_PARAM", status=400)
    upload(user, {"device_keys": []}, errcode="M_BAD_JSON", status=400)


@pytest.mark.parametrize("field", ["one_time_keys", "fallback_keys"])
@pytest.mark.parametrize("keys, errcode", [
    ({"nocolon": "x"}, "M_INVALID_PARAM"),
    ({":x": "x"}, "M_INVALID_PARAM"),
    ({"a:": "x"}, "M_INVALID_PARAM"),
    ({"a" * 300 + ":x": "x"}, "M_INVALID_PARAM"),
    ({"a:b": 1}, "M_BAD_JSON"),
    ({"a:b": {}}, "M_BAD_JSON"),
    ({"a:b": {"key": 1}}, "M_BAD_JSON"),
    ({"a:b": {"key": "x", "more": 0.5}}, "M_BAD_JSON"),
    ([], "M_BAD_JSON"),
])
def test_end_to_end_encryption_014_one_bad_key_refuses_all(user, field, keys, errcode):
    good = {"good:1": "x"} if isinstance(keys, dict) else []
    upload(user, {field: {**good, **keys} if isinstance(keys, dict) else keys}, errcode=errcode, status=400)
    assert upload(user, {}).json() == {"one_time_key_counts": {}}


def test_end_to_end_encryption_015_more_keys_than_a_device_may_have(make_server):
    server = make_server("--children", "1", "--conf-line", "MatrixMaxOneTimeKeys 100")
    user = server.register()
    upload(user, {"one_time_keys": {f"a:{i}": "x" for i in range(100)}})
    upload(user, {"one_time_keys": {"a:101": "x"}}, errcode="M_TOO_LARGE", status=413)
    assert upload(user, {}).json() == {"one_time_key_counts": {"a": 100}}
    many = {"one_time_keys": {f"a:{i}": "x" for i in range(100000)}}
    upload(user, many, errcode="M_TOO_LARGE", status=413)
    upload(user, {"one_time_keys": {f"a:{i}": "x" for i in range(10001)}}, errcode="M_TOO_LARGE", status=413)


def test_end_to_end_encryption_016_uploading_again_adds_nothing(user, user2):
    device = Device(user)
    body = {"device_keys": device.keys(), "one_time_keys": device.one_time(2)}
    for _ in range(3):
        assert upload(user, body).json()["one_time_key_counts"] == {"signed_curve25519": 2}
    name = sorted(body["one_time_keys"])[0]
    other = {name: {"key": b64(b"o" * 32)}}
    upload(user, {"one_time_keys": {**device.one_time(1), **other}}, errcode="M_INVALID_PARAM", status=400)
    assert upload(user, {}).json()["one_time_key_counts"] == {"signed_curve25519": 2}
    got = claim(user2, {user.user_id: {user.device_id: "signed_curve25519"}})["one_time_keys"][user.user_id][user.device_id]
    assert list(got) == [name]
    # a key that was given out is given once, though its upload be sent again
    assert upload(user, body).json()["one_time_key_counts"] == {"signed_curve25519": 1}


def test_end_to_end_encryption_017_other_identity_keys_begin_anew(user, user2):
    Device(user).upload(2, fallback_keys=Device(user).fallback())
    again = Device(user)
    assert again.upload(1).json()["one_time_key_counts"] == {"signed_curve25519": 1}
    got = claim(user2, {user.user_id: {user.device_id: "signed_curve25519"}})["one_time_keys"][user.user_id][user.device_id]
    assert list(got.values())[0]["signatures"][user.user_id][again.key.id]
    assert claim(user2, {user.user_id: {user.device_id: "signed_curve25519"}})["one_time_keys"] == {}
    assert list(query(user2, user.user_id)["device_keys"][user.user_id][user.device_id]["signatures"][user.user_id]) == [again.key.id]


def test_end_to_end_encryption_020_claims_are_in_the_order_of_uploads(user, user2):
    device = Device(user)
    device.upload(1)
    for _ in range(3):
        upload(user, {"one_time_keys": device.one_time(1)})
    asked = {user.user_id: {user.device_id: "signed_curve25519", "NONE": "signed_curve25519"}}
    got = [list(claim(user2, asked)["one_time_keys"][user.user_id][user.device_id])[0] for _ in range(4)]
    assert got == [f"signed_curve25519:AAAA{i:05d}" for i in range(1, 5)]
    assert claim(user2, asked).json() == {"failures": {}, "one_time_keys": {}}
    assert claim(user2, {user.user_id: {user.device_id: "other"}})["one_time_keys"] == {}


def test_end_to_end_encryption_021_the_fallback_key_is_given_when_no_other_is_left(user, user2):
    device = Device(user)
    device.upload(1, fallback_keys=device.fallback())
    asked = {user.user_id: {user.device_id: "signed_curve25519"}}
    first = user.sync()
    assert counts(first) == {"signed_curve25519": 1} and first["device_unused_fallback_key_types"] == ["signed_curve25519"]
    got = [claim(user2, asked)["one_time_keys"][user.user_id][user.device_id] for _ in range(3)]
    assert [list(g)[0] for g in got] == ["signed_curve25519:AAAA00001"] + ["signed_curve25519:FALL"] * 2
    assert got[1] == device.fallback()
    answer = user.sync(first["next_batch"])
    assert counts(answer) == {} and answer["device_unused_fallback_key_types"] == []
    upload(user, {"fallback_keys": device.fallback()})      # the same one stays used
    assert user.sync(answer["next_batch"])["device_unused_fallback_key_types"] == []
    upload(user, {"fallback_keys": device.fallback("NEW")})
    assert user.sync(answer["next_batch"])["device_unused_fallback_key_types"] == ["signed_curve25519"]
    two = {**device.fallback("A"), **device.fallback("B")}
    upload(user, {"fallback_keys": two}, errcode="M_INVALID_PARAM", status=400)


@pytest.mark.parametrize("path, field", [("query", "device_keys"), ("claim", "one_time_keys")])
@pytest.mark.parametrize("value, errcode, status", [
    (None, "M_BAD_JSON", 400), ([], "M_BAD_JSON", 400), ({"@a:b": 1}, "M_BAD_JSON", 400), ({"a": []}, "M_INVALID_PARAM", 400),
    ({"@nocolon": []}, "M_INVALID_PARAM", 400), (..., "M_MISSING_PARAM", 400),
])
def test_end_to_end_encryption_022_questions_that_are_none(server, user, path, field, value, errcode, status):
    if isinstance(value, dict) and "@a:b" in value:
        value = {user.user_id: value["@a:b"]}
    user.call("POST", f"{V3}/keys/{path}", {} if value is ... else {field: value}, errcode=errcode, status=status)
    user.call("POST", f"{V3}/keys/{path}", {field: {}, "timeout": "x"}, errcode="M_BAD_JSON", status=400)
    inner = {user.user_id: [1]} if path == "query" else {user.user_id: {"D": 1}}
    user.call("POST", f"{V3}/keys/{path}", {field: inner}, errcode="M_BAD_JSON", status=400)


def test_end_to_end_encryption_023_questions_after_10000_devices(user):
    many = [f"D{i}" for i in range(10000)]
    user.call("POST", f"{V3}/keys/query", {"device_keys": {user.user_id: many}}, errcode="M_TOO_LARGE", status=413)
    claim(user, {user.user_id: {d: "a" for d in many}}, errcode="M_TOO_LARGE", status=413)
    query(user, *[f"@u{i}:{user.user_id.split(':', 1)[1]}" for i in range(10000)], errcode="M_TOO_LARGE", status=413)


def test_end_to_end_encryption_024_many_claim_and_each_key_is_given_once(make_server):
    """CS-API: POST /keys/claim: each one-time key is returned at most once; several processes, many clients."""
    server = make_server("--children", "3")
    owner, device = server.register(), None
    device = Device(owner)
    device.upload(200)
    other = server.login(owner.user_id)
    Device(other).upload(200)
    clients = [server.register() for _ in range(8)]
    asked = {owner.user_id: {owner.device_id: "signed_curve25519", other.device_id: "signed_curve25519"}}
    got, lock = [], threading.Lock()

    def work(client):
        for _ in range(60):
            keys = claim(client, asked)["one_time_keys"].get(owner.user_id, {})
            with lock:
                got.extend((d, name) for d, ks in keys.items() for name in ks)
    threads = [threading.Thread(target=work, args=(c,)) for c in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)), "a key was given twice"
    assert len(got) == 400, f"{len(got)} of 400 keys were given, though all were asked for"
    assert counts(owner.sync()) == {}


# ---------------------------------------------------------------------- /sync

def test_end_to_end_encryption_030_counts_stand_in_every_answer(user, user2):
    device = Device(user)
    device.upload(2)
    answer = user.sync()
    assert counts(answer) == {"signed_curve25519": 2} and "device_lists" not in answer
    answer = user.sync(answer["next_batch"], 100)
    assert counts(answer) == {"signed_curve25519": 2}
    later = threading.Timer(0.3, claim, (user2, {user.user_id: {user.device_id: "signed_curve25519"}}))
    later.start()
    answer = user.sync(answer["next_batch"], 10000)
    later.join()
    assert counts(answer) == {"signed_curve25519": 1}
    assert counts(user.sync(answer["next_batch"], 100)) == {"signed_curve25519": 1}


def test_end_to_end_encryption_031_who_shares_a_room_is_told_of_changed_keys(server, user, user2):
    stranger = server.register()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    at = user2.sync()["next_batch"]
    alone, mine = stranger.sync()["next_batch"], user.sync()["next_batch"]
    device = Device(user)
    later = threading.Timer(0.3, device.upload, (1,))
    later.start()
    answer = user2.sync(at, 10000)
    later.join()
    assert changed(answer) == {user.user_id} and left(answer) == set()
    assert changed(user2.sync(at)) == {user.user_id} and changed(user2.sync(answer["next_batch"])) == set()
    assert changed(user.sync(mine)) == {user.user_id}
    assert changed(stranger.sync(alone)) == set()
    at = answer["next_batch"]
    device.upload(1)                            # one-time keys alone are no change of the list
    assert changed(user2.sync(at)) == set()
    user.call("PUT", f"{V3}/devices/{quote(user.device_id)}", {"display_name": "renamed"})
    assert changed(user2.sync(at)) == {user.user_id}
    assert query(user2, user.user_id)["device_keys"][user.user_id][user.device_id]["unsigned"] == {"device_display_name": "renamed"}


def test_end_to_end_encryption_032_logging_out_takes_the_keys_along(server, user, user2):
    room = user.create_room(preset="public_chat")
    user2.join(room)
    Device(user).upload(5)
    second = server.login(user.user_id)
    Device(second).upload(5, fallback_keys=Device(second).fallback())
    at = user2.sync()["next_batch"]
    second.call("POST", f"{V3}/logout", {})
    assert changed(user2.sync(at)) == {user.user_id}
    assert set(query(user2, user.user_id)["device_keys"][user.user_id]) == {user.device_id}
    assert claim(user2, {user.user_id: {second.device_id: "signed_curve25519"}})["one_time_keys"] == {}
    at = user2.sync()["next_batch"]
    user.call("POST", f"{V3}/logout/all", {})
    assert changed(user2.sync(at)) == {user.user_id}
    assert query(user2, user.user_id)["device_keys"] == {user.user_id: {}}


def test_end_to_end_encryption_033_who_comes_and_goes(server, user, user2):
    """CS-API: device_lists: users who now share a room, and those who share none any more."""
    third = server.register()
    room, other = (user.create_room(preset="public_chat") for _ in range(2))
    third.join(room)
    at, theirs = user.sync()["next_batch"], user2.sync()["next_batch"]
    user2.join(room)
    answer = user.sync(at)
    assert changed(answer) == {user2.user_id} and left(answer) == set()
    assert changed(user2.sync(theirs)) == {user.user_id, third.user_id}
    at = answer["next_batch"]
    user2.put_state(room, "m.room.member", {"membership": "join", "displayname": "D"}, user2.user_id)
    assert changed(user.sync(at)) == set(), "a profile is no key"
    user2.join(other)
    at = user.sync(at)["next_batch"]
    user2.leave(room)
    assert left(user.sync(at)) == set(), "they still share a room"
    assert left(third.sync(at)) == {user2.user_id}
    user2.leave(other)
    assert left(user.sync(at)) == {user2.user_id}
    at = user.sync()["next_batch"]
    user.leave(room)
    assert left(user.sync(at)) == {third.user_id}


def test_end_to_end_encryption_034_a_poll_that_waits_is_told_who_joined(user, user2):
    room = user.create_room(preset="public_chat")
    at = user.sync()["next_batch"]
    later = threading.Timer(0.3, user2.join, (room,))
    later.start()
    answer = user.sync(at, 10000)
    later.join()
    assert changed(answer) == {user2.user_id}


def test_end_to_end_encryption_035_a_key_upload_is_one_row_however_many_rooms(server, user):
    rooms = [user.create_room() for _ in range(10)]
    rows = int(server.sql("select count(*) from device_change")[0][0])
    assert len(rooms) == 10
    second = server.login(user.user_id)
    Device(second).upload(5)
    assert int(server.sql("select count(*) from device_change")[0][0]) == rows + 1
    Device(second).upload(5)
    assert int(server.sql("select count(*) from device_change")[0][0]) == rows + 1


def test_end_to_end_encryption_036_a_poll_that_waited_is_told_what_a_later_one_is(make_server):
    """Answers of the ring and of the database say the same of devices."""
    server = make_server("--children", "1")
    user, user2, third = server.register(), server.register(), server.register()
    room = user.create_room(preset="public_chat")
    user2.join(room)
    since, live = user.sync()["next_batch"], []

    def news():
        Device(user).upload(3, fallback_keys=Device(user).fallback())
        Device(third).upload()
        Device(user2).upload(1)
        to_device(user2, {user.user_id: {"*": {"n": 1}}}, txn="1")
        claim(user2, {user.user_id: {user.device_id: "signed_curve25519"}})
        to_device(user2, {user.user_id: {"*": {"n": 2}}}, txn="2")
    later, at = threading.Timer(0.3, news), since
    later.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        answer = user.sync(at, 1000)
        live.append(answer)
        at = answer["next_batch"]
    later.join()
    told = [b["n"] for a in live for b in bodies(a)]
    assert told == [1, 2] and set().union(*map(changed, live)) == {user.user_id, user2.user_id}
    assert counts(live[-1]) == {"signed_curve25519": 2} and live[-1]["device_unused_fallback_key_types"] == ["signed_curve25519"]

    def device_part(answer):
        return {k: answer[k] for k in ("device_one_time_keys_count", "device_unused_fallback_key_types")}, changed(answer), left(answer)
    by_ring = [device_part(user.sync(a["next_batch"])) for a in live]
    server.quickstart("restart")
    assert [device_part(user.sync(a["next_batch"])) for a in live] == by_ring
    assert changed(user.sync(since)) == {user.user_id, user2.user_id}


# ---------------------------------------------------------------------- /keys/changes

def changes(user, start, end, **expect):
    return user.call("GET", f"{V3}/keys/changes?from={quote(start)}&to={quote(end)}", **expect)


def test_end_to_end_encryption_040_changes_between_two_tokens(user, user2):
    room = user.create_room(preset="public_chat")
    start = user.sync()["next_batch"]
    assert changes(user, start, start).json() == {"changed": [], "left": []}
    user2.join(room)
    end = user.sync(start)["next_batch"]
    assert changes(user, start, end).json() == {"changed": [user2.user_id], "left": []}
    assert changes(user, end, end).json() == {"changed": [], "left": []}
    user2.leave(room)
    assert changes(user, end, user.sync(end)["next_batch"]).json() == {"changed": [], "left": [user2.user_id]}
    changes(user, end, start, errcode="M_INVALID_PARAM", status=400)


@pytest.mark.parametrize("query, errcode", [("", "M_MISSING_PARAM"), ("?from=s1", "M_MISSING_PARAM"), ("?to=s1", "M_MISSING_PARAM"),
                                            ("?from=x&to=s1", "M_INVALID_PARAM"), ("?from=s1&to=s999999999999", "M_INVALID_PARAM")])
def test_end_to_end_encryption_041_changes_without_good_tokens(user, query, errcode):
    user.call("GET", f"{V3}/keys/changes{query}", errcode=errcode, status=400)


def test_end_to_end_encryption_050_a_room_is_encrypted_from_its_creation(user):
    """CS-API: POST /createRoom, initial_state: m.room.encryption is state like any other."""
    content = {"algorithm": "m.megolm.v1.aes-sha2"}
    assert content["algorithm"] in ALGORITHMS
    room = user.create_room(initial_state=[{"type": "m.room.encryption", "state_key": "", "content": content}])
    assert user.get_state(room, "m.room.encryption").json() == content
