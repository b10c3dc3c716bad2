# SPDX-License-Identifier: Apache-2.0
# CS-API: end-to-end encryption, server-side key backups
import threading

import pytest
from accounts import with_password
from harness import V3, quote
from room_calls import refuses_strangers

VERSION, KEYS = f"{V3}/room_keys/version", f"{V3}/room_keys/keys"
ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM = "!r:example.org"


def make(user, **change):
    return user.call("POST", VERSION, {"algorithm": ALGORITHM, "auth_data": {"public_key": "p"}, **change})["version"]


def session(first=0, forwarded=0, verified=False, data="d"):
    return {"first_message_index": first, "forwarded_count": forwarded, "is_verified": verified, "session_data": {"ciphertext": data}}


def at(version, room=None, name=None):
    return KEYS + "".join(f"/{quote(part)}" for part in (room, name) if part) + f"?version={quote(version)}"


def test_key_backup_001_strangers_are_refused(server):
    for method, path in (("GET", "/room_keys/version"), ("POST", "/room_keys/version")):
        refuses_strangers(server, method, path, {})
    for path in ("/room_keys/version/1", "/room_keys/keys?version=1", "/room_keys/keys/r?version=1", "/room_keys/keys/r/s?version=1"):
        for method in ("GET", "PUT", "DELETE"):
            refuses_strangers(server, method, path, {})


def test_key_backup_002_versions(user, user2):
    user.call("GET", VERSION, errcode="M_NOT_FOUND", status=404)
    first = make(user)
    second = make(user, auth_data={"public_key": "q", "signatures": {"a": [None]}})
    assert first != second
    latest = user.call("GET", VERSION).json()
    assert latest == {"algorithm": ALGORITHM, "auth_data": {"public_key": "q", "signatures": {"a": [None]}}, "count": 0,
                      "etag": latest["etag"], "version": second} and isinstance(latest["etag"], str)
    assert user.call("GET", f"{VERSION}/{first}")["auth_data"] == {"public_key": "p"}
    user.call("PUT", f"{VERSION}/{second}", {"algorithm": ALGORITHM, "auth_data": {"x": 1}, "version": second})
    assert user.call("GET", VERSION)["auth_data"] == {"x": 1}
    user.call("DELETE", f"{VERSION}/{second}")
    assert user.call("GET", VERSION)["version"] == first
    assert make(user) not in (first, second), "a version's id is not given again"
    for method, body in (("GET", None), ("PUT", {"algorithm": ALGORITHM, "auth_data": {}}), ("DELETE", None)):
        for version in (second, "99", "x", "0", "-1", "1" * 30):
            user.call(method, f"{VERSION}/{version}", body, errcode="M_NOT_FOUND", status=404)
    user2.call("GET", f"{VERSION}/{first}", errcode="M_NOT_FOUND", status=404)


@pytest.mark.parametrize("change, errcode", [({"algorithm": 1}, "M_BAD_JSON"), ({"auth_data": []}, "M_BAD_JSON"),
                                             ({"algorithm": ""}, "M_INVALID_PARAM"), ({"algorithm": "a" * 256}, "M_INVALID_PARAM")])
def test_key_backup_003_versions_that_are_none(user, change, errcode):
    body = {"algorithm": ALGORITHM, "auth_data": {}}
    user.call("POST", VERSION, {**body, **change}, errcode=errcode, status=400)
    for missing in body:
        user.call("POST", VERSION, {k: v for k, v in body.items() if k != missing}, errcode="M_MISSING_PARAM", status=400)
    user.call("POST", VERSION, data="", errcode="M_NOT_JSON", status=400)
    user.call("GET", VERSION, errcode="M_NOT_FOUND", status=404)


def test_key_backup_004_only_auth_data_may_change(user):
    version = make(user)
    for change in ({"algorithm": "other"}, {"version": "99"}, {"version": 1}):
        user.call("PUT", f"{VERSION}/{version}", {"algorithm": ALGORITHM, "auth_data": {}, **change}, errcode="M_INVALID_PARAM", status=400)
    assert user.call("GET", VERSION)["auth_data"] == {"public_key": "p"}


def test_key_backup_010_keys_in_all_forms(user, user2):
    version = make(user)
    one = user.call("PUT", at(version, ROOM, "s/1"), session(1)).json()
    assert one["count"] == 1 and isinstance(one["etag"], str)
    two = user.call("PUT", at(version, ROOM), {"sessions": {"s2": session(2), "s3": session(3)}}).json()
    assert two["count"] == 3 and two["etag"] != one["etag"]
    three = user.call("PUT", at(version), {"rooms": {"!b:x": {"sessions": {"s1": session(4)}}, ROOM: {"sessions": {}}}}).json()
    assert three["count"] == 4 and three["etag"] != two["etag"]
    now = user.call("GET", VERSION).json()
    assert (now["count"], now["etag"]) == (4, three["etag"])
    assert user.call("GET", at(version, ROOM, "s/1")).json() == session(1)
    in_room = {"s/1": session(1), "s2": session(2), "s3": session(3)}
    assert user.call("GET", at(version, ROOM)).json() == {"sessions": in_room}
    assert user.call("GET", at(version)).json() == {"rooms": {ROOM: {"sessions": in_room}, "!b:x": {"sessions": {"s1": session(4)}}}}
    user.call("GET", at(version, ROOM, "none"), errcode="M_NOT_FOUND", status=404)
    assert user.call("GET", at(version, "!none:x")).json() == {"sessions": {}}
    user2.call("GET", at(version), errcode="M_NOT_FOUND", status=404)
    gone = user.call("DELETE", at(version, ROOM, "s2")).json()
    assert gone["count"] == 3 and gone["etag"] != three["etag"]
    assert user.call("DELETE", at(version, ROOM, "s2")).json() == gone, "nothing changed"
    assert user.call("DELETE", at(version, ROOM))["count"] == 1
    assert user.call("DELETE", at(version))["count"] == 0
    assert user.call("GET", at(version)).json() == {"rooms": {}}


def test_key_backup_011_the_better_key_stays(user):
    """CS-API: verified before unverified, then the lower first_message_index, then the lower forwarded_count, then the old one."""
    version = make(user)

    def put(key):
        etag = user.call("GET", VERSION)["etag"]
        answer = user.call("PUT", at(version, ROOM, "s"), key).json()
        kept = user.call("GET", at(version, ROOM, "s")).json()
        assert (answer["etag"] != etag) == (kept == key), "the etag moves with the keys"
        assert answer["count"] == 1
        return kept == key
    assert put(session(5, 5, False, "a"))
    assert not put(session(5, 5, False, "b"))
    assert not put(session(5, 6, False, "c"))
    assert not put(session(6, 0, False, "d"))
    assert put(session(5, 4, False, "e"))
    assert put(session(4, 9, False, "f"))
    assert put(session(9, 9, True, "g"))
    assert not put(session(0, 0, False, "h"))
    assert put(session(9, 8, True, "i"))


def test_key_backup_012_only_the_current_version_takes_keys(user):
    user.call("PUT", at("1", ROOM, "s"), session(), errcode="M_NOT_FOUND", status=404)
    old = make(user)
    user.call("PUT", at(old, ROOM, "s"), session())
    new = make(user)
    for target, body in ((at(old), {"rooms": {ROOM: {"sessions": {"t": session()}}}}), (at(old, ROOM), {"sessions": {"t": session()}}),
                         (at(old, ROOM, "t"), session())):
        error = user.call("PUT", target, body, errcode="M_WRONG_ROOM_KEYS_VERSION", status=403).json()
        assert error["current_version"] == new
    user.call("PUT", at("99", ROOM, "s"), session(), errcode="M_NOT_FOUND", status=404)
    assert user.call("GET", at(old, ROOM)).json() == {"sessions": {"s": session()}}
    assert user.call("GET", at(new, ROOM)).json() == {"sessions": {}}
    user.call("DELETE", f"{VERSION}/{new}")
    user.call("PUT", at(old, ROOM, "t"), session())
    assert user.call("GET", VERSION)["count"] == 2


@pytest.mark.parametrize("change, errcode", [
    ({"first_message_index": -1}, "M_BAD_JSON"), ({"first_message_index": "1"}, "M_BAD_JSON"), ({"first_message_index": 1.5}, "M_BAD_JSON"),
    ({"forwarded_count": None}, "M_BAD_JSON"), ({"is_verified": 1}, "M_BAD_JSON"), ({"session_data": "text"}, "M_BAD_JSON"),
    ({"first_message_index": 2 ** 60}, "M_BAD_JSON"), ("first_message_index", "M_MISSING_PARAM"), ("session_data", "M_MISSING_PARAM")])
def test_key_backup_013_one_bad_key_refuses_all(user, change, errcode):
    version = make(user)
    bad = {k: v for k, v in session().items() if k != change} if isinstance(change, str) else {**session(), **change}
    user.call("PUT", at(version, ROOM, "s"), bad, errcode=errcode, status=400)
    user.call("PUT", at(version, ROOM), {"sessions": {"a": session(), "b": bad}}, errcode=errcode, status=400)
    user.call("PUT", at(version), {"rooms": {"a": {"sessions": {"a": session()}}, "b": {"sessions": {"b": bad}}}}, errcode=errcode, status=400)
    assert user.call("GET", VERSION)["count"] == 0


def test_key_backup_014_other_bodies_that_are_none(user):
    version = make(user)
    user.call("PUT", at(version), {}, errcode="M_MISSING_PARAM", status=400)
    user.call("PUT", at(version), {"rooms": []}, errcode="M_BAD_JSON", status=400)
    user.call("PUT", at(version, ROOM), {}, errcode="M_MISSING_PARAM", status=400)
    user.call("PUT", at(version, ROOM), {"sessions": {"s": 1}}, errcode="M_BAD_JSON", status=400)
    user.call("PUT", at(version, ROOM, "s" * 256), session(), errcode="M_INVALID_PARAM", status=400)
    for method in ("GET", "PUT", "DELETE"):
        user.call(method, f"{KEYS}/{quote(ROOM)}/s", session(), errcode="M_MISSING_PARAM", status=400)
    for method in ("GET", "DELETE"):
        for path in (at("99"), at("99", ROOM), at("99", ROOM, "s")):
            user.call(method, path, errcode="M_NOT_FOUND", status=404)


def test_key_backup_015_several_clients_write_at_once(make_server):
    server = make_server("--children", "3")
    user = server.register()
    version = make(user)

    def work(n):
        for i in range(20):
            user.call("PUT", at(version, ROOM), {"sessions": {f"own{n}-{i}": session(), "all": session(1000 - 20 * i - n)}})
    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = user.call("GET", at(version, ROOM))["sessions"]
    assert len(kept) == 121 and user.call("GET", VERSION)["count"] == 121
    assert kept["all"]["first_message_index"] == 1000 - 20 * 19 - 5


def test_key_backup_016_the_end_of_an_account_is_the_end_of_its_backups(server, user):
    version = make(user)
    user.call("PUT", at(version, ROOM, "s"), session())
    nid = server.sql(f"select user_nid from mxid where mxid = '{user.user_id}'")[0][0]
    with_password(user, "POST", f"{V3}/account/deactivate")
    assert server.sql(f"select count(*) from backup_version where user_nid = {nid}") == [["0"]]
    assert server.sql(f"select count(*) from backup_key where user_nid = {nid}") == [["0"]]
