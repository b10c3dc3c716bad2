# SPDX-License-Identifier: Apache-2.0
"""CS-API: fully read markers."""
import pytest

from harness import V3, quote


def place(room_id, prefix=V3):
    return f"{prefix}/rooms/{quote(room_id)}/read_markers"


@pytest.fixture
def room(user):
    return user.create_room(preset="public_chat")


@pytest.mark.parametrize("prefix", ["/_matrix/client/r0", V3])
def test_read_markers_001_all_three_at_once(user, user2, room, prefix):
    user2.join(room)
    one, two, three = [user.send(room, str(i)) for i in range(3)]
    since = user.sync()["next_batch"]
    assert user.call("POST", place(room, prefix), {"m.fully_read": one, "m.read": two, "m.read.private": three}).json() == {}
    told = user.sync(since)["rooms"]["join"][room]
    assert told["account_data"]["events"] == [{"type": "m.fully_read", "content": {"event_id": one}}]
    content = told["ephemeral"]["events"][0]["content"]
    assert list(content[two]["m.read"]) == [user.user_id] and list(content[three]["m.read.private"]) == [user.user_id]
    foreign = user2.sync(since)["rooms"]["join"][room]
    assert list(foreign["ephemeral"]["events"][0]["content"]) == [two] and foreign["account_data"]["events"] == []
    read = user.call("GET", f"{V3}/user/{quote(user.user_id)}/rooms/{quote(room)}/account_data/m.fully_read").json()
    assert read == {"event_id": one}


def test_read_markers_002_each_may_be_missing(user, room):
    user.call("POST", place(room), {})
    user.call("POST", place(room), {"m.read": user.send(room)})


def test_read_markers_003_one_bad_one_spoils_all(user, room):
    good, since = user.send(room), None
    since = user.sync()["next_batch"]
    elsewhere = user.send(user.create_room())
    for bad, status, errcode in (("$unknown:example.org", 404, "M_NOT_FOUND"), (elsewhere, 404, "M_NOT_FOUND"), ("x", 400, "M_INVALID_PARAM"), (1, 400, "M_BAD_JSON")):
        user.call("POST", place(room), {"m.fully_read": good, "m.read": bad}, status=status, errcode=errcode)
    assert room not in user.sync(since)["rooms"]["join"]


@pytest.mark.parametrize("body, errcode", [("", "M_NOT_JSON"), ("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON")])
def test_read_markers_004_bad_bodies(user, room, body, errcode):
    user.call("POST", place(room), data=body, status=400, errcode=errcode)


def test_read_markers_005_strangers_and_credentials(server, user, user2, room):
    body = {"m.fully_read": user.send(room)}
    user2.call("POST", place(room), body, status=403, errcode="M_FORBIDDEN")
    user.call("POST", place("nowhere"), body, status=400, errcode="M_INVALID_PARAM")
    server.call("POST", place(room), body, status=401, errcode="M_MISSING_TOKEN")
    server.call("POST", place(room), body, token="x", status=401, errcode="M_UNKNOWN_TOKEN")
