# SPDX-License-Identifier: Apache-2.0
"""conf/quickstart as a person uses it."""
import collections
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
import requests

from harness import QUICKSTART, V3, Api, free_ports


@pytest.fixture(scope="module")
def two(make_module_server):
    """A server with a second homeserver in the same httpd."""
    plain, tls = free_ports(2)
    return make_module_server("--server-name", "one.example", "--extra-vhost", f"two.example:8448={plain},{tls}", name="two")


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_quickstart_001_json_is_one_object_with_everything(two):
    told = two.told
    for key in ("base_url", "https_url", "server_name", "admin_user", "admin_password", "pid", "error_log", "dsn", "ca"):
        assert told[key], key
    assert "admin_console_url" in told
    assert told["server_name"] == "one.example"
    assert os.path.exists(told["error_log"]) and os.path.exists(told["ca"])
    os.kill(told["pid"], 0)


def test_quickstart_002_both_ports_answer_and_the_certificate_is_good(two):
    assert "versions" in two.call("GET", "/_matrix/client/versions").json()
    assert "versions" in Api(two.https_url, two.ca).call("GET", "/_matrix/client/versions").json()


def test_quickstart_003_a_second_up_is_quick_and_loses_nothing(two):
    user = two.register()
    room = user.create_room(name="stays")
    start = time.monotonic()
    two.up()
    assert time.monotonic() - start < 5
    assert user.get_state(room, "m.room.name").json() == {"name": "stays"}


def test_quickstart_004_down_and_up_loses_nothing(two):
    user = two.register()
    room = user.create_room(name="stays")
    port = two.port
    assert two.quickstart("status").returncode == 0
    two.down()
    assert two.quickstart("status", check=False).returncode == 3
    assert not accepts(port)
    assert two.quickstart("down").returncode == 0
    start = time.monotonic()
    two.up()
    assert time.monotonic() - start < 5
    assert user.get_state(room, "m.room.name").json() == {"name": "stays"}


def test_quickstart_005_the_admin_can_log_in(two):
    admin = two.admin()
    assert admin.user_id == "@admin:one.example"
    assert two.vhosts[0].admin().user_id == "@admin:two.example:8448"


def test_quickstart_006_the_three_lines_work_as_printed(two):
    said = two.quickstart("up").stdout
    lines = [line for line in said.splitlines() if line.startswith("curl ")]
    assert len(lines) == 3
    answers = [json.loads(subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, check=True, timeout=30).stdout) for line in lines]
    assert "versions" in answers[0]
    assert answers[1]["user_id"] == "@admin:one.example"
    assert answers[2]["room_id"].startswith("!")


def test_quickstart_007_two_names_in_one_httpd_are_two_servers(two):
    other = two.vhosts[0]
    name = two.unused_name()
    one, second = two.register(name), other.register(name)
    assert one.user_id == f"@{name}:one.example"
    assert second.user_id == f"@{name}:two.example:8448"
    other.call("GET", f"{V3}/account/whoami", token=one.access_token, status=401, errcode="M_UNKNOWN_TOKEN")
    two.call("GET", f"{V3}/account/whoami", token=second.access_token, status=401, errcode="M_UNKNOWN_TOKEN")
    room = one.create_room()
    second.call("GET", f"{V3}/rooms/{room}/state", status=403, errcode="M_FORBIDDEN")


def test_quickstart_008_the_second_name_answers_on_the_shared_ports_too(two):
    second = two.vhosts[0].register()
    reply = two.request("GET", f"{V3}/account/whoami", headers={"Host": "two.example", "Authorization": f"Bearer {second.access_token}"})
    assert reply.status_code == 200, reply
    assert reply["user_id"] == second.user_id


def test_quickstart_009_graceful_restart_keeps_serving(two):
    user = two.register()
    room = user.create_room()
    done = threading.Event()
    seen = collections.Counter()

    def speak(name):
        n = 0
        while not done.is_set():
            n += 1
            reply = requests.put(f"{two.base_url}{V3}/rooms/{room}/send/m.room.message/{name}{n}", timeout=30,
                                 json={"msgtype": "m.text", "body": "still here"},
                                 headers={"Authorization": f"Bearer {user.access_token}", "Connection": "close"})
            seen[reply.status_code] += 1

    threads = [threading.Thread(target=speak, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for _ in range(3):
        two.quickstart("graceful")
        time.sleep(1)
    done.set()
    for thread in threads:
        thread.join()
    assert set(seen) == {200} and seen[200] > 20, seen


def test_quickstart_010_no_token_in_the_access_log(two):
    user = two.register()
    two.call("GET", f"{V3}/account/whoami?access_token={user.access_token}", token=None)
    time.sleep(0.2)
    for log in ("access.log", "error.log"):
        with open(os.path.join(two.dir, "log", log)) as f:
            text = f.read()
        assert user.access_token not in text
        assert user.password not in text


def test_quickstart_011_reset_empties_the_database(two):
    user = two.register()
    two.quickstart("reset")
    two.call("GET", f"{V3}/account/whoami", token=user.access_token, status=401, errcode="M_UNKNOWN_TOKEN")
    two.admin()
    two.register(user.user_id.split(":")[0][1:])


def test_quickstart_012_psql_reaches_the_database(two):
    assert two.sql("SELECT current_user, current_setting('listen_addresses'), current_setting('fsync')") == [["matrix", "", "on"]]


def test_quickstart_013_a_refused_line_leaves_the_server_running(two):
    done = two.quickstart("up", "--conf-line", "MatrixNoSuchThing 1", check=False)
    assert done.returncode == 1
    assert "MatrixNoSuchThing" in done.stderr
    two.call("GET", "/_matrix/client/versions")
    two.up()


def test_quickstart_014_the_name_of_a_server_stays(two):
    done = two.quickstart("up", "--server-name", "other.example", check=False)
    assert done.returncode == 1 and "one.example" in done.stderr
    two.up()


@pytest.mark.parametrize("options, word", [
    (["--server-name", "no/name"], "--server-name"), (["--http", "70000"], "--http"), (["--children", "0"], "--children"),
    (["--extra-vhost", "x"], "--extra-vhost"), (["--ca-cert", "/nowhere"], "ca"), (["--bogus"], "--bogus"), (["--http"], "--http"),
    (["--shared-secret"], "needs a value"), (["--appservice", "/no/such/file"], "cannot be read"), (["--trust-ca", "/no/such/file"], "cannot be read"),
])
def test_quickstart_015_wrong_options_are_one_sentence(tmp_path, options, word):
    done = subprocess.run([QUICKSTART, "up", "--dir", str(tmp_path / "x"), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert word in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_quickstart_016_options_are_remembered(two):
    two.up("--conf-line", "MatrixMaxWaiting 77")
    two.up()
    with open(os.path.join(two.dir, "vhost.conf")) as f:
        assert re.search(r"^MatrixMaxWaiting 77$", f.read(), re.M)
    two.up("--conf-line", "")
    with open(os.path.join(two.dir, "vhost.conf")) as f:
        assert "MatrixMaxWaiting" not in f.read()


def test_quickstart_018_options_of_later_versions_are_remembered_and_said(two):
    done = two.quickstart("up", "--shared-secret", "hush", "--allow-private-federation", "--trust-ca", os.path.join(two.dir, "ca.pem"))
    for option in ("--shared-secret", "--allow-private-federation", "--trust-ca"):
        assert f"{option} is remembered, but this version has nothing yet that reads it" in done.stderr
    assert "hush" not in done.stderr
    assert "--shared-secret is remembered" in two.quickstart("up").stderr


def test_quickstart_017_idle_it_is_small(two):
    """Children idle: at most 40 MB together, of what they do not share."""
    two.quickstart("restart")
    two.up()
    total = 0
    for pid in two.children():
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += int(re.search(r"^Pss: +(\d+) kB", f.read(), re.M).group(1))
    if os.environ.get("MX_BUILD") != "asan":
        assert total < 40 * 1024
