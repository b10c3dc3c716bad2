# SPDX-License-Identifier: Apache-2.0
"""CS-API: syncing: answers that are too long for one piece: sent while they are read, whole or visibly broken off, in bounded memory."""
import os
import http.client
import json
import pathlib
import re
import socket
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import V3, quote
from room_calls import room_path

MANY = 300
LONG_ROOMS, LONG_EVENTS, LONG_BYTES = 30, 10, 60000


def all_of(work, items):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, items))


def without_age(event):
    event = {**event, "unsigned": {k: v for k, v in event.get("unsigned", {}).items() if k not in ("age", "membership")}}
    if not event["unsigned"]:
        del event["unsigned"]
    event.pop("room_id", None)
    return event


@pytest.fixture(scope="module")
def crowd(make_module_server):
    """A user in 300 rooms, of which some have names, topics, messages and another member."""
    server = make_module_server("--children", "1", name="sync-long")
    user, other = server.register(), server.register()

    def make(i):
        room = user.create_room(**({"name": f"room {i}"} if i % 3 else {}), preset="public_chat")
        if i % 10 == 0:
            other.join(room)
            other.send(room, f"hello from another in {i}")
        for k in range(i % 15):
            user.send(room, f"message {k} of {i}")
        if i % 4 == 0:
            user.put_state(room, "m.room.topic", {"topic": f"about {i}"})
        return room
    return server, user, all_of(make, range(MANY))


def get(user, filter, **query):
    """The raw answer, on a connection that is used again afterwards."""
    query = urllib.parse.urlencode({"filter": json.dumps(filter), "timeout": 0, **query})
    connection = user.connect()
    connection.request("GET", f"{V3}/sync?{query}", headers={"Authorization": f"Bearer {user.token}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.request("GET", f"{V3}/account/whoami", headers={"Authorization": f"Bearer {user.token}"})
    assert json.load(connection.getresponse())["user_id"] == user.user_id
    connection.close()
    return answer, body


def test_sync_long_001_three_hundred_rooms_are_what_single_reads_say(crowd):
    """CS-API: GET /sync: the timeline is the newest events, `state` what was before it; together they are the room's state."""
    server, user, rooms = crowd
    raw, body = get(user, {"room": {"timeline": {"limit": 10}}})
    answer = json.loads(body)
    assert raw.status == 200 and raw.headers["Content-Type"] == "application/json"
    assert raw.headers["Transfer-Encoding"] == "chunked", "300 rooms should be sent while they are read"
    assert set(answer["rooms"]["join"]) == set(rooms)

    def check(room):
        told = answer["rooms"]["join"][room]
        newest = user.call("GET", room_path(room, "messages?dir=b&limit=10")).json()["chunk"]
        assert [without_age(e) for e in told["timeline"]["events"]] == [without_age(e) for e in reversed(newest)]
        state = {(e["type"], e["state_key"]): e["event_id"] for e in user.call("GET", room_path(room, "state")).json()}
        known = {(e["type"], e["state_key"]): e["event_id"] for e in told["state"]["events"]}
        known.update({(e["type"], e["state_key"]): e["event_id"] for e in told["timeline"]["events"] if "state_key" in e})
        assert known == state
        members = user.call("GET", room_path(room, "joined_members")).json()["joined"]
        assert told["summary"]["m.joined_member_count"] == len(members)
    all_of(check, rooms)


def test_sync_long_002_lazily_loaded_rooms_have_the_members_that_speak(crowd):
    """CS-API: lazy-loading room members"""
    server, user, rooms = crowd
    _, body = get(user, {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}})
    whole = json.loads(body)["rooms"]["join"]
    for room in rooms:
        senders = {e["sender"] for e in whole[room]["timeline"]["events"]} | {user.user_id}
        members = {e["state_key"] for part in ("state", "timeline") for e in whole[room][part]["events"] if e["type"] == "m.room.member"}
        assert senders <= members, room


def test_sync_long_003_what_happens_meanwhile_is_told_next(crowd):
    """The whole answer tells of one position: what comes while it is sent is neither lost nor told twice."""
    server, user, rooms = crowd
    seen = []
    connection = slow(user, {"room": {"timeline": {"limit": 20}}})
    sent = [user.send(room, "meanwhile") for room in (rooms[0], rooms[-1])]
    first = json.loads(connection.read())
    second = user.sync(first["next_batch"])
    for answer in (first, second):
        for room in answer["rooms"]["join"].values():
            seen += [e["event_id"] for e in room["timeline"]["events"] if e["event_id"] in sent]
    assert sorted(seen) == sorted(sent)


def test_sync_long_004_a_head_request_is_answered(crowd):
    server, user, rooms = crowd
    answer = user.request("HEAD", f"{V3}/sync", headers={"Authorization": f"Bearer {user.token}"})
    assert answer.status_code == 200 and answer.body == b""


def slow(user, filter):
    """A /sync whose client has a tiny buffer and has read the header alone."""
    query = urllib.parse.urlencode({"filter": json.dumps(filter), "timeout": 0})
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect((user.host, user.port))
    connection.sendall(f"GET {V3}/sync?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n\r\n".encode())
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 200
    return answer


@pytest.fixture(scope="module")
def long_rooms(crowd):
    """Another user of the same server, whose answer is some 18 MB."""
    server = crowd[0]
    user = server.register()
    rooms = [user.create_room() for _ in range(LONG_ROOMS)]
    all_of(lambda room: [user.send(room, "x" * LONG_BYTES) for _ in range(LONG_EVENTS)], rooms)
    return server, user


def memory_kb(server, field):
    return sum(int(re.search(rf"{field}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) for pid in server.children())


@pytest.mark.skipif(os.environ.get("MX_BUILD") == "asan", reason="AddressSanitizer keeps what is freed")
def test_sync_long_005_memory_does_not_grow_with_the_answer(long_rooms):
    server, user = long_rooms
    filter = {"room": {"timeline": {"limit": LONG_EVENTS}}}
    get(user, {"room": {"timeline": {"limit": 1}}})
    before = memory_kb(server, "VmRSS")
    for pid in server.children():
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")      # the peak begins anew
    _, body = get(user, filter)
    grown = memory_kb(server, "VmHWM") - before
    assert len(body) > LONG_ROOMS * LONG_EVENTS * LONG_BYTES
    print(f"answer of {len(body) >> 10} KB, memory grew by {grown} KB")
    assert grown << 10 < len(body) // 2


def test_sync_long_006_an_answer_that_cannot_be_gone_on_with_does_not_look_whole(long_rooms):
    server, user = long_rooms
    answer = slow(user, {"room": {"timeline": {"limit": LONG_EVENTS}}})
    server.sql("alter table receipt rename to receipt_gone")
    server.log.expect("MX0206", "MX0510")
    try:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    finally:
        server.sql("alter table receipt_gone rename to receipt")
    assert len(json.loads(get(user, {"room": {"timeline": {"limit": 1}}})[1])["rooms"]["join"]) == LONG_ROOMS


def test_sync_long_007_a_client_that_leaves_ends_the_reading(long_rooms):
    """No error in the log, and the server goes on."""
    server, user = long_rooms
    slow(user, {"room": {"timeline": {"limit": LONG_EVENTS}}}).close()
    assert user.call("GET", f"{V3}/account/whoami")["user_id"] == user.user_id
