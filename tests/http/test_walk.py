# SPDX-License-Identifier: Apache-2.0
"""The walk: a first Matrix conversation the way a beginner's tutorial of 2018 does it with curl (r0 paths, the token in the
query), and the same with today's paths and the token in the header."""
import itertools
import json
import urllib.parse

import pytest

WAYS = [("r0", "query"), ("r0", "header"), ("v3", "query"), ("v3", "header")]
_number = itertools.count()


class Person:
    """curl with a memory for one token."""

    def __init__(self, server, version, way):
        self.server, self.base, self.way = server, f"/_matrix/client/{version}", way
        self.token = None

    def curl(self, method, path, body=None, status=200):
        headers = {}
        if self.token and self.way == "query":
            path += ("&" if "?" in path else "?") + "access_token=" + self.token
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        # as `curl -d` would: no Content-Type of JSON
        if data:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self.server.request(method, self.base + path, data, headers)
        assert answer.status_code == status, answer
        return answer.json()

    def register(self, name):
        asked = self.curl("POST", "/register", {"username": name, "password": "wordpass123"}, status=401)
        assert any("m.login.dummy" in flow["stages"] for flow in asked["flows"]) and isinstance(asked["params"], dict)
        got = self.curl("POST", "/register", {"username": name, "password": "wordpass123",
                                              "auth": {"type": "m.login.dummy", "session": asked["session"]}})
        assert got["user_id"] == f"@{name}:{self.server.server_name}" and got["home_server"] == self.server.server_name
        assert got["device_id"]
        self.token, self.user_id = got["access_token"], got["user_id"]

    def login(self, name):
        self.token = None
        assert {"type": "m.login.password"} in [{"type": f["type"]} for f in self.curl("GET", "/login")["flows"]]
        got = self.curl("POST", "/login", {"type": "m.login.password", "user": name, "password": "wordpass123"})
        assert got["user_id"] == self.user_id and got["home_server"] == self.server.server_name
        self.token = got["access_token"]


def quoted(text):
    return urllib.parse.quote(text, safe="")


@pytest.mark.parametrize("version, way", WAYS)
def test_walk_001_two_people_talk(server, version, way):
    n = next(_number)
    alice, bob = Person(server, version, way), Person(server, version, way)
    alice.register(f"alice-{version}-{way}-{n}")
    bob.register(f"bob-{version}-{way}-{n}")
    alice.login(f"alice-{version}-{way}-{n}")

    alias = f"walk-{version}-{way}-{n}"
    room = alice.curl("POST", "/createRoom", {"room_alias_name": alias})["room_id"]
    sent = alice.curl("PUT", f"/rooms/{quoted(room)}/send/m.room.message/1", {"msgtype": "m.text", "body": "hello"})
    assert sent["event_id"].startswith("$")

    # state: a type and a key of our own, put, read, replaced, read; and with the empty key, with and without the last slash
    path = f"/rooms/{quoted(room)}/state/tld.project.foo/bar"
    for content in ({"baz": "qux"}, {"baz": "quux", "n": [1, {"deep": None}]}):
        alice.curl("PUT", path, content)
        assert alice.curl("GET", path) == content
    alice.curl("PUT", f"/rooms/{quoted(room)}/state/m.room.name", {"name": "Walk"})
    assert alice.curl("GET", f"/rooms/{quoted(room)}/state/m.room.name/") == {"name": "Walk"}
    alice.curl("PUT", f"/rooms/{quoted(room)}/state/m.room.name/", {"name": "Walk on"})
    assert alice.curl("GET", f"/rooms/{quoted(room)}/state/m.room.name") == {"name": "Walk on"}
    kinds = {(e["type"], e["state_key"]) for e in alice.curl("GET", f"/rooms/{quoted(room)}/state")}
    assert {("m.room.create", ""), ("m.room.member", alice.user_id), ("m.room.power_levels", ""), ("tld.project.foo", "bar")} <= kinds

    # the first sync, before the invite
    first = bob.curl("GET", "/sync")
    assert room not in first.get("rooms", {}).get("join", {})
    alice.curl("POST", f"/rooms/{quoted(room)}/invite", {"user_id": bob.user_id})
    invited = bob.curl("GET", f"/sync?since={first['next_batch']}")
    stripped = {(e["type"], e["state_key"]) for e in invited["rooms"]["invite"][room]["invite_state"]["events"]}
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", bob.user_id)} <= stripped
    assert bob.curl("POST", f"/join/{quoted('#' + alias + ':' + server.server_name)}", {})["room_id"] == room

    joined = bob.curl("GET", f"/sync?since={invited['next_batch']}")["rooms"]["join"][room]
    told = joined["state"]["events"] + joined["timeline"]["events"]
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", bob.user_id)} <= {(e["type"], e.get("state_key")) for e in told}

    # they talk; each sees both lines, once, in order, by sync
    since = {p: p.curl("GET", "/sync")["next_batch"] for p in (alice, bob)}
    for i, (who, text) in enumerate([(alice, "one"), (bob, "two"), (alice, "three")]):
        who.curl("PUT", f"/rooms/{quoted(room)}/send/m.room.message/talk{i}", {"msgtype": "m.text", "body": text})
    for person in (alice, bob):
        timeline = person.curl("GET", f"/sync?since={since[person]}")["rooms"]["join"][room]["timeline"]
        assert [e["content"]["body"] for e in timeline["events"]] == ["one", "two", "three"] and not timeline.get("limited")

    # back through history to the room's creation
    page = bob.curl("GET", f"/rooms/{quoted(room)}/messages?dir=b&limit=3")
    assert [e["content"].get("body") for e in page["chunk"]] == ["three", "two", "one"]
    types = []
    while page["chunk"]:
        types += [e["type"] for e in page["chunk"]]
        if "end" not in page:
            break
        page = bob.curl("GET", f"/rooms/{quoted(room)}/messages?dir=b&limit=3&from={page['end']}")
    assert types[-1] == "m.room.create" and types.count("m.room.create") == 1
    assert len(bob.curl("GET", f"/rooms/{quoted(room)}/joined_members")["joined"]) == 2
    alice.curl("POST", "/logout", {})
    alice.curl("GET", "/account/whoami", status=401)


def test_walk_002_the_same_transaction_id_is_the_same_event(server, user):
    room = user.create_room()
    first = user.send(room, "once", txn="t")
    assert user.send(room, "once", txn="t") == first
    bodies = [e["content"] for e in user.sync()["rooms"]["join"][room]["timeline"]["events"] if e["type"] == "m.room.message"]
    assert len(bodies) == 1
