# SPDX-License-Identifier: Apache-2.0
# MSC3814: dehydrated devices
import pytest
from accounts import with_password
from harness import V3, quote
from key_calls import Key, b64, bodies, changed, claim, query, to_device

BASE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
DATA = {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "x", "nonce": "y"}


def body(user, device_id="DRY", **change):
    key = Key(device_id)
    keys = key.sign(user.user_id, {"user_id": user.user_id, "device_id": device_id, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
                                   "keys": {key.id: key.public}, "dehydrated": True})
    one = {f"signed_curve25519:A{i}": key.sign(user.user_id, {"key": b64(b"%032d" % i)}) for i in range(2)}
    return {"device_id": device_id, "device_data": DATA, "initial_device_display_name": "Dry", "device_keys": keys, "one_time_keys": one,
            "fallback_keys": {"signed_curve25519:F": key.sign(user.user_id, {"key": b64(b"f" * 32), "fallback": True})}, **change}


def put(user, device_id="DRY"):
    made = body(user, device_id)
    assert user.call("PUT", BASE, made).json() == {"device_id": device_id}
    return made


def test_dehydrated_device_001_strangers_are_refused(server):
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/DRY/events"), ("POST", "/DRY/events")):
        server.call(method, BASE + path, {}, token=None, errcode="M_MISSING_TOKEN", status=401)
        server.call(method, BASE + path, {}, token="wrong", errcode="M_UNKNOWN_TOKEN", status=401)


def test_dehydrated_device_002_it_is_a_device_that_gets_keys_and_messages(user, user2):
    user.call("GET", BASE, errcode="M_NOT_FOUND", status=404)
    room = user.create_room(preset="public_chat")
    user2.join(room)
    at = user2.sync()["next_batch"]
    made = put(user)
    assert user.call("GET", BASE).json() == {"device_id": "DRY", "device_data": DATA}
    assert changed(user2.sync(at)) == {user.user_id}
    told = query(user2, user.user_id)["device_keys"][user.user_id]["DRY"]
    assert told == {**made["device_keys"], "unsigned": {"device_display_name": "Dry"}} and told["dehydrated"] is True
    got = [claim(user2, {user.user_id: {"DRY": "signed_curve25519"}})["one_time_keys"][user.user_id]["DRY"] for _ in range(3)]
    assert len({k for g in got for k in g}) == 3
    to_device(user2, {user.user_id: {"*": {"n": 1}}}, txn="1")
    to_device(user2, {user.user_id: {"DRY": {"n": 2}}}, txn="2")
    events = [{"sender": user2.user_id, "type": "m.test", "content": {"n": n}} for n in (1, 2)]
    assert user.call("GET", f"{BASE}/DRY/events").json() == {"events": events}
    page = user.call("GET", f"{BASE}/DRY/events?limit=1").json()
    assert page["events"] == events[:1]
    assert user.call("GET", f"{BASE}/DRY/events?from={quote(page['next_batch'])}").json() == {"events": events[1:]}
    first = user.call("POST", f"{BASE}/DRY/events", {}).json()
    assert first["events"] == events
    assert user.call("POST", f"{BASE}/DRY/events", {"next_batch": first["next_batch"]})["events"] == []
    assert bodies(user.sync()) == [{"n": 1}], "the device that asks has messages of its own"
    for path in ("OTHER", user.device_id):
        user.call("GET", f"{BASE}/{path}/events", errcode="M_FORBIDDEN", status=403)
    user.call("GET", f"{BASE}/DRY/events?from=x", errcode="M_INVALID_PARAM", status=400)
    user.call("GET", f"{BASE}/DRY/events?limit=x", errcode="M_INVALID_PARAM", status=400)
    user.call("POST", f"{BASE}/DRY/events", {"next_batch": 1}, errcode="M_BAD_JSON", status=400)
    user2.call("GET", f"{BASE}/DRY/events", errcode="M_FORBIDDEN", status=403)
    user2.call("POST", f"{BASE}/DRY/events", {}, errcode="M_FORBIDDEN", status=403)


def test_dehydrated_device_003_a_new_one_takes_the_place_of_the_old(user, user2):
    put(user, "ONE")
    to_device(user2, {user.user_id: {"ONE": {"n": 1}}})
    put(user, "TWO")
    assert set(query(user2, user.user_id)["device_keys"][user.user_id]) == {"TWO"}
    assert user.call("GET", BASE)["device_id"] == "TWO"
    put(user, "TWO")
    assert user.call("GET", f"{BASE}/TWO/events").json() == {"events": []}
    assert {d["device_id"] for d in user.call("GET", f"{V3}/devices")["devices"]} == {user.device_id, "TWO"}


def test_dehydrated_device_004_deleting(user, user2):
    user.call("DELETE", BASE, errcode="M_NOT_FOUND", status=404)
    put(user)
    assert user.call("DELETE", BASE).json() == {"device_id": "DRY"}
    user.call("GET", BASE, errcode="M_NOT_FOUND", status=404)
    assert query(user2, user.user_id)["device_keys"] == {user.user_id: {}}
    put(user)
    with_password(user, "DELETE", f"{V3}/devices/DRY")
    user.call("GET", BASE, errcode="M_NOT_FOUND", status=404)


@pytest.mark.parametrize("change, errcode", [
    ({"device_id": 1}, "M_BAD_JSON"), ({"device_id": ""}, "M_INVALID_PARAM"), ({"device_id": "*"}, "M_INVALID_PARAM"),
    ({"device_id": "OTHER"}, "M_INVALID_PARAM"), ({"device_data": "x"}, "M_BAD_JSON"), ({"device_data": {}}, "M_BAD_JSON"),
    ({"device_keys": []}, "M_BAD_JSON"), ({"initial_device_display_name": 1}, "M_BAD_JSON"), ({"one_time_keys": {"nocolon": "x"}}, "M_INVALID_PARAM")])
def test_dehydrated_device_005_bodies_that_are_none(user, change, errcode):
    user.call("PUT", BASE, {**body(user), **change}, errcode=errcode, status=400)
    for missing in ("device_id", "device_data", "device_keys"):
        user.call("PUT", BASE, {k: v for k, v in body(user).items() if k != missing}, errcode="M_MISSING_PARAM", status=400)
    user.call("PUT", BASE, body(user, user.device_id), errcode="M_INVALID_PARAM", status=400)
    user.call("PUT", BASE, data="", errcode="M_NOT_JSON", status=400)
    user.call("GET", BASE, errcode="M_NOT_FOUND", status=404)
    assert {d["device_id"] for d in user.call("GET", f"{V3}/devices")["devices"]} == {user.device_id}


def test_dehydrated_device_006_it_is_advertised(server):
    features = server.call("GET", "/_matrix/client/versions")["unstable_features"]
    assert features["org.matrix.msc3814"] is True and features["org.matrix.e2e_cross_signing"] is True


def test_dehydrated_device_007_it_goes_with_all_others(server, user):
    """MSC3814: deleting a dehydrated device: POST /delete_devices and POST /logout/all do, too."""
    put(user)
    with_password(user, "POST", f"{V3}/delete_devices", {"devices": ["DRY"]})
    user.call("GET", BASE, errcode="M_NOT_FOUND", status=404)
    put(user)
    user.call("POST", f"{V3}/logout/all", {})
    server.login(user.user_id).call("GET", BASE, errcode="M_NOT_FOUND", status=404)
