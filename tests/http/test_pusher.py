# SPDX-License-Identifier: Apache-2.0
# CS-API: push notifications: GET /pushers, POST /pushers/set. Push Gateway API: POST /_matrix/push/v1/notify
import contextlib
import os
import signal
import threading
import time

import pytest
from gateway import Gateway

from harness import PASSWORD, V3, quote

SECRET = "a text that no log may show"


@pytest.fixture
def gateway():
    gateway = Gateway()
    yield gateway
    gateway.close()


def pusher(gateway, key="key", **more):
    data = {"url": gateway if isinstance(gateway, str) else gateway.url, **more.pop("data", {})}
    return {"kind": "http", "app_id": "org.example.app", "pushkey": key, "app_display_name": "App", "device_display_name": "Phone", "lang": "en",
            "profile_tag": "abc", "data": data, **more}


def set_pusher(user, body, **expect):
    return user.call("POST", f"{V3}/pushers/set", body, **expect)


def pushers(user):
    return user.call("GET", f"{V3}/pushers").json()["pushers"]


def read(user, room, event, type="m.read", **body):
    user.call("POST", f"{V3}/rooms/{quote(room)}/receipt/{type}/{quote(event)}", body)


def talk(user, user2, **body):
    """A room of both, in which user2 speaks."""
    room = user2.create_room(preset="public_chat", **body)
    user.join(room)
    return room


# ---------------------------------------------------------------------- the list
def test_pusher_001_a_pusher_is_told_as_it_was_set_until_it_is_deleted(user):
    body = pusher("https://push.example.org/_matrix/push/v1/notify", data={"format": "event_id_only", "own": [1]})
    assert pushers(user) == []
    assert set_pusher(user, body).json() == {}
    assert pushers(user) == [body]
    changed = {**body, "lang": "de"}
    set_pusher(user, changed)
    assert pushers(user) == [changed]
    set_pusher(user, {"kind": None, "app_id": body["app_id"], "pushkey": "other"})
    assert pushers(user) == [changed]
    set_pusher(user, {"kind": None, "app_id": body["app_id"], "pushkey": body["pushkey"]})
    assert pushers(user) == []


def test_pusher_002_append_leaves_those_of_others_and_without_it_they_go(user, user2):
    key = f"key of {user.user_id}"
    body = pusher("https://push.example.org/_matrix/push/v1/notify", key)
    set_pusher(user, body)
    set_pusher(user2, {**body, "append": True})
    assert len(pushers(user)) == len(pushers(user2)) == 1
    set_pusher(user2, {**body, "append": False})
    assert (pushers(user), len(pushers(user2))) == ([], 1)


GOOD = pusher("https://push.example.org/_matrix/push/v1/notify")


def without(*names):
    return {k: v for k, v in GOOD.items() if k not in names}


@pytest.mark.parametrize("body, errcode", [
    (without("kind"), "M_MISSING_PARAM"), (without("app_id"), "M_MISSING_PARAM"), (without("pushkey"), "M_MISSING_PARAM"),
    (without("lang"), "M_MISSING_PARAM"), (without("data"), "M_MISSING_PARAM"), (without("app_display_name"), "M_MISSING_PARAM"),
    (without("device_display_name"), "M_MISSING_PARAM"), ({"kind": None, "app_id": "x"}, "M_MISSING_PARAM"),
    ({**GOOD, "kind": "email"}, "M_INVALID_PARAM"), ({**GOOD, "kind": "pigeon"}, "M_INVALID_PARAM"), ({**GOOD, "kind": 1}, "M_BAD_JSON"),
    ({**GOOD, "app_id": "x" * 65}, "M_INVALID_PARAM"), ({**GOOD, "pushkey": "x" * 513}, "M_INVALID_PARAM"),
    ({**GOOD, "pushkey": 5}, "M_BAD_JSON"), ({**GOOD, "data": []}, "M_BAD_JSON"), ({**GOOD, "data": {}}, "M_MISSING_PARAM"),
    ({**GOOD, "data": {"url": 5}}, "M_BAD_JSON"), ({**GOOD, "append": "yes"}, "M_BAD_JSON"), ({**GOOD, "profile_tag": 1}, "M_BAD_JSON"),
    ({**GOOD, "data": {**GOOD["data"], "format": 1}}, "M_BAD_JSON"), ({**GOOD, "data": {**GOOD["data"], "x": "y" * 20000}}, "M_INVALID_PARAM"),
    *[({**GOOD, "data": {"url": url}}, "M_INVALID_PARAM") for url in
      ("", "push.example.org", "https://push.example.org/", "https://push.example.org/_matrix/push/v1/notify/", "ftp://x/_matrix/push/v1/notify",
       "file:///_matrix/push/v1/notify", "https:///_matrix/push/v1/notify", "https://a:b@push.example.org/_matrix/push/v1/notify",
       "https://push.example.org/x/../_matrix/push/v1/notify#x", "gopher://push.example.org/_matrix/push/v1/notify")],
])
def test_pusher_003_bad_requests(user, body, errcode):
    set_pusher(user, body, status=400, errcode=errcode)
    assert pushers(user) == []


def test_pusher_004_nobody_else_may(server, user):
    for method, path, body in (("GET", "/pushers", None), ("POST", "/pushers/set", GOOD), ("GET", "/notifications", None)):
        user.call(method, V3 + path, body, token=None, status=401, errcode="M_MISSING_TOKEN")
        user.call(method, V3 + path, body, token="wrong", status=401, errcode="M_UNKNOWN_TOKEN")
    user.call("POST", f"{V3}/pushers/set", data="{", status=400, errcode="M_NOT_JSON")


def test_pusher_005_it_goes_with_its_device(server, user):
    other = server.login(user.user_id)
    set_pusher(user, {**GOOD, "pushkey": "one"})
    set_pusher(other, {**GOOD, "pushkey": "two"})
    other.call("POST", f"{V3}/logout", {})
    assert [p["pushkey"] for p in pushers(user)] == ["one"]


def test_pusher_006_a_new_password_ends_those_of_the_devices_it_logs_out(server, user):
    other = server.login(user.user_id)
    set_pusher(user, {**GOOD, "pushkey": "one"})
    set_pusher(other, {**GOOD, "pushkey": "two"})

    def change(keep):
        body = {"new_password": PASSWORD, "logout_devices": not keep}
        session = user.call("POST", f"{V3}/account/password", body, status=401)["session"]
        user.call("POST", f"{V3}/account/password", {**body, "auth": {
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}, "password": PASSWORD, "session": session}})
    change(keep=True)
    assert [p["pushkey"] for p in pushers(user)] == ["one", "two"]
    change(keep=False)
    assert [p["pushkey"] for p in pushers(user)] == ["one"]


# ---------------------------------------------------------------------- what is pushed
def test_pusher_010_a_message_is_told_whole(user, user2, gateway):
    room = talk(user, user2, name="Mission Control", room_alias_name=f"a{user.user_id[1:].split(':')[0]}")
    user2.call("PUT", f"{V3}/profile/{user2.user_id}/displayname", {"displayname": "Major Tom"})
    set_pusher(user, pusher(gateway, data={"own": {"a": 1}}))
    event = user2.send(room, SECRET)
    [told] = gateway.wait(1)
    device = told["devices"][0]
    assert abs(device.pop("pushkey_ts") - time.time()) < 60
    assert told == {
        "event_id": event, "room_id": room, "type": "m.room.message", "sender": user2.user_id, "sender_display_name": "Major Tom",
        "room_name": "Mission Control", "room_alias": told["room_alias"], "prio": "high", "content": {"msgtype": "m.text", "body": SECRET},
        "counts": {"unread": 1}, "devices": [{"app_id": "org.example.app", "pushkey": "key", "data": {"own": {"a": 1}},
                                              "tweaks": {"sound": "default"}}]}
    assert told["room_alias"].startswith("#a")
    request = gateway.received[0]
    assert request["path"] == "/_matrix/push/v1/notify" and request["headers"]["Content-Type"] == "application/json"
    assert request["headers"]["User-Agent"].startswith("mod_matrix/")
    assert SECRET not in open(user.server.log.path).read()


def test_pusher_011_event_id_only_tells_no_more(user, user2, gateway):
    room = talk(user, user2, name="Secret Plan")
    set_pusher(user, pusher(gateway, data={"format": "event_id_only"}))
    event = user2.send(room, content={"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"}, type="m.room.encrypted")
    [told] = gateway.wait(1)
    told["devices"][0].pop("pushkey_ts")
    assert told == {"event_id": event, "room_id": room, "prio": "high", "counts": {"unread": 1},
                    "devices": [{"app_id": "org.example.app", "pushkey": "key", "data": {"format": "event_id_only"}}]}


def test_pusher_012_pushes_come_in_order_and_count(server, user, user2, gateway):
    room = talk(user, user2)
    server.register().join(room)             # not one to one: no sound
    set_pusher(user, pusher(gateway))
    events = [user2.send(room) for _ in range(5)]
    told = gateway.wait(5)
    assert [t["event_id"] for t in told] == events
    counts = [t["counts"]["unread"] for t in told]         # "the current number": what came meanwhile may be in it
    assert counts[-1] == 5 and counts == sorted(counts)
    assert {t["prio"] for t in told} == {"low"} and "tweaks" not in told[0]["devices"][0]
    gateway.quiet(5)


def test_pusher_013_what_the_rules_or_the_reader_do_not_want_is_not_pushed(server, user, user2, gateway):
    room, muted = talk(user, user2), talk(user, user2)
    user.call("PUT", f"{V3}/pushrules/global/override/{quote(muted)}",
              {"actions": [], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": muted}]})
    set_pusher(user, pusher(gateway))
    user.send(room, "my own")
    user2.send(muted, "quiet")
    user2.send(room, content={"msgtype": "m.notice", "body": "a robot"})
    user2.send(room, type="m.reaction", content={"m.relates_to": {"rel_type": "m.annotation", "key": "x", "event_id": user2.send(room, "one")}})
    user2.put_state(room, "m.room.topic", {"topic": "x"})
    user2.send(room, "two")
    assert [t["content"]["body"] for t in gateway.wait(2)] == ["one", "two"]
    gateway.quiet(2)
    ignored = {"ignored_users": {user2.user_id: {}}}
    user.call("PUT", f"{V3}/user/{user.user_id}/account_data/m.ignored_user_list", ignored)
    user2.send(room, "three")
    told = gateway.quiet(3, seconds=2)       # the badge went down: nothing of an ignored user counts
    assert told[2]["counts"] == {"unread": 0} and "event_id" not in told[2]


def test_pusher_014_a_mention_is_highlighted(server, user, user2, gateway):
    room = talk(user, user2)
    server.register().join(room)
    set_pusher(user, pusher(gateway))
    user2.send(room, content={"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [user.user_id]}})
    [told] = gateway.wait(1)
    assert told["devices"][0]["tweaks"] == {"sound": "default", "highlight": True} and told["prio"] == "high"


def test_pusher_015_an_invitation_is_pushed_to_whom_it_is_for(user, user2, gateway):
    room = user2.create_room(name="Come in")
    set_pusher(user, pusher(gateway))
    user2.invite(room, user.user_id)
    [told] = gateway.wait(1)
    assert (told["type"], told["user_is_target"], told["counts"], told["room_name"]) == ("m.room.member", True, {"unread": 1}, "Come in")
    user.join(room)
    assert gateway.wait(2)[1]["counts"] == {"unread": 0}


def test_pusher_016_calls_are_counted_as_missed(user, user2, gateway):
    room = talk(user, user2)
    set_pusher(user, pusher(gateway))
    user2.send(room, type="m.call.invite", content={"call_id": "1", "version": "1", "lifetime": 60000, "offer": {}, "party_id": "a"})
    [told] = gateway.wait(1)
    assert told["counts"] == {"unread": 1, "missed_calls": 1} and told["devices"][0]["tweaks"] == {"sound": "ring"}


@pytest.mark.parametrize("type", ["m.read", "m.read.private"])
def test_pusher_017_reading_updates_the_badge_once(user, user2, gateway, type):
    room, other = talk(user, user2), talk(user, user2)
    set_pusher(user, pusher(gateway))
    user2.send(other)
    last = [user2.send(room) for _ in range(3)][-1]
    gateway.wait(4)
    read(user, room, last, type)
    told = gateway.wait(5)[4]
    assert told["counts"] == {"unread": 1} and not {"event_id", "room_id", "type", "content", "prio"} & set(told)
    gateway.quiet(5)
    user.send(other, "who answers has read")
    assert gateway.wait(6)[5]["counts"] == {"unread": 0}


def test_pusher_018_what_was_read_before_it_could_be_pushed_is_not(user, user2, gateway):
    room = talk(user, user2)
    gateway.answers = [500]
    set_pusher(user, pusher(gateway))
    event = user2.send(room, "one")
    gateway.wait(1)
    read(user, room, event)                  # while the first try waits for its second
    user2.send(room, "two")
    told = gateway.wait(2)
    assert [t["content"]["body"] for t in told] == ["one", "two"]
    assert told[1]["counts"] == {"unread": 1}
    gateway.quiet(2)


def test_pusher_019_a_thread_that_was_read_leaves_the_rest(user, user2, gateway):
    room = talk(user, user2)
    set_pusher(user, pusher(gateway))
    root = user2.send(room, "root")
    reply = user2.send(room, content={"msgtype": "m.text", "body": "in it", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    assert gateway.wait(2)[1]["counts"] == {"unread": 2}
    read(user, room, reply, thread_id=root)
    assert gateway.wait(3)[2]["counts"] == {"unread": 1}


def test_pusher_020_nothing_from_before_the_pusher_but_its_badge_counts_it(user, user2, gateway):
    room = talk(user, user2)
    user2.send(room, "old")
    set_pusher(user, pusher(gateway))
    gateway.quiet(0)
    user2.send(room, "new")
    [told] = gateway.wait(1)
    assert told["content"]["body"] == "new" and told["counts"] == {"unread": 2}


def test_pusher_021_a_redacted_message_counts_no_more(user, user2, gateway):
    room = talk(user, user2)
    set_pusher(user, pusher(gateway))
    event = user2.send(room)
    gateway.wait(1)
    user2.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(event)}/r1", {})
    assert gateway.wait(2)[1]["counts"] == {"unread": 0}


def test_pusher_022_rules_on_contents_are_asked_too(user, user2, gateway):
    room = talk(user, user2)
    user.call("PUT", f"{V3}/pushrules/global/override/.m.rule.master/enabled", {"enabled": False})
    user.call("PUT", f"{V3}/pushrules/global/underride/.m.rule.room_one_to_one/actions", {"actions": []})
    user.call("PUT", f"{V3}/pushrules/global/content/cake",
              {"pattern": "c?ke*", "actions": ["notify", {"set_tweak": "light", "value": {"colour": "red"}}]})
    set_pusher(user, pusher(gateway))
    user2.send(room, "bread")
    user2.send(room, "CAKES please")
    [told] = gateway.wait(1)
    assert told["content"]["body"] == "CAKES please" and told["devices"][0]["tweaks"] == {"light": {"colour": "red"}}
    assert told["counts"] == {"unread": 1}


# ---------------------------------------------------------------------- gateways that fail
def test_pusher_030_a_failed_push_is_repeated_with_back_off_and_in_order(user, user2, gateway):
    room = talk(user, user2)
    gateway.answers = [500, 502, 302]
    set_pusher(user, pusher(gateway))
    events = [user2.send(room), user2.send(room)]
    told = gateway.wait(5, seconds=30)
    assert [t["event_id"] for t in told] == [events[0]] * 4 + [events[1]]
    at = [r["at"] for r in gateway.received]
    assert at[1] - at[0] >= 0.4 and at[2] - at[1] >= 0.9 and at[3] - at[2] >= 1.9    # at least half of 1, 2 and 4 s


def test_pusher_031_a_rejected_key_is_removed(user, user2, gateway):
    room = talk(user, user2)
    set_pusher(user, pusher(gateway, "gone"))
    set_pusher(user, pusher(gateway, "stays"))
    gateway.answers = [lambda body: {"rejected": ["gone"]}] * 2
    user2.send(room)
    gateway.wait(2)
    end = time.monotonic() + 10
    while len(pushers(user)) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    assert [p["pushkey"] for p in pushers(user)] == ["stays"]
    user2.send(room)
    gateway.wait(2, "stays")
    assert len(gateway.pushes("gone")) == 1


@pytest.mark.parametrize("answer", [b"no json", b"", b"[]", b'{"rejected": "key"}', {"rejected": [5, None, "another"]}])
def test_pusher_032_any_success_is_one(user, user2, gateway, answer):
    room = talk(user, user2)
    gateway.answers = [answer]
    set_pusher(user, pusher(gateway))
    user2.send(room)
    gateway.wait(1)
    gateway.quiet(1)
    assert len(pushers(user)) == 1


def test_pusher_033_an_endless_answer_is_a_failure(user, user2, gateway):
    room = talk(user, user2)
    gateway.answers = [b"x" * 3000000]
    set_pusher(user, pusher(gateway))
    event = user2.send(room)
    assert [t["event_id"] for t in gateway.wait(2)] == [event] * 2


@pytest.fixture(scope="module")
def strict(make_module_server):
    return make_module_server("--conf-line", "MatrixPushTimeout 1s", "--conf-line", "MatrixPushGiveUp 2s", "--conf-line", "MatrixPushConcurrency 8",
                              "--conf-line", "MatrixMaxPushers 3", "--conf-line", "MatrixTaskLease 2s", "--children", "2", name="push-strict")


def test_pusher_034_one_that_hangs_holds_up_nobody_else(strict, gateway):
    user, user2, other = strict.register(), strict.register(), Gateway()
    room = talk(user, user2)
    gateway.answers = [30.0] * 50
    for i in range(2):
        set_pusher(user, pusher(gateway, f"hangs{i}"))
    set_pusher(user, pusher(other, "well"))
    began = time.monotonic()
    event = user2.send(room)
    assert [t["event_id"] for t in other.wait(1)] == [event]
    assert time.monotonic() - began < 5
    for i in range(2):
        assert [t["event_id"] for t in gateway.wait(2, f"hangs{i}", seconds=20)[:2]] == [event] * 2
    other.close()


def test_pusher_035_it_is_given_up_after_a_while_and_what_comes_later_is_pushed(strict, gateway):
    user, user2 = strict.register(), strict.register()
    room = talk(user, user2)
    gateway.answers = [500] * 50
    set_pusher(user, pusher(gateway, user.user_id))
    user2.send(room, "given up")
    gateway.wait(2)
    end = time.monotonic() + 30              # tries at 0, from 0.5, from 1.5 and from 3.5 s on: one of them is the last
    while strict.sql(f"select look, fails from pusher where pushkey = '{user.user_id}'") != [["0", "0"]]:
        assert time.monotonic() < end
        time.sleep(0.1)
    tries = len(gateway.pushes())
    assert 3 <= tries <= 4
    gateway.answers = []
    user2.send(room, "later")
    assert gateway.wait(tries + 1)[tries]["content"]["body"] == "later"
    gateway.quiet(tries + 1)


def test_pusher_036_a_user_has_so_many_pushers(strict):
    user = strict.register()
    for i in range(3):
        set_pusher(user, {**GOOD, "pushkey": f"k{i}"})
    set_pusher(user, {**GOOD, "pushkey": "k3"}, status=400, errcode="M_INVALID_PARAM")
    set_pusher(user, {**GOOD, "pushkey": "k2", "lang": "fr"})
    assert [p["lang"] for p in pushers(user)] == ["en", "en", "fr"]


def test_pusher_037_kill_9_loses_nothing_and_nothing_is_out_of_order(strict, gateway):
    user, user2 = strict.register(), strict.register()
    room = talk(user, user2)
    set_pusher(user, pusher(gateway))
    events, stop = [], threading.Event()

    def kill():
        while not stop.wait(0.7):
            for pid in strict.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    strict.log.expect("exit signal Killed", "MX0520", "AH00052", "child pid")
    killer = threading.Thread(target=kill)
    killer.start()
    for i in range(40):
        for _ in range(50):
            try:
                events.append(user2.send(room, f"m{i}", txn=f"m{i}"))
                break
            except OSError:
                time.sleep(0.1)
        time.sleep(0.05)
    stop.set()
    killer.join()
    end = time.monotonic() + 40
    while {t.get("event_id") for t in gateway.pushes()} < set(events) and time.monotonic() < end:
        time.sleep(0.2)
    told = [t["event_id"] for t in gateway.pushes() if "event_id" in t]
    assert list(dict.fromkeys(told)) == events


def test_pusher_038_private_addresses_and_plain_http_are_refused_unless_allowed(make_server, gateway):
    server = make_server("--conf-line", "MatrixOutgoingPrivate off")
    user, user2 = server.register(), server.register()
    set_pusher(user, pusher(gateway), status=400, errcode="M_INVALID_PARAM")
    set_pusher(user, pusher(gateway.url.replace("http:", "https:")))
    user2.send(talk(user, user2))
    end = time.monotonic() + 10
    while time.monotonic() < end and server.sql("select fails from pusher") == [["0"]]:
        time.sleep(0.1)
    assert int(server.sql("select fails from pusher")[0][0]) > 0
    assert gateway.received == []


def test_pusher_039_after_a_restart_it_goes_on_without_a_write(strict, gateway):
    user, user2 = strict.register(), strict.register()
    room = talk(user, user2)
    gateway.answers = [500]
    set_pusher(user, pusher(gateway))
    event = user2.send(room)
    gateway.wait(1)
    strict.quickstart("restart")
    user.call("GET", f"{V3}/account/whoami")
    assert gateway.wait(2, seconds=30)[1]["event_id"] == event


# ---------------------------------------------------------------------- many
def test_pusher_040_many_pushers_at_once_each_gets_its_own(server, gateway):
    sender, users = server.register(), [server.register() for _ in range(20)]
    room = sender.create_room(preset="public_chat")
    for i, user in enumerate(users):
        user.join(room)
        for k in range(5):
            set_pusher(user, pusher(gateway, f"{user.user_id} {k}"))
    gateway.answers = [0.2] * 100
    began = time.monotonic()
    event = sender.send(room)
    told = gateway.wait(100, seconds=30)
    took = time.monotonic() - began
    assert len({t["devices"][0]["pushkey"] for t in told}) == 100 and {t["event_id"] for t in told} == {event}
    assert 1 < gateway.most_at_once <= 25    # half of MatrixPushConcurrency is for one gateway
    assert took < 15
    gateway.quiet(100)


def test_pusher_041_a_send_writes_nothing_for_members_or_pushers(make_server, gateway):
    server = make_server()
    user, user2 = server.register(), server.register()
    room = talk(user, user2)
    set_pusher(user, pusher(gateway))
    user2.send(room, "one")
    gateway.wait(1)
    end = time.monotonic() + 20              # until the task lets go: then nobody else shall have it
    take = "update lease set holder = 'nobody', until = now() + interval '1 hour' where name = 'push' and holder is null returning 1"
    while ["1"] not in server.sql(take):
        assert time.monotonic() < end
        time.sleep(0.1)
    before = server.sql("select * from pusher"), server.sql("select * from push_count order by 1, 2")
    event = user2.send(room, "two")
    gateway.quiet(1)
    assert (server.sql("select * from pusher"), server.sql("select * from push_count order by 1, 2")) == before
    server.sql("update lease set until = now(), due = now() where name = 'push'")
    user2.send(room, "three")
    assert gateway.wait(3, seconds=30)[1]["event_id"] == event
