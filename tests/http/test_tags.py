# SPDX-License-Identifier: Apache-2.0
"""CS-API: room tagging."""
import threading

import pytest

from harness import V3, quote


def place(user, room_id, tag=None):
    return f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room_id)}/tags" + (f"/{quote(tag)}" if tag is not None else "")


@pytest.fixture
def room(user):
    return user.create_room()


def test_tags_001_set_list_and_remove(user, room):
    assert user.call("GET", place(user, room)).json() == {"tags": {}}
    assert user.call("PUT", place(user, room, "m.favourite"), {"order": 0.1}).json() == {}
    user.call("PUT", place(user, room, "u.Wörk/%20"), {"x": {"y": [1]}})
    assert user.call("GET", place(user, room)).json() == {"tags": {"m.favourite": {"order": 0.1}, "u.Wörk/%20": {"x": {"y": [1]}}}}
    user.call("DELETE", place(user, room, "m.favourite"))
    user.call("DELETE", place(user, room, "m.favourite"))
    assert user.call("GET", place(user, room)).json() == {"tags": {"u.Wörk/%20": {"x": {"y": [1]}}}}


def test_tags_002_sync_tells_them_as_account_data(user, room):
    since = user.sync()["next_batch"]
    user.call("PUT", place(user, room, "u.a"), {})
    wanted = [{"type": "m.tag", "content": {"tags": {"u.a": {}}}}]
    assert user.sync(since, 2000)["rooms"]["join"][room]["account_data"]["events"] == wanted
    user.call("DELETE", place(user, room, "u.a"))
    assert user.sync(since)["rooms"]["join"][room]["account_data"]["events"] == [{"type": "m.tag", "content": {"tags": {}}}]


def test_tags_003_other_users_and_credentials(server, user, user2, room):
    for method, tag, body in (("GET", None, None), ("PUT", "u.a", {}), ("DELETE", "u.a", None)):
        user2.call(method, place(user, room, tag), body, status=403, errcode="M_FORBIDDEN")
        server.call(method, place(user, room, tag), body, status=401, errcode="M_MISSING_TOKEN")
        server.call(method, place(user, room, tag), body, token="x", status=401, errcode="M_UNKNOWN_TOKEN")
    assert user.call("GET", place(user, room)).json() == {"tags": {}}


@pytest.mark.parametrize("order", [-0.1, 1.1, 2, "0.5", None, {}])
def test_tags_004_an_order_is_a_number_from_0_to_1(user, room, order):
    user.call("PUT", place(user, room, "u.a"), {"order": order}, status=400, errcode="M_BAD_JSON")


def test_tags_005_bad_input(user, room):
    user.call("PUT", place(user, room, "x" * 256), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", place(user, room, ""), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", place(user, room, "u.a"), data="[]", status=400, errcode="M_BAD_JSON")
    user.call("PUT", place(user, room, "u.a"), data="{", status=400, errcode="M_NOT_JSON")
    user.call("PUT", place(user, "nowhere", "u.a"), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", place(user, "!nowhere:example.org", "u.a"), {}, status=404, errcode="M_NOT_FOUND")
    assert user.call("GET", place(user, room)).json() == {"tags": {}}


def test_tags_006_two_at_once_lose_none(user, room):
    threads = [threading.Thread(target=user.call, args=("PUT", place(user, room, f"u.{i}"), {})) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(user.call("GET", place(user, room)).json()["tags"]) == {f"u.{i}" for i in range(6)}
