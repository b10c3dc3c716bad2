# SPDX-License-Identifier: Apache-2.0
# CS-API: push rules API
import os
import time

import pytest

BASE = "/_matrix/client/v3/pushrules"
RULE = {"actions": ["notify"], "pattern": "cake"}


def ids(user, kind):
    return [r["rule_id"] for r in user.call("GET", f"{BASE}/global/").json()[kind]]


def test_pushrules_001_predefined_rules_are_all_there(user):
    rules = user.call("GET", f"{BASE}/").json()["global"]
    assert [r["rule_id"] for r in rules["override"]][:3] == [".m.rule.master", ".m.rule.suppress_notices", ".m.rule.invite_for_me"]
    assert rules["override"][0]["enabled"] is False
    assert rules["override"][2]["conditions"][2]["pattern"] == user.user_id
    assert [r["rule_id"] for r in rules["underride"]][-1] == ".m.rule.encrypted"
    assert rules["content"] == rules["room"] == rules["sender"] == []


def test_pushrules_002_own_rules_come_and_go_in_order(user):
    user.call("PUT", f"{BASE}/global/content/one", RULE)
    user.call("PUT", f"{BASE}/global/content/two", RULE)
    user.call("PUT", f"{BASE}/global/content/three?after=two", RULE)
    user.call("PUT", f"{BASE}/global/content/four?before=one", RULE)
    assert ids(user, "content") == ["two", "three", "four", "one"]
    assert user.call("GET", f"{BASE}/global/content/one").json() == {
        "rule_id": "one", "default": False, "enabled": True, "pattern": "cake", "actions": ["notify"]}
    user.call("DELETE", f"{BASE}/global/content/three")
    assert ids(user, "content") == ["two", "four", "one"]
    user.call("GET", f"{BASE}/global/content/three", status=404, errcode="M_NOT_FOUND")


def test_pushrules_003_own_override_stands_below_master_only(user):
    user.call("PUT", f"{BASE}/global/override/mine", {"actions": [], "conditions": [{"kind": "event_match", "key": "type", "pattern": "x"}]})
    assert ids(user, "override")[:3] == [".m.rule.master", "mine", ".m.rule.suppress_notices"]


def test_pushrules_004_predefined_rules_can_be_switched_and_given_actions(user):
    path = f"{BASE}/global/underride/.m.rule.message"
    user.call("PUT", f"{path}/enabled", {"enabled": False})
    user.call("PUT", f"{path}/actions", {"actions": []})
    assert user.call("GET", f"{path}/enabled").json() == {"enabled": False}
    assert user.call("GET", f"{path}/actions").json() == {"actions": []}


def test_pushrules_005_a_change_is_told_by_sync(user):
    since = user.call("GET", "/_matrix/client/v3/sync").json()["next_batch"]
    user.call("PUT", f"{BASE}/global/content/one", RULE)
    told = user.call("GET", f"/_matrix/client/v3/sync?since={since}").json()["account_data"]["events"]
    assert [e["type"] for e in told] == ["m.push_rules"]
    assert told[0]["content"]["global"]["content"][0]["rule_id"] == "one"


@pytest.mark.parametrize("method, path, body, status, errcode", [
    ("PUT", "/global/nothing/x", RULE, 400, "M_INVALID_PARAM"),
    ("PUT", "/global/content/.x", RULE, 400, "M_INVALID_PARAM"),
    ("PUT", "/global/content/a%2Fb", RULE, 400, "M_INVALID_PARAM"),
    ("PUT", "/global/content/x", {"pattern": "cake"}, 400, "M_MISSING_PARAM"),
    ("PUT", "/global/content/x", {"actions": []}, 400, "M_MISSING_PARAM"),
    ("PUT", "/global/content/x", {"actions": [7], "pattern": "cake"}, 400, "M_BAD_JSON"),
    ("PUT", "/global/override/x", {"actions": [], "conditions": [{}]}, 400, "M_BAD_JSON"),
    ("PUT", "/global/content/x?before=nobody", RULE, 404, "M_NOT_FOUND"),
    ("PUT", "/global/override/x?after=.m.rule.reaction", {"actions": []}, 400, "M_INVALID_PARAM"),
    ("GET", "/global/content/x", None, 404, "M_NOT_FOUND"),
    ("DELETE", "/global/content/x", None, 404, "M_NOT_FOUND"),
    ("DELETE", "/global/override/.m.rule.master", None, 400, "M_INVALID_PARAM"),
    ("GET", "/global/content/x/enabled", None, 404, "M_NOT_FOUND"),
    ("PUT", "/global/content/x/enabled", {"enabled": True}, 404, "M_NOT_FOUND"),
    ("PUT", "/global/override/.m.rule.master/enabled", {}, 400, "M_MISSING_PARAM"),
    ("PUT", "/global/override/.m.rule.master/enabled", {"enabled": 1}, 400, "M_BAD_JSON"),
    ("GET", "/global/content/x/actions", None, 404, "M_NOT_FOUND"),
    ("PUT", "/global/override/.m.rule.master/actions", {}, 400, "M_MISSING_PARAM"),
    ("PUT", "/global/override/.m.rule.master/actions", {"actions": {}}, 400, "M_BAD_JSON"),
])
def test_pushrules_006_bad_requests(user, method, path, body, status, errcode):
    user.call(method, BASE + path, body, status=status, errcode=errcode)
    assert ids(user, "content") == []


# 1,000 by default. Bad input: 10,000 push rules, `*a*a*a*` globs on long texts
def test_pushrules_020_a_user_has_so_many_rules_and_they_are_asked_in_time(user, user2):
    pattern = "*a*a*a*a*a*a*a*a*a*a*b"
    free = 1000 - sum(len(v) for v in user.call("GET", f"{BASE}/global/").json().values())
    for i in range(free):
        user.call("PUT", f"{BASE}/global/content/r{i}", {"pattern": f"{pattern}{i}c", "actions": ["notify"]})
    for kind in ("content", "room", "override"):
        user.call("PUT", f"{BASE}/global/{kind}/more", {**RULE, "conditions": []}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", f"{BASE}/global/content/r7", RULE)
    assert len(ids(user, "content")) == free
    room = user2.create_room(preset="public_chat")
    user.join(room)
    since = user.sync()["next_batch"]
    for _ in range(3):
        user2.send(room, "a" * 60000)
    began = time.monotonic()
    joined = user.sync(since)["rooms"]["join"][room]
    assert time.monotonic() - began < (30 if os.environ.get("MX_BUILD") == "asan" else 3)
    assert joined["unread_notifications"] == {"highlight_count": 0, "notification_count": 3}


def test_pushrules_021_the_directive_says_how_many(make_server):
    server = make_server("--conf-line", "MatrixMaxPushRules 50")
    user = server.register()
    for i in range(50 - sum(len(v) for v in user.call("GET", f"{BASE}/global/").json().values())):
        user.call("PUT", f"{BASE}/global/room/!r{i}:x", {"actions": []})
    user.call("PUT", f"{BASE}/global/room/!more:x", {"actions": []}, status=400, errcode="M_INVALID_PARAM")
    user.call("DELETE", f"{BASE}/global/room/!r0:x")
    user.call("PUT", f"{BASE}/global/room/!more:x", {"actions": []})
