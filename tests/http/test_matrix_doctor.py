# SPDX-License-Identifier: Apache-2.0
"""The command matrix-doctor as an administrator uses it, beside a server that runs."""
import json
import os
import subprocess
import threading

import pytest

from harness import BUILD, REPO, V3, quote

FLAVOUR = os.environ.get("MX_BUILD")
OUT = os.path.join(BUILD, FLAVOUR or ("out-copy" if os.path.exists(os.path.join(REPO, "config.status")) else "out"))


@pytest.fixture(scope="module")
def server(make_module_server):
    """One of our own: its database is damaged."""
    return make_module_server(name="doctor")


def run_doctor(*arguments, status=0):
    done = subprocess.run([os.path.join(OUT, "matrix-doctor"), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done
    return done


def examine(server, *arguments, status=0):
    """The object that --json writes."""
    return json.loads(run_doctor("--database", server.dsn, "--json", *arguments, status=status).stdout)


def signing_key(server):
    return os.path.join(server.dir, "signing.key")


def where(room):
    return f"room_nid = (select room_nid from room where room_id = '{room}')"


@pytest.fixture
def room(user, user2):
    """Messages, state, a join, a ban and a redaction."""
    room = user.create_room(preset="public_chat", name="Ward")
    user2.join(room)
    target = user2.send(room, "regret")
    for i in range(5):
        user.send(room, f"message {i}")
    user.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(target)}/1", {})
    user.call("POST", f"{V3}/rooms/{quote(room)}/ban", {"user_id": user2.user_id})
    user.put_state(room, "m.room.topic", {"topic": "health"})
    return room


def dump(server):
    """All rows of all tables, hashed."""
    union = server.sql("select string_agg(format('select %L, md5(string_agg(t::text, chr(10) order by t::text)) from %I t', tablename, tablename),"
                       " ' union all ') from pg_tables where schemaname = 'public'")[0][0]
    return sorted(server.sql(union)), server.sql("select last_value from stream_seq")


def test_matrix_doctor_001_a_served_room_is_healthy_in_words_and_as_json(server, room):
    said = run_doctor("--database", server.dsn, "--room", room, "--signing-key", signing_key(server)).stdout
    assert said.startswith(f"{room}: healthy. ") and "Not checked: 1 content hashes of redacted events" in said
    told = examine(server, "--room", room, "--signing-key", signing_key(server))
    assert told["healthy"] and told["complete"] and told["examined"] == 1 and told["unhealthy"] == 0
    assert told["server_name"] == server.server_name
    assert told["rooms"][0]["findings"] == [] and told["rooms"][0]["not_checked"] == {"content_hashes_of_redacted": 1}
    assert [[str(told["rooms"][0]["events"])]] == server.sql(f"select count(*) from event where {where(room)}")


def test_matrix_doctor_002_what_is_found_comes_with_advice_and_exit_status_1(server, room, user):
    topic = user.put_state(room, "m.room.topic", {"topic": "other"})["event_id"]
    server.sql("update state_event set replaces = null where nid = (select max(nid) from state_event)")
    server.sql(f"update room set joined = 9 where {where(room)}")
    told = examine(server, "--room", room, status=1)
    found = {f["check"]: f for f in told["rooms"][0]["findings"]}
    assert not told["healthy"] and told["complete"] and set(found) == {"replaces", "counter"} == set(told["rooms"][0]["found"])
    assert found["replaces"]["event_id"] == topic and not found["replaces"]["repairable"] and "backup" in found["replaces"]["advice"]
    assert found["counter"]["message"] == "room.joined is 9, the current state has 1." and found["counter"]["repairable"]
    said = run_doctor("--database", server.dsn, "--room", room, status=1).stdout
    assert f"{room}: NOT HEALTHY" in said
    for f in found.values():
        assert f["message"] in said and f["advice"] in said
    examine(server, "--room", room, "--repair", status=1)       # heals the one, not the other
    assert set(examine(server, "--room", room, status=1)["rooms"][0]["found"]) == {"replaces"}


def test_matrix_doctor_003_without_repair_nothing_changes(server, room):
    server.sql(f"delete from cur_state where {where(room)}")
    server.sql(f"update room set joined = 9 where {where(room)}")
    before = dump(server)
    for arguments in ("--all",), ("--room", room), ("--all", "--json"):
        run_doctor("--database", server.dsn, *arguments, status=1)
    assert dump(server) == before
    examine(server, "--room", room, "--repair")
    assert dump(server) != before


def test_matrix_doctor_004_a_repair_is_seen_by_the_running_server(server, room, user):
    server.sql(f"delete from cur_state where {where(room)} and skey_nid in (select skey_nid from skey join ev_type using (type_nid)"
               " where type = 'm.room.name')")
    # children forget what they know, and learn it wrong
    server.sql(f"update room set ver = ver + 1, state_redacted = state_redacted + 1 where {where(room)}")
    user.get_state(room, "m.room.name", status=404, errcode="M_NOT_FOUND")
    told = examine(server, "--room", room, "--repair")
    assert told["healthy"] and told["rooms"][0]["repaired"] == {"cur_state": 1, "member": 0, "room_server": 0, "counters": 0}
    assert told["rooms"][0]["findings"][0]["repaired"]
    assert user.get_state(room, "m.room.name")["name"] == "Ward"
    assert examine(server, "--room", room)["healthy"]


def test_matrix_doctor_005_repairs_while_people_write(server, user):
    room = user.create_room(preset="public_chat")
    sent, stop = [], threading.Event()

    def write():
        while not stop.is_set():
            sent.append(user.send(room, "on"))
            user.put_state(room, "m.room.topic", {"topic": str(len(sent))})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(8):
            server.sql(f"update member set membership = 4 where {where(room)}")
            server.sql(f"delete from room_server where {where(room)}")
            server.sql(f"update room set joined = 77, local_joined = 0 where {where(room)}")
            examine(server, "--room", room, "--repair")
    finally:
        stop.set()
        writer.join()
    told = examine(server, "--room", room)
    assert told["healthy"] and told["rooms"][0]["events"] >= 2 * len(sent)
    assert len(sent) > 8 and len(set(sent)) == len(sent)


def test_matrix_doctor_006_one_event(server, room, user):
    event = user.send(room, "look at me")
    told = examine(server, "--event", event)
    assert told["healthy"] and told["rooms"][0]["room_id"] == room and told["rooms"][0]["events"] == 1
    server.sql(f"update event set depth = depth + 1 where nid = (select max(nid) from event where {where(room)})")
    told = examine(server, "--event", event, status=1)
    assert [f["check"] for f in told["rooms"][0]["findings"]] == ["columns"] and told["rooms"][0]["findings"][0]["event_id"] == event


def test_matrix_doctor_007_a_room_by_its_alias(server, user):
    alias = server.unused_name()
    room = user.create_room(room_alias_name=alias)
    assert examine(server, "--room", f"#{alias}:{server.server_name}")["rooms"][0]["room_id"] == room


def test_matrix_doctor_008_signatures_are_checked_with_the_keys_given(server, user):
    room, name = user.create_room(), server.server_name
    assert examine(server, "--room", room)["rooms"][0]["not_checked"]["signatures_without_key"] > 5
    event = user.send(room)
    assert examine(server, "--event", event, "--key", f"{name}=ed25519:other={'A' * 43}")["rooms"][0]["not_checked"] == {
        "signatures_without_key": 1}
    assert examine(server, "--room", room, "--signing-key", signing_key(server))["rooms"][0]["not_checked"] == {}
    with open(signing_key(server)) as f:
        version = f.read().split()[1]
    told = examine(server, "--event", event, "--key", f"{name}=ed25519:{version}={'A' * 43}", status=1)
    assert [f["message"] for f in told["rooms"][0]["findings"]] == [f"the signature of {name} is not good."]


@pytest.mark.parametrize("arguments, words", [
    (("--room", "!nowhere:example.org"), "There is no room !nowhere:example.org"),
    (("--room", "#nowhere:example.org"), "There is no room #nowhere:example.org"),
    (("--event", "$" + "A" * 43), "There is no event $AAAA"),
    (("--all", "--server-name", "else.example"), "belongs to the server name"),
    (("--all", "--signing-key", "/nowhere"), "The signing key cannot be read from /nowhere"),
    ((), "one of --event, --room, --all"),
    (("--all", "--room", "!x:y"), "one of --event, --room, --all"),
    (("--event", "$x", "--repair"), "events are never changed"),
    (("--all", "--key", "nonsense"), "server=ed25519:id=base64"),
    (("--all", "--server-name", "no name"), "--server-name must be"),
    (("--all", "more"), "an argument too many"),
    (("--nonsense",), "invalid option"),
])
def test_matrix_doctor_009_what_cannot_be_done_is_said_with_exit_status_2(server, arguments, words):
    done = run_doctor("--database", server.dsn, *arguments, status=2)
    assert words in done.stderr and done.stdout == ""


def test_matrix_doctor_010_databases_that_are_none(server):
    assert "--database is missing" in run_doctor("--all", status=2).stderr
    failed = run_doctor("--database", "host=/nowhere dbname=x", "--all", status=2).stderr
    assert failed.startswith("matrix-doctor: The database cannot be reached: ") and failed.count("\n") == 1
    assert "holds no homeserver" in run_doctor("--database", server.dsn + " options='-c search_path=pg_temp'", "--all", status=2).stderr


def test_matrix_doctor_011_a_newer_schema_is_left_alone(server):
    server.sql("insert into schema_version (version, file) values (9999, 'x')")
    try:
        assert "newer than version" in run_doctor("--database", server.dsn, "--all", status=2).stderr
    finally:
        server.sql("delete from schema_version where version = 9999")


def test_matrix_doctor_012_json_of_an_examination_that_ends_early_is_whole_and_says_so(server, room):
    server.sql(f"update room set version = 99 where {where(room)}")
    done = run_doctor("--database", server.dsn, "--all", "--json", status=2)
    server.sql(f"update room set version = 12 where {where(room)}")
    told = json.loads(done.stdout)
    assert told["complete"] is False and told["healthy"] is False and "does not know" in done.stderr
