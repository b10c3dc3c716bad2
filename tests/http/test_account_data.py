# SPDX-License-Identifier: Apache-2.0
"""CS-API: client config: account data, global and of a room."""
import pytest

from harness import V3, quote


def place(user, type="org.example.x", room_id=None, prefix=V3):
    room = f"/rooms/{quote(room_id)}" if room_id else ""
    return f"{prefix}/user/{quote(user.user_id)}{room}/account_data/{quote(type)}"


@pytest.fixture
def room(user):
    return user.create_room()


@pytest.mark.parametrize("prefix", ["/_matrix/client/r0", V3])
def test_account_data_001_comes_back_as_it_was_put(user, room, prefix):
    for room_id in (None, room):
        for content in ({"a": [1, 2.5, None, {"b": "\u2028\U0001F600"}]}, {}):
            assert user.call("PUT", place(user, room_id=room_id, prefix=prefix), content).json() == {}
            assert user.call("GET", place(user, room_id=room_id, prefix=prefix)).json() == content


def test_account_data_002_a_room_does_not_fall_back(user, room):
    user.call("PUT", place(user), {"a": 1})
    user.call("GET", place(user, room_id=room), status=404, errcode="M_NOT_FOUND")
    user.call("GET", place(user, "org.example.other"), status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("type", ["m.fully_read", "m.push_rules"])
def test_account_data_003_what_the_server_manages_is_refused(user, room, type):
    """CS-API: client config, server behaviour."""
    for room_id in (None, room):
        user.call("PUT", place(user, type, room_id), {}, status=405, errcode="M_BAD_JSON")


def test_account_data_004_other_users(user, user2, room):
    user.call("PUT", place(user), {"a": 1})
    for room_id in (None, room):
        user2.call("GET", place(user, room_id=room_id), status=403, errcode="M_FORBIDDEN")
        user2.call("PUT", place(user, room_id=room_id), {}, status=403, errcode="M_FORBIDDEN")


def test_account_data_005_no_and_wrong_credentials(server, user, room):
    for room_id in (None, room):
        for method, body in (("GET", None), ("PUT", {})):
            server.call(method, place(user, room_id=room_id), body, status=401, errcode="M_MISSING_TOKEN")
            server.call(method, place(user, room_id=room_id), body, token="x", status=401, errcode="M_UNKNOWN_TOKEN")


@pytest.mark.parametrize("body, errcode", [("", "M_NOT_JSON"), ("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), ("1", "M_BAD_JSON")])
def test_account_data_006_the_body_is_an_object(user, room, body, errcode):
    for room_id in (None, room):
        user.call("PUT", place(user, room_id=room_id), data=body, status=400, errcode=errcode)
        user.call("GET", place(user, room_id=room_id), status=404, errcode="M_NOT_FOUND")


def test_account_data_007_bad_ids(user):
    user.call("PUT", place(user, room_id="@notaroomid:example.org"), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("GET", place(user, room_id="@notaroomid:example.org"), status=400, errcode="M_INVALID_PARAM")
    user.call("GET", place(user, room_id="!nowhere:example.org"), status=404, errcode="M_NOT_FOUND")
    user.call("PUT", place(user, "x" * 256), {}, status=400, errcode="M_INVALID_PARAM")
    user.call("PUT", place(user, "x" * 255), {})


def test_account_data_008_push_rules_can_be_read(user):
    assert "override" in user.call("GET", place(user, "m.push_rules")).json()["global"]
