# SPDX-License-Identifier: Apache-2.0
"""Waiting polls: glue/park*.c. CS-API: GET /sync with a timeout."""
import json
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import V3, quote

MANY = 200


class Poll:
    """A connection on which one request after the other is written by hand."""

    def __init__(self, user, tls=False):
        self.user = user
        self.s = socket.create_connection((user.host, user.port), timeout=40)
        if tls:
            port = int(re.search(r":(\d+)", user.server.https_url.split("//")[1]).group(1))
            context = ssl.create_default_context(cafile=user.ca)
            self.s = context.wrap_socket(socket.create_connection((user.host, port), timeout=40), server_hostname="localhost")

        self.f = self.s.makefile("rb")

    def send(self, target, headers=""):
        self.s.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.user.host}\r\nAuthorization: Bearer {self.user.token}\r\n{headers}\r\n".encode())

    def wait(self, since, timeout_ms=30000, headers=""):
        self.send(f"{V3}/sync?since={quote(since)}&timeout={timeout_ms}", headers)
        return self

    def answer(self):
        """(head, JSON) of the next response."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.f.readline()
            assert line, "the server closed without an answer"
            head += line
        length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
        return head.decode(), json.loads(self.f.read(length))

    def close(self):
        self.f.close()
        self.s.close()

    def is_silent(self, seconds):
        """Nothing comes; what TLS says for itself (session tickets) does not count."""
        end = time.monotonic() + seconds
        self.s.setblocking(False)
        try:
            while select.select([self.s], [], [], max(0, end - time.monotonic()))[0]:
                try:
                    return not self.s.recv(1)
                except ssl.SSLWantReadError:
                    pass
            return True
        finally:
            self.s.settimeout(40)


def texts(answer, room_id):
    timeline = answer.get("rooms", {}).get("join", {}).get(room_id, {}).get("timeline", {"events": []})
    return [event["content"].get("body") for event in timeline["events"]]


@pytest.fixture(scope="module")
def parked(make_module_server, tmp_path_factory):
    """A server with one child whose status page tells what waits."""
    conf = tmp_path_factory.mktemp("parked") / "status.conf"
    conf.write_text("<Location /server-status>\nSetHandler server-status\n</Location>\n")
    return make_module_server("--children", "1", "--conf-line", f'Include "{conf}"', name="parked")


def status(server):
    text = server.request("GET", "/server-status?auto").text
    return {name: int(value) for name, value in re.findall(r"^Matrix(\w+): (\d+)$", text, re.M)}


def until(check, seconds=15):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def scene(parked):
    me = parked.register()
    room_id = me.create_room()
    return me, room_id, me.sync()["next_batch"]


def test_park_001_one_message_wakes_many_and_their_connections_live_on(parked, scene):
    me, room_id, since = scene
    polls = [Poll(me) for _ in range(MANY)]
    for turn in range(3):
        for poll in polls:
            poll.wait(since)
        until(lambda: status(parked)["Parked"] == MANY)
        me.send(room_id, f"turn {turn}")
        answers = [poll.answer() for poll in polls]
        assert all(texts(body, room_id) == [f"turn {turn}"] for _, body in answers)
        assert not any("Connection: close" in head for head, _ in answers)
        since = answers[0][1]["next_batch"]
    for poll in polls:
        poll.send("/_matrix/client/versions")
    assert all("versions" in poll.answer()[1] for poll in polls)
    assert status(parked)["Parked"] == 0


def test_park_002_a_poll_ends_at_its_timeout_with_nothing(scene):
    me, _, since = scene
    start = time.monotonic()
    head, body = Poll(me).wait(since, 1500).answer()
    assert head.startswith("HTTP/1.1 200") and 1.3 < time.monotonic() - start < 3
    assert body["next_batch"] and not body.get("rooms", {}).get("join")


def test_park_003_a_client_that_hangs_up_is_noticed(parked, scene):
    me, _, since = scene
    polls = [Poll(me).wait(since) for _ in range(20)]
    until(lambda: status(parked)["Parked"] == 20)
    for poll in polls:
        poll.close()
    until(lambda: status(parked)["Parked"] == 0)


def test_park_004_what_is_sent_ahead_is_no_hang_up(parked, scene):
    me, room_id, since = scene
    poll = Poll(me)
    poll.wait(since)
    poll.send("/_matrix/client/versions")
    until(lambda: status(parked)["Parked"] == 1)
    assert poll.is_silent(1)
    me.send(room_id, "ahead")
    assert texts(poll.answer()[1], room_id) == ["ahead"]
    assert "versions" in poll.answer()[1]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_park_005_news_of_another_user_wakes_nobody_else(parked, scene, tls):
    me, room_id, since = scene
    other = parked.register()
    other_room = other.create_room()
    poll = Poll(me, tls).wait(since)
    other.send(other_room, "not for you")
    assert poll.is_silent(1)
    me.send(room_id, "for you")
    assert texts(poll.answer()[1], room_id) == ["for you"]
    poll.wait(since, 0)
    assert "next_batch" in poll.answer()[1]


def test_park_006_news_before_the_poll_are_told_at_once(scene):
    me, room_id, since = scene
    me.send(room_id, "earlier")
    start = time.monotonic()
    assert texts(Poll(me).wait(since).answer()[1], room_id) == ["earlier"]
    assert time.monotonic() - start < 5


def test_park_007_no_news_is_lost_between_polls(scene):
    """A writer as fast as it can, a reader by long polls: each message once and in order."""
    me, room_id, since = scene
    n = 100
    writer = threading.Thread(target=lambda: [me.send(room_id, str(i)) for i in range(n)])
    writer.start()
    got, poll = [], Poll(me)
    while len(got) < n:
        answer = poll.wait(since).answer()[1]
        got += texts(answer, room_id)
        since = answer["next_batch"]
    writer.join()
    assert got == [str(i) for i in range(n)]


def test_park_008_a_graceful_restart_answers_all(make_server):
    server = make_server("--children", "1")
    me = server.register()
    me.create_room()
    since = me.sync()["next_batch"]
    polls = [Poll(me).wait(since) for _ in range(100)]
    idle = Poll(me)
    idle.wait(since, 300)                         # parks, is answered, stays open
    idle.answer()
    time.sleep(1)
    start = time.monotonic()
    server.quickstart("graceful")
    answers = [poll.answer() for poll in polls]
    assert time.monotonic() - start < 10
    assert all(head.startswith("HTTP/1.1 200") and "Connection: close" in head and body["next_batch"] for head, body in answers)
    assert idle.f.read(1) == b""
    assert me.sync(since)["next_batch"]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_park_009_streams_of_http2_wait_with_a_thread(parked, scene):
    me, room_id, since = scene
    blocked = status(parked)["Blocked"]
    curl = subprocess.Popen(["curl", "-sS", "--http2", "--cacert", me.ca, "-w", "\n%{http_version}", "-H", f"Authorization: Bearer {me.token}",
                             f"{parked.https_url}{V3}/sync?since={since}&timeout=30000"], stdout=subprocess.PIPE, text=True)
    until(lambda: status(parked)["Blocked"] == blocked + 1)
    me.send(room_id, "by stream")
    body, version = curl.communicate(timeout=30)[0].rsplit("\n", 1)
    assert version == "2" and texts(json.loads(body), room_id) == ["by stream"]
    assert status(parked)["Blocked"] == blocked


def test_park_010_past_the_bound_a_poll_is_answered_at_once(make_server):
    server = make_server("--children", "1", "--conf-line", "MatrixMaxWaiting 3")
    me = server.register()
    room_id = me.create_room()
    since = me.sync()["next_batch"]
    waiting = [Poll(me).wait(since) for _ in range(3)]
    time.sleep(0.5)
    start = time.monotonic()
    _, body = Poll(me).wait(since, 20000).answer()
    assert time.monotonic() - start < 3 and body["next_batch"] and not body.get("rooms", {}).get("join")
    me.send(room_id, "x")
    assert all(texts(poll.answer()[1], room_id) == ["x"] for poll in waiting)
    poll = Poll(me).wait(me.sync()["next_batch"], 1000)
    assert poll.is_silent(0.5)                    # there is room again


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_park_011_past_the_bound_of_threads_a_stream_is_answered_at_once(make_server):
    server = make_server("--children", "1", "--conf-line", "MatrixMaxBlockingWaits 0")
    me = server.register()
    since = me.sync()["next_batch"]
    start = time.monotonic()
    out = subprocess.run(["curl", "-sS", "--http2", "--cacert", me.ca, "-H", f"Authorization: Bearer {me.token}",
                          f"{server.https_url}{V3}/sync?since={since}&timeout=20000"], capture_output=True, text=True, timeout=30).stdout
    assert time.monotonic() - start < 5 and json.loads(out)["next_batch"]


def test_park_012_a_token_that_was_logged_out_ends_its_wait(scene):
    me, room_id, since = scene
    poll = Poll(me).wait(since, 4000)
    time.sleep(0.5)
    me.call("POST", f"{V3}/logout", {})
    head, body = poll.answer()
    assert head.startswith("HTTP/1.1 401") and body["errcode"] == "M_UNKNOWN_TOKEN"


def test_park_013_children_wake_each_other(make_server):
    """Writes go to one child and polls wait in another: with the look of 250 ms alone the mean would be 125 ms."""
    server = make_server("--children", "2")
    me = server.register()
    room_id = me.create_room()
    since = me.sync()["next_batch"]
    polls = [Poll(me) for _ in range(16)]         # over both children
    delays = []
    for i in range(12):
        for poll in polls:
            poll.wait(since)
        time.sleep(0.3)
        start = time.monotonic()
        me.send(room_id, str(i))
        answers = [poll.answer() for poll in polls]
        delays.append(time.monotonic() - start)
        since = answers[0][1]["next_batch"]
        assert all(texts(body, room_id) == [str(i)] for _, body in answers)
    assert sorted(delays)[len(delays) // 2] < 0.1, delays


def test_park_014_stopping_does_not_hang(make_server):
    server = make_server("--children", "1")
    me = server.register()
    me.create_room()
    since = me.sync()["next_batch"]
    polls = [Poll(me).wait(since) for _ in range(20)]
    time.sleep(0.5)
    start = time.monotonic()
    server.quickstart("restart")
    assert time.monotonic() - start < 20
    assert me.sync(since)["next_batch"] and polls


def prompt(user, seconds):
    """A request on a connection of its own is answered within that time."""
    start = time.monotonic()
    user.call("GET", f"{V3}/account/whoami", timeout=seconds * 4)
    assert time.monotonic() - start < seconds


def test_park_015_polls_do_not_use_up_the_connections_of_the_mpm(make_server):
    """Event MPM: a child accepts threads + factor x idle threads connections, those that wait included."""
    server = make_server("--children", "1", "--server-line", "AsyncRequestWorkerFactor 1")
    server.log.expect("AH00484")                  # so many connections at once are news to httpd
    me = server.register()
    since = me.sync()["next_batch"]
    polls = []
    try:
        for _ in range(300):
            polls.append(Poll(me).wait(since, 60000))
            if len(polls) % 50 == 0:
                time.sleep(0.2)
        time.sleep(0.5)
        prompt(me, 2)
    finally:
        for poll in polls:
            poll.close()


def test_park_016_clients_that_do_not_read_hold_no_thread(make_server):
    server = make_server("--children", "1", "--server-line", "Timeout 5", "--server-line", "SendBufferSize 4096")
    server.log.expect("AH00484")
    me = server.register()
    room_id = me.create_room()
    since = me.sync()["next_batch"]
    deaf = []
    for _ in range(150):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect((me.host, me.port))
        s.sendall(f"GET {V3}/sync?since={since}&timeout=60000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {me.token}\r\n\r\n".encode())
        deaf.append(s)
    time.sleep(1)
    me.send(room_id, "x" * 55000)
    end = time.monotonic() + 9
    while time.monotonic() < end:
        prompt(me, 1.5)
        time.sleep(0.1)
    for s in deaf:
        s.close()
