# SPDX-License-Identifier: Apache-2.0
"""Names with U+0000, which a careless server would see cut there, and bodies of unusual form, for every endpoint about keys."""
import pytest
from harness import V3
from key_calls import Device, bodies, query, upload
from test_key_backup import ROOM, at, make, session

NUL = "\u0000"


@pytest.mark.parametrize("method, path, body", [
    ("POST", "/keys/upload", {"one_time_keys": {"a:b": "x", f"a:b{NUL}": "y"}}),
    ("POST", "/keys/upload", {"fallback_keys": {f"a:b{NUL}": "y"}}),
    ("POST", "/keys/query", {"device_keys": {f"@a:b{NUL}": []}}),
    ("POST", "/keys/claim", {"one_time_keys": {f"@a:b{NUL}": {"D": "a"}}}),
    ("PUT", "/sendToDevice/m.test/1", {"messages": {"@a:b": {"D": {}, f"D{NUL}": {}}}}),
    ("POST", "/keys/signatures/upload", {"@a:b": {f"D{NUL}": {}}}),
])
def test_bad_input_keys_001_names_with_nul_are_refused(user, method, path, body):
    user.call(method, V3 + path, body, errcode="M_INVALID_PARAM", status=400)


def test_bad_input_keys_002_the_same_where_the_owner_matters(user, user2):
    keys = Device(user).keys()
    twice = {**keys["signatures"][user.user_id], f"ed25519:{user.device_id}{NUL}": "x"}
    upload(user, {"device_keys": {**keys, "signatures": {user.user_id: twice}}}, errcode="M_INVALID_PARAM", status=400)
    upload(user, {"device_keys": {**keys, "keys": {f"ed25519:{user.device_id}{NUL}": "x"}}}, errcode="M_INVALID_PARAM", status=400)
    messages = {user2.user_id: {user2.device_id: {"n": 1}}, f"{user2.user_id}{NUL}": {user2.device_id: {"n": 2}}}
    since = user2.sync()["next_batch"]
    user.call("PUT", f"{V3}/sendToDevice/m.test/1", {"messages": messages}, errcode="M_INVALID_PARAM", status=400)
    assert bodies(user2.sync(since)) == [] and query(user2, user.user_id)["device_keys"][user.user_id] == {}
    version = make(user)
    user.call("PUT", at(version, ROOM), {"sessions": {"s": session(), f"s{NUL}": session(1)}}, errcode="M_INVALID_PARAM", status=400)
    user.call("PUT", at(version), {"rooms": {f"r{NUL}": {"sessions": {}}}}, errcode="M_INVALID_PARAM", status=400)
    for value in (f"x{NUL}", [], 1, None, {}):
        upload(user, {"device_keys": {**keys, "user_id": value}}, errcode="M_INVALID_PARAM", status=400)


@pytest.mark.parametrize("path", ["/keys/upload", "/keys/query", "/keys/claim", "/keys/device_signing/upload", "/keys/signatures/upload",
                                  "/room_keys/version"])
def test_bad_input_keys_003_bodies_of_unusual_form(user, path):
    for data, errcode in (("[" * 5000 + "]" * 5000, None), ("{\"a\":" * 5000 + "1" + "}" * 5000, None), ("nul", "M_NOT_JSON"),
                          ("\"text\"", "M_BAD_JSON"), ("{\"a\":\"\\ud800\"}", None), (b"{\"a\":\"\xff\"}", None), ("null", "M_BAD_JSON")):
        reply = user.call("POST", V3 + path, data=data, status=None)
        assert reply.status_code == 400 and reply.json()["errcode"] in ((errcode,) if errcode else ("M_NOT_JSON", "M_BAD_JSON")), reply
    user.call("POST", V3 + path, data=b"{\"a\":\"" + b"x" * 10000000 + b"\"}", errcode="M_TOO_LARGE", status=413)


def test_bad_input_keys_004_a_token_of_another_user_acknowledges_nothing_of_ours(user, user2):
    """A position is no secret and no right: with another's token each is told of what is his own."""
    user.call("PUT", f"{V3}/sendToDevice/m.test/1", {"messages": {user2.user_id: {user2.device_id: {"n": 1}}}})
    token = user.sync()["next_batch"]
    user.sync(token)
    assert bodies(user2.sync()) == [{"n": 1}]
