# SPDX-License-Identifier: Apache-2.0
"""CS-API: presence: GET and PUT /presence/{userId}/status; set_presence and `presence` of GET /sync."""
import json
import time

import pytest

from harness import V3, quote
from sliding_calls import PATH as SLIDING

ACTIVE, IDLE, OFFLINE = 2, 5, 1       # seconds, of the server below


@pytest.fixture(scope="module")
def home(make_module_server):
    """Where time runs fast."""
    lines = [f"MatrixPresenceActive {ACTIVE}s", f"MatrixPresenceIdle {IDLE}s", f"MatrixPresenceOffline {OFFLINE}s", "MatrixPresence on",
             "MatrixPresenceInterval 500ms", "MatrixPresenceMaxMembers 3"]
    return make_module_server("--children", "2", *[part for line in lines for part in ("--conf-line", line)], name="presence")


@pytest.fixture
def alice(home):
    return home.register()


@pytest.fixture
def bob(home):
    return home.register()


@pytest.fixture
def room(alice, bob):
    room_id = alice.create_room(preset="public_chat")
    bob.join(room_id)
    return room_id


def place(user):
    return f"{V3}/presence/{quote(user.user_id)}/status"


def put(user, presence, **more):
    user.call("PUT", place(user), {"presence": presence, **more})


def status(reader, user):
    return reader.call("GET", place(user)).json()


def told(answer, user):
    """What an answer of /sync says of a user."""
    events = [e for e in answer.get("presence", {"events": []})["events"] if e["sender"] == user.user_id]
    assert len(events) <= 1 and all(e["type"] == "m.presence" for e in events)
    return events[0]["content"] if events else None


def wait_until_told(reader, since, user, wanted, seconds=10, **query):
    """Follows the stream, unseen, until it says that of the user; what came before, and where it was."""
    seen, end = [], time.time() + seconds
    while time.time() < end:
        answer = reader.sync(since, 3000, set_presence="offline", **query)
        since, content = answer["next_batch"], told(answer, user)
        if content:
            seen.append(content)
            if all(content.get(key) == value for key, value in wanted.items()):
                return seen, since
    raise AssertionError(f"{wanted} was not told within {seconds} s, but {seen}")


def quiet(user):
    """A token of now, without being seen."""
    return user.sync(set_presence="offline")["next_batch"]


# ---------------------------------------------------------------------- who may, and bad input
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("prefix", ["/_matrix/client/r0", "/_matrix/client/v3"])
def test_presence_001_needs_a_token(home, alice, method, prefix):
    target = f"{prefix}/presence/{quote(alice.user_id)}/status"
    body = {"presence": "online"} if method == "PUT" else None
    home.call(method, target, body, status=401, errcode="M_MISSING_TOKEN")
    home.call(method, target, body, token="nonsense", status=401, errcode="M_UNKNOWN_TOKEN")
    alice.call(method, target, body)


def test_presence_002_nobody_sets_that_of_another(alice, bob, room):
    alice.call("PUT", place(bob), {"presence": "online"}, status=403, errcode="M_FORBIDDEN")
    assert status(alice, bob)["presence"] == "offline"


@pytest.mark.parametrize("body, errcode", [
    ({}, "M_MISSING_PARAM"), ({"presence": 1}, "M_BAD_JSON"), ({"presence": None}, "M_BAD_JSON"), ({"presence": "here"}, "M_INVALID_PARAM"),
    ({"presence": "Online"}, "M_INVALID_PARAM"), ({"presence": ""}, "M_INVALID_PARAM"), ({"presence": "online", "status_msg": 1}, "M_BAD_JSON"),
    ({"presence": "online", "status_msg": []}, "M_BAD_JSON"), ({"presence": "online", "status_msg": "x" * 1025}, "M_INVALID_PARAM"),
])
def test_presence_003_bad_bodies_store_nothing(alice, body, errcode):
    alice.call("PUT", place(alice), body, status=400, errcode=errcode)
    assert status(alice, alice) == {"presence": "offline"}


def test_presence_004_a_user_id_has_a_form(alice):
    for method, body in (("GET", None), ("PUT", {"presence": "online"})):
        alice.call(method, f"{V3}/presence/nobody/status", body, status=400, errcode="M_INVALID_PARAM")
    alice.call("PUT", place(alice), data="{", status=400, errcode="M_NOT_JSON")
    alice.call("PUT", place(alice), data="[]", status=400, errcode="M_BAD_JSON")


def test_presence_005_only_those_who_share_a_room_may_look(home, alice, bob):
    put(bob, "online")
    alice.call("GET", place(bob), status=403, errcode="M_FORBIDDEN")
    alice.call("GET", f"{V3}/presence/{quote('@nobody-of-that-name:' + home.server_name)}/status", status=404, errcode="M_NOT_FOUND")
    room_id = alice.create_room(preset="public_chat")
    bob.join(room_id)
    assert status(alice, bob)["presence"] == "online"
    bob.leave(room_id)
    alice.call("GET", place(bob), status=403, errcode="M_FORBIDDEN")


# ---------------------------------------------------------------------- what is set
def test_presence_010_one_who_was_never_seen_is_offline(alice):
    assert status(alice, alice) == {"presence": "offline"}


def test_presence_011_what_is_set_can_be_read(alice, bob, room):
    put(bob, "online", status_msg="I am here. 🌍")
    answer = status(alice, bob)
    ago = answer.pop("last_active_ago")
    assert answer == {"presence": "online", "currently_active": True, "status_msg": "I am here. 🌍"} and 0 <= ago < 5000
    put(bob, "unavailable")
    answer = status(alice, bob)
    assert answer["presence"] == "unavailable" and "status_msg" not in answer and "currently_active" not in answer
    put(bob, "offline")
    assert status(alice, bob)["presence"] == "offline"


def test_presence_012_a_status_of_1024_bytes_is_kept(alice):
    put(alice, "online", status_msg="x" * 1024)
    assert status(alice, alice)["status_msg"] == "x" * 1024


# ---------------------------------------------------------------------- who syncs is online
def test_presence_020_a_sync_makes_online(alice, bob, room):
    since = quiet(alice)
    bob.sync()
    seen, _ = wait_until_told(alice, since, bob, {"presence": "online"})
    assert seen[0]["currently_active"] is True and seen[0]["last_active_ago"] < 5000
    assert status(alice, bob)["presence"] == "online"


def test_presence_021_set_presence_says_otherwise(alice, bob, room):
    since = quiet(alice)
    bob.sync(set_presence="offline")
    assert told(alice.sync(since, 500, set_presence="offline"), bob) is None
    assert status(alice, bob) == {"presence": "offline"}
    bob.sync(set_presence="unavailable")
    wait_until_told(alice, since, bob, {"presence": "unavailable"})
    bob.call("GET", f"{V3}/sync?set_presence=asleep", status=400, errcode="M_INVALID_PARAM")


def test_presence_041_set_presence_of_sliding_sync_says_the_same(alice, bob, room):
    since = quiet(alice)
    bob.call("POST", SLIDING, {"set_presence": "offline"})
    assert told(alice.sync(since, 500, set_presence="offline"), bob) is None
    bob.call("POST", SLIDING, {"set_presence": "unavailable"})
    wait_until_told(alice, since, bob, {"presence": "unavailable"})
    bob.call("POST", SLIDING, {})
    assert status(alice, bob)["presence"] == "online"


def test_presence_022_who_syncs_no_more_goes_offline(alice, bob, room):
    since = quiet(alice)
    bob.sync()
    _, since = wait_until_told(alice, since, bob, {"presence": "online"})
    wait_until_told(alice, since, bob, {"presence": "offline"}, OFFLINE + 6)
    assert status(alice, bob)["presence"] == "offline"


def test_presence_023_who_goes_offline_is_so_without_anybody_waiting(alice, bob, room):
    bob.sync()
    assert status(alice, bob)["presence"] == "online"
    time.sleep(OFFLINE * 4 / 3 + 1.5)
    assert status(alice, bob)["presence"] == "offline"


def test_presence_024_a_poll_that_waits_keeps_online_and_time_makes_idle(alice, bob, room):
    since = quiet(alice)
    token = bob.sync(filter=json.dumps({"presence": {"types": []}}))["next_batch"]
    seen, end = [], time.time() + IDLE + ACTIVE + 2
    while time.time() < end and (not seen or seen[-1]["presence"] != "unavailable"):
        # its poll waits longer than it takes to go offline
        token = bob.sync(token, int(OFFLINE * 2500), filter=json.dumps({"presence": {"types": []}}))["next_batch"]
        answer = alice.sync(since, set_presence="offline")
        since = answer["next_batch"]
        if told(answer, bob):
            seen.append(told(answer, bob))
    assert [c["presence"] for c in seen][-1] == "unavailable" and "offline" not in [c["presence"] for c in seen]
    assert seen[-1]["last_active_ago"] >= IDLE * 1000


def test_presence_025_activity_makes_online_again(alice, bob, room):
    since = quiet(alice)
    bob.sync(set_presence="unavailable")
    _, since = wait_until_told(alice, since, bob, {"presence": "unavailable"})
    token = bob.sync(set_presence="unavailable")["next_batch"]
    # CS-API: idle timeout: "any activity that bumps the last active time … will cause the server to automatically set their presence to online"
    bob.send(room)
    for _ in range(3):      # a poll that waits has somebody look after presence
        token = bob.sync(token, 700, set_presence="offline")["next_batch"]
    seen, _ = wait_until_told(alice, since, bob, {"presence": "online"})
    assert seen[-1]["currently_active"] is True


def test_presence_026_the_busiest_device_counts(home, alice, bob, room):
    other = home.login(bob.user_id)
    bob.sync(set_presence="unavailable")
    other.sync()
    assert status(alice, bob)["presence"] == "online"
    put(other, "offline")
    assert status(alice, bob)["presence"] == "unavailable"


# ---------------------------------------------------------------------- who is told
def test_presence_030_an_initial_sync_tells_who_is_there_and_oneself(alice, bob, room):
    bob.sync()
    answer = alice.sync()
    assert told(answer, bob)["presence"] == "online" and told(answer, alice)["presence"] == "online"
    put(bob, "offline")
    assert told(alice.sync(), bob) is None


def test_presence_031_strangers_are_not_told(alice, bob, home):
    since = quiet(alice)
    bob.sync()
    answer = alice.sync(since, 700, set_presence="offline")
    assert "presence" not in answer and told(alice.sync(), bob) is None


def test_presence_032_a_waiting_poll_is_woken_and_told_once(alice, bob, room):
    since = quiet(alice)
    alice.sync(since, 300, set_presence="offline")
    put(bob, "online", status_msg="one")
    seen, since = wait_until_told(alice, since, bob, {"status_msg": "one"})
    assert seen[-1]["presence"] == "online"
    assert told(alice.sync(since, set_presence="offline"), bob) is None
    # the same once more is no news
    put(bob, "online", status_msg="one")
    assert told(alice.sync(since, set_presence="offline"), bob) is None


def test_presence_033_many_changes_are_told_together(alice, bob, room):
    since = quiet(alice)
    for n in range(20):
        put(bob, "online", status_msg=f"mood {n}")
    answer = alice.sync(since, set_presence="offline")
    assert told(answer, bob)["status_msg"] == "mood 19"


def test_presence_034_one_who_comes_is_told_and_told_of(alice, bob):
    room_id = alice.create_room(preset="public_chat")
    bob.sync()
    put(bob, "online")
    put(alice, "online")
    since, his = quiet(alice), quiet(bob)
    bob.join(room_id)
    answer = alice.sync(since, set_presence="offline")
    assert told(answer, bob)["presence"] == "online"
    assert told(bob.sync(his, set_presence="offline"), alice)["presence"] == "online"


def test_presence_035_a_filter_is_heard(alice, bob, room):
    bob.sync()
    for filter in ({"presence": {"types": []}}, {"presence": {"not_types": ["m.*"]}}, {"presence": {"not_senders": [bob.user_id]}},
                   {"presence": {"senders": [alice.user_id]}}, {"presence": {"limit": 0}}):
        assert told(alice.sync(filter=json.dumps(filter)), bob) is None, filter
    assert told(alice.sync(filter=json.dumps({"presence": {"senders": [bob.user_id]}})), bob)
    since = quiet(alice)
    put(bob, "unavailable")
    answer = alice.sync(since, 700, filter=json.dumps({"presence": {"not_senders": [bob.user_id]}}), set_presence="offline")
    assert told(answer, bob) is None


def test_presence_036_who_is_ignored_is_not_told_of(alice, bob, room):
    alice.call("PUT", f"{V3}/user/{quote(alice.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {bob.user_id: {}}})
    since = quiet(alice)
    bob.sync()
    assert told(alice.sync(since, 700, set_presence="offline"), bob) is None and told(alice.sync(), bob) is None


def test_presence_037_large_rooms_carry_none(home, alice, bob, room):
    """MatrixPresenceMaxMembers is 3 here."""
    others = [home.register() for _ in range(2)]
    for other in others:
        other.join(room)
    since = quiet(alice)
    bob.sync()
    assert told(alice.sync(since, 700, set_presence="offline"), bob) is None and told(alice.sync(), bob) is None
    assert status(alice, bob)["presence"] == "online"
    others[0].leave(room)
    put(bob, "unavailable")
    wait_until_told(alice, since, bob, {"presence": "unavailable"})


def test_presence_038_another_process_is_told(home, alice, bob, room):
    """Two children: whichever answers, and wherever the poll waits."""
    since = quiet(alice)
    for n, word in enumerate(("online", "unavailable") * 4):
        put(bob, word, status_msg=str(n))
        _, since = wait_until_told(alice, since, bob, {"presence": word, "status_msg": str(n)})


# ---------------------------------------------------------------------- off
def test_presence_040_it_can_be_switched_off(make_server):
    server = make_server("--conf-line", "MatrixPresence off")
    alice, bob = server.register(), server.register()
    bob.join(alice.create_room(preset="public_chat"))
    since = alice.sync()["next_batch"]
    put(bob, "online", status_msg="here")
    bob.sync()
    assert status(alice, bob) == {"presence": "offline"} == status(bob, bob)
    assert "presence" not in alice.sync(since, 300) and "presence" not in alice.sync()
    assert server.sql("select count(*) from presence") == [["0"]]
