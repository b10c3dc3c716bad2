# SPDX-License-Identifier: Apache-2.0
"""Two httpds on one database are one homeserver: what is done at one is known at the other, and soon."""
import threading
import time

import pytest

from harness import V3, Api, User, quote

SOON_SECONDS = 2            # a lost notification would be found by the timer in 0.25 s, a poll would end in 20


@pytest.fixture(scope="module")
def instances(make_module_server):
    first = make_module_server("--server-name", "both.example", "--children", "2", name="first")
    second = make_module_server("--database-of", first.dir, name="second")
    return first, second


def at(server, user):
    """The same device, calling the other instance."""
    return User(server, {"access_token": user.token, "user_id": user.user_id, "device_id": user.device_id}, user.password)


def waiting(user, since, done):
    """A long poll that takes its place in a thread; done gets (answer, when)."""
    def poll():
        answer = user.sync(since, 20000)
        done.append((answer, time.monotonic()))
    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.5)
    assert not done
    return thread


def test_two_instances_001_they_are_one_homeserver(instances):
    first, second = instances
    assert second.server_name == "both.example" and second.dsn == first.dsn and second.ca == first.ca
    assert second.base_url != first.base_url and second.pid != first.pid
    assert "versions" in Api(second.https_url, first.ca).call("GET", "/_matrix/client/versions").json()


@pytest.mark.parametrize("sender", [0, 1])
def test_two_instances_002_a_message_wakes_who_waits_at_the_other(instances, sender):
    """Somebody waits at the sender's instance as well: it has a notifier then, which tells other hosts (sync/notifier.c)."""
    here, there = instances[sender], instances[1 - sender]
    alice, bob = here.register(), there.register()
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    late = []
    for i in range(3):
        done = []
        beside = waiting(alice, alice.sync()["next_batch"], [])
        thread = waiting(bob, bob.sync()["next_batch"], done)
        sent = alice.send(room, f"over there {i}")
        answered = time.monotonic()
        thread.join()
        beside.join()
        answer, when = done[0]
        events = [e["event_id"] for e in answer["rooms"]["join"][room]["timeline"]["events"]]
        assert events == [sent]
        late.append(when - answered)
    assert min(late) < 0.2, late
    assert max(late) < SOON_SECONDS, late


def test_two_instances_003_logout_at_one_is_noticed_by_the_other(instances):
    """user/token.c: a token taken back is dead everywhere after at most 200 ms, however warm the caches are."""
    first, second = instances
    user = first.register()
    there = at(second, user)
    there.call("GET", f"{V3}/account/whoami")       # known to the other's cache
    user.call("POST", f"{V3}/logout", {})
    time.sleep(0.21)
    there.call("GET", f"{V3}/account/whoami", errcode="M_UNKNOWN_TOKEN", status=401)


def test_two_instances_004_who_was_logged_out_at_the_other_is_told_no_news(instances):
    """A poll that has waited since before the logout ends with 401, not with what came after it."""
    first, second = instances
    alice, user = first.register(), first.register()
    room = alice.create_room(preset="public_chat")
    user.join(room)
    answers, since = [], user.sync()["next_batch"]
    there = at(second, user)
    thread = threading.Thread(target=lambda: answers.append(there.call("GET", f"{V3}/sync?since={since}&timeout=20000", status=None)))
    thread.start()
    time.sleep(0.5)
    user.call("POST", f"{V3}/logout", {})
    time.sleep(0.21)
    alice.send(room, "not for those who left")
    thread.join()
    assert answers[0].status_code == 401 and answers[0]["errcode"] == "M_UNKNOWN_TOKEN", answers[0]


def test_two_instances_005_state_and_membership_changed_at_one_count_at_the_other(instances):
    first, second = instances
    alice, bob = first.register(), second.register()
    room = alice.create_room(preset="private_chat")
    bob.call("POST", f"{V3}/join/{quote(room)}", {}, errcode="M_FORBIDDEN", status=403)
    alice.invite(room, bob.user_id)
    bob.join(room)
    bob.send(room, "I am in")
    at(first, bob).put_state(room, "m.room.topic", {"topic": "no"}, errcode="M_FORBIDDEN", status=403)
    levels = alice.get_state(room, "m.room.power_levels").json()
    levels["events"]["m.room.topic"] = 0
    alice.put_state(room, "m.room.power_levels", levels)
    bob.put_state(room, "m.room.topic", {"topic": "yes"})
    assert alice.get_state(room, "m.room.topic").json() == {"topic": "yes"}
    at(second, alice).call("POST", f"{V3}/rooms/{quote(room)}/kick", {"user_id": bob.user_id})
    at(first, bob).call("PUT", f"{V3}/rooms/{quote(room)}/send/m.room.message/k", {"body": "x"}, errcode="M_FORBIDDEN", status=403)


def test_two_instances_006_a_password_changed_at_one_is_the_one_at_the_other(instances):
    first, second = instances
    user = first.register()
    name = user.user_id[1:].split(":")[0]
    second.login(name)
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": user.password}
    user.call("POST", f"{V3}/account/password", {"new_password": "another long one", "auth": auth})
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": user.password}
    second.call("POST", f"{V3}/login", body, errcode="M_FORBIDDEN", status=403)
    second.login(name, "another long one")


def test_two_instances_007_account_data_wakes_the_other(instances):
    first, second = instances
    user, done = first.register(), []
    thread = waiting(at(second, user), user.sync()["next_batch"], done)
    start = time.monotonic()
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/org.example.x", {"a": 1})
    thread.join()
    assert done[0][1] - start < SOON_SECONDS
    assert [e["type"] for e in done[0][0]["account_data"]["events"]] == ["org.example.x"]


def test_two_instances_008_a_transaction_id_sent_again_at_the_other_makes_no_second_event(instances):
    first, second = instances
    user = first.register()
    room = user.create_room()
    assert user.send(room, "once", txn="same") == at(second, user).send(room, "once", txn="same")


def test_two_instances_009_down_of_the_second_leaves_the_first(instances):
    first, second = instances
    user = first.register()
    second.down()
    assert "PostgreSQL runs" in second.quickstart("status", check=False).stderr
    user.call("GET", f"{V3}/account/whoami")
    second.up()                                     # the database is remembered
    assert at(second, user).call("GET", f"{V3}/account/whoami")["user_id"] == user.user_id


def test_two_instances_010_what_cannot_be_is_said(instances):
    first, second = instances
    for folder, name, said in ((first.dir + "-none", [], "there is no server"), (second.dir, [], "that is the same folder"),
                               (first.dir, ["--server-name", "other.example"], "the server name of")):
        done = second.quickstart("up", "--database-of", folder, *name, check=False)
        assert done.returncode != 0 and said in done.stderr, done.stderr
    done = second.quickstart("reset", check=False)
    assert done.returncode != 0 and "reset it there" in done.stderr
