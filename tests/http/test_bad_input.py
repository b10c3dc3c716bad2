# SPDX-License-Identifier: Apache-2.0
"""Every endpoint of the walk with no token, a wrong token, as a stranger to the room, and with malformed bodies.

CS-API: standard error response, client authentication. One table; a new endpoint is one row."""
import json
import uuid

import pytest
import requests

M = "m.room.message"
TEXT = {"msgtype": "m.text", "body": "hi"}

# method, path, a good body (None: no body), who may call it: T token, R token and a room the user is in
ROWS = [
    ("GET", "/account/whoami", None, "T"),
    ("POST", "/account/password", {"new_password": "another password"}, "T"),
    ("POST", "/account/deactivate", {}, "T"),
    ("POST", "/logout", None, "T"),
    ("POST", "/logout/all", None, "T"),
    ("GET", "/devices", None, "T"),
    ("GET", "/devices/{device}", None, "T"),
    ("PUT", "/devices/{device}", {"display_name": "x"}, "T"),
    ("DELETE", "/devices/{device}", {}, "T"),
    ("POST", "/delete_devices", {"devices": []}, "T"),
    ("POST", "/createRoom", {}, "T"),
    ("GET", "/joined_rooms", None, "T"),
    ("POST", "/join/{room}", {}, "T"),
    ("POST", "/rooms/{room}/join", {}, "T"),
    ("POST", "/rooms/{room}/forget", None, "T"),
    ("GET", "/rooms/{room}/state", None, "R"),
    ("GET", "/rooms/{room}/state/m.room.create/", None, "R"),
    ("GET", "/rooms/{room}/state/m.room.create", None, "R"),
    ("PUT", "/rooms/{room}/state/tld.project.foo/bar", {"baz": "qux"}, "R"),
    ("PUT", "/rooms/{room}/state/tld.project.foo", {"baz": "qux"}, "R"),
    ("PUT", "/rooms/{room}/send/m.room.message/{txn}", TEXT, "R"),
    ("PUT", "/rooms/{room}/redact/{event}/{txn}", {}, "R"),
    ("GET", "/rooms/{room}/event/{event}", None, "R"),
    ("GET", "/rooms/{room}/messages?dir=b", None, "R"),
    ("GET", "/rooms/{room}/context/{event}", None, "R"),
    ("GET", "/rooms/{room}/members", None, "R"),
    ("GET", "/rooms/{room}/joined_members", None, "R"),
    ("GET", "/rooms/{room}/aliases", None, "R"),
    ("POST", "/rooms/{room}/invite", {"user_id": "{other}"}, "R"),
    ("POST", "/rooms/{room}/kick", {"user_id": "{other}"}, "R"),
    ("POST", "/rooms/{room}/ban", {"user_id": "{other}"}, "R"),
    ("POST", "/rooms/{room}/unban", {"user_id": "{other}"}, "R"),
    ("POST", "/rooms/{room}/leave", {}, "R"),
    ("PUT", "/rooms/{room}/typing/{me}", {"typing": True, "timeout": 1000}, "R"),
    ("POST", "/rooms/{room}/receipt/m.read/{event}", {}, "R"),
    ("POST", "/rooms/{room}/read_markers", {"m.fully_read": "{event}"}, "R"),
    ("PUT", "/directory/room/%23{txn}:{server}", {"room_id": "{room}"}, "T"),
    ("DELETE", "/directory/room/%23{txn}:{server}", None, "T"),
    ("PUT", "/directory/list/room/{room}", {"visibility": "private"}, "T"),
    ("POST", "/publicRooms", {}, "T"),
    ("PUT", "/profile/{me}/displayname", {"displayname": "x"}, "T"),
    ("PUT", "/profile/{me}/avatar_url", {"avatar_url": "mxc://a/b"}, "T"),
    ("GET", "/sync?timeout=0", None, "T"),
    ("POST", "/user/{me}/filter", {}, "T"),
    ("GET", "/user/{me}/filter/0", None, "T"),
    ("PUT", "/user/{me}/account_data/tld.x", {"a": 1}, "T"),
    ("GET", "/user/{me}/account_data/tld.x", None, "T"),
    ("PUT", "/user/{me}/rooms/{room}/account_data/tld.x", {"a": 1}, "T"),
    ("GET", "/user/{me}/rooms/{room}/account_data/tld.x", None, "T"),
    ("GET", "/user/{me}/rooms/{room}/tags", None, "T"),
    ("PUT", "/user/{me}/rooms/{room}/tags/m.favourite", {"order": 0.5}, "T"),
    ("DELETE", "/user/{me}/rooms/{room}/tags/m.favourite", None, "T"),
    ("GET", "/pushrules/", None, "T"),
    ("GET", "/pushrules/global/", None, "T"),
    ("PUT", "/pushrules/global/content/x", {"actions": [], "pattern": "x"}, "T"),
    ("GET", "/capabilities", None, "T"),
]
OPEN = [  # endpoints that need no token
    ("POST", "/register", {"username": "x", "password": "long enough", "auth": {"type": "m.login.dummy"}}),
    ("POST", "/login", {"type": "m.login.password", "user": "x", "password": "y"}),
    ("POST", "/refresh", {"refresh_token": "x"}),
]
PREFIXES = ["/_matrix/client/r0", "/_matrix/client/v3"]
ids = lambda rows: [f"{r[0]} {r[1]}" for r in rows]

# not JSON at all, or not in UTF-8, or with half of a surrogate pair
NOT_JSON = [b"{", b"", b"nonsense", b"{\"a\":1,}", b"{'a':1}", b"{\"a\":\"\xff\xfe\"}", b"{\"a\":\"\xed\xa0\x80\"}", b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\\udc00x\"}", b"{\"a\":01}", b"{\"a\":1}{}", b"{\"a\":NaN}", b"{\"a\":\"\n\"}"]
# JSON, but not what a request may hold
BAD_JSON = [b"[]", b"\"x\"", b"7", b"null", b"{\"a\":1,\"a\":2}", b"{\"a\":" + b"[" * 100000 + b"]" * 100000 + b"}"]


@pytest.fixture(scope="module")
def scene(server):
    """A user with a private room and a message in it, and another user who is a stranger there."""
    me, stranger = server.register(), server.register()
    room = me.call("POST", "/_matrix/client/v3/createRoom", {}).json()["room_id"]
    event = me.call("PUT", f"/_matrix/client/v3/rooms/{room}/send/{M}/first", TEXT).json()["event_id"]
    return {"me": me, "stranger": stranger, "room": room, "event": event, "server": server}


def fill(value, scene):
    if isinstance(value, dict):
        return {k: fill(v, scene) for k, v in value.items()}
    if not isinstance(value, str):
        return value
    words = {"{room}": scene["room"], "{event}": scene["event"], "{me}": scene["me"].user_id, "{other}": scene["stranger"].user_id,
             "{device}": scene["me"].device_id, "{txn}": uuid.uuid4().hex, "{server}": scene["server"].server_name}
    for word, replacement in words.items():
        value = value.replace(word, replacement)
    return value


def send(scene, method, path, body, token=None, prefix=PREFIXES[1]):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = body if isinstance(body, bytes) or body is None else json.dumps(fill(body, scene))
    return requests.request(method, scene["server"].base_url + prefix + fill(path, scene), data=data, headers=headers, timeout=30)


def refused(answer, status, errcode):
    assert answer.status_code == status, answer.text
    assert answer.json()["errcode"] == errcode, answer.text
    assert isinstance(answer.json()["error"], str) and answer.json()["error"]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("method, path, body, who", ROWS, ids=ids(ROWS))
def test_bad_input_001_no_token(scene, prefix, method, path, body, who):
    refused(send(scene, method, path, body, prefix=prefix), 401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("method, path, body, who", ROWS, ids=ids(ROWS))
def test_bad_input_002_wrong_token(scene, prefix, method, path, body, who):
    refused(send(scene, method, path, body, token="nobodys-token", prefix=prefix), 401, "M_UNKNOWN_TOKEN")


STRANGE = [r for r in ROWS if r[3] == "R"]


@pytest.mark.parametrize("method, path, body, who", STRANGE, ids=ids(STRANGE))
def test_bad_input_003_a_stranger_to_the_room(scene, method, path, body, who):
    answer = send(scene, method, path.replace("{me}", scene["stranger"].user_id), body, token=scene["stranger"].access_token)
    assert (answer.status_code, answer.json()["errcode"]) in [(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")], answer.text


@pytest.mark.parametrize("method, path, body, who", STRANGE, ids=ids(STRANGE))
def test_bad_input_004_a_room_that_does_not_exist(scene, method, path, body, who):
    answer = send({**scene, "room": "!nowhere:" + scene["server"].server_name}, method, path, body, token=scene["me"].access_token)
    assert (answer.status_code, answer.json()["errcode"]) in [(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")], answer.text


BODIES = [r for r in ROWS if r[2] is not None]


@pytest.mark.parametrize("method, path, body, who", BODIES, ids=ids(BODIES))
def test_bad_input_005_not_json(scene, method, path, body, who):
    for text in NOT_JSON:
        if text == b"" and (body == {} or "visibility" in body):
            continue   # an empty body stands for {} where nothing is required
        refused(send(scene, method, path, text, token=scene["me"].access_token), 400, "M_NOT_JSON")


@pytest.mark.parametrize("method, path, body, who", BODIES, ids=ids(BODIES))
def test_bad_input_006_json_but_no_request(scene, method, path, body, who):
    for text in BAD_JSON:
        refused(send(scene, method, path, text, token=scene["me"].access_token), 400, "M_BAD_JSON")


@pytest.mark.parametrize("method, path, body", OPEN, ids=ids(OPEN))
def test_bad_input_007_open_endpoints(scene, method, path, body):
    for text in NOT_JSON:
        refused(send(scene, method, path, text), 400, "M_NOT_JSON")
    for text in BAD_JSON:
        refused(send(scene, method, path, text), 400, "M_BAD_JSON")


@pytest.mark.parametrize("method, path, body, who", BODIES, ids=ids(BODIES))
def test_bad_input_008_too_large(scene, method, path, body, who):
    text = json.dumps({"a": "x" * (2 * 1024 * 1024)}).encode()
    refused(send(scene, method, path, text, token=scene["me"].access_token), 413, "M_TOO_LARGE")


@pytest.mark.parametrize("content", [b'{"a":1.5}', b'{"a":1e3}', b'{"a":9007199254740992}', b'{"a":-9007199254740992}', b'{"a":{"b":[0.1]}}'])
@pytest.mark.parametrize("path", ["/rooms/{room}/send/m.room.message/{txn}", "/rooms/{room}/state/tld.project.foo/x"])
def test_bad_input_009_numbers_that_canonical_json_refuses(scene, path, content):
    # Appendices: canonical JSON; Rooms v6 and on
    refused(send(scene, "PUT", path, content, token=scene["me"].access_token), 400, "M_BAD_JSON")


@pytest.mark.parametrize("path", ["/rooms/{room}/messages?dir=b&limit=-1", "/rooms/{room}/messages?dir=b&limit=x",
                                  "/rooms/{room}/messages?dir=x", "/rooms/{room}/messages?dir=b&from=nobodys",
                                  "/rooms/{room}/context/{event}?limit=-1", "/sync?since=nobodys", "/sync?since=s99999999999999",
                                  "/sync?since=s-1", "/sync?timeout=-1", "/sync?timeout=x", "/sync?full_state=perhaps",
                                  "/sync?filter=%7B%22room%22%3A7%7D", "/sync?filter=%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A-1%7D%7D%7D",
                                  "/publicRooms?limit=-1", "/publicRooms?since=nobodys", "/rooms/{room}/members?membership=strange"])
def test_bad_input_010_parameters_out_of_range(scene, path):
    answer = send(scene, "GET", path, None, token=scene["me"].access_token)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errcode"] in ("M_INVALID_PARAM", "M_BAD_JSON", "M_UNKNOWN_POS"), answer.text


def test_bad_input_011_nothing_of_all_this_was_stored(scene):
    since = scene["me"].call("GET", "/_matrix/client/v3/sync").json()
    timeline = since["rooms"]["join"][scene["room"]]["timeline"]["events"]
    assert [e["content"] for e in timeline if e["type"] == M] == [TEXT]
    assert "tld.project.foo" not in [e["type"] for e in timeline]
    assert scene["me"].call("GET", "/_matrix/client/v3/joined_rooms").json() == {"joined_rooms": [scene["room"]]}


WRONG_TYPES = [
    ("POST", "/createRoom", {"name": 7}), ("POST", "/createRoom", {"invite": "x"}), ("POST", "/createRoom", {"preset": 7}),
    ("POST", "/createRoom", {"initial_state": {}}), ("POST", "/createRoom", {"initial_state": [7]}), ("POST", "/createRoom", {"is_direct": "no"}),
    ("POST", "/createRoom", {"creation_content": []}), ("POST", "/createRoom", {"power_level_content_override": 1}),
    ("POST", "/createRoom", {"room_version": 12}), ("POST", "/rooms/{room}/invite", {"user_id": 7}),
    ("POST", "/rooms/{room}/invite", {"user_id": "{other}", "reason": 7}), ("POST", "/rooms/{room}/kick", {"user_id": []}),
    ("POST", "/rooms/{room}/join", {"reason": 7}), ("PUT", "/rooms/{room}/typing/{me}", {"typing": "yes"}),
    ("PUT", "/profile/{me}/displayname", {"displayname": 7}), ("POST", "/delete_devices", {"devices": "x"}),
    ("POST", "/user/{me}/filter", {"room": []}), ("POST", "/publicRooms", {"limit": "x"}), ("POST", "/publicRooms", {"filter": 7}),
    ("PUT", "/directory/list/room/{room}", {"visibility": 7}), ("PUT", "/devices/{device}", {"display_name": 7}),
]


@pytest.mark.parametrize("method, path, body", WRONG_TYPES, ids=[f"{r[0]} {r[1]} {json.dumps(r[2])}" for r in WRONG_TYPES])
def test_bad_input_012_wrong_types(scene, method, path, body):
    answer = send(scene, method, path, body, token=scene["me"].access_token)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errcode"] in ("M_BAD_JSON", "M_INVALID_PARAM"), answer.text
