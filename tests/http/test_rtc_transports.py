# SPDX-License-Identifier: Apache-2.0
# MSC4143: MatrixRTC: discovery of transport infrastructure, under org.matrix.msc4143
import json

import pytest

PATH = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports"
TRANSPORTS = [{"type": "livekit", "livekit_service_url": "https://livekit.example.org"}, {"type": "org.example.spare", "n": 1}]


def test_rtc_transports_001_strangers_are_refused(server):
    server.call("GET", PATH, token=None, errcode="M_MISSING_TOKEN", status=401)
    server.call("GET", PATH, token="wrong", errcode="M_UNKNOWN_TOKEN", status=401)
    server.call("POST", PATH, {}, errcode="M_UNRECOGNIZED", status=405)


def test_rtc_transports_002_none_are_configured(server, user):
    assert user.call("GET", PATH).json() == {"rtc_transports": []}
    assert server.call("GET", "/_matrix/client/versions").json()["unstable_features"]["org.matrix.msc4143"] is True


def test_rtc_transports_003_all_are_told_in_their_order(make_server):
    server = make_server("--conf-line", f"MatrixRtcTransports '{json.dumps(TRANSPORTS)}'", "--conf-line", "MatrixRegistrationGuests on")
    assert server.register().call("GET", PATH).json() == {"rtc_transports": TRANSPORTS}
    guest = server.call("POST", "/_matrix/client/v3/register?kind=guest", {}).json()["access_token"]
    assert server.call("GET", PATH, token=guest).json() == {"rtc_transports": TRANSPORTS}


@pytest.mark.parametrize("value, word", [("x", "no JSON"), ("{}", "array"), ("[1]", "entry 1"), ('[{"type":"livekit"},{}]', "entry 2"),
                                         ('[{"type":"Bad"}]', "entry 1"), ('[{"type":5}]', "entry 1")])
def test_rtc_transports_004_configtest_refuses_what_clients_could_not_read(server, tmp_path, value, word):
    with open(f"{server.dir}/vhost.conf") as f:
        vhost = f.read() + f"MatrixRtcTransports '{value}'\n"
    with open(f"{server.dir}/httpd.conf") as f:
        conf = f.read().replace(f'"{server.dir}/vhost.conf"', f'"{tmp_path}/vhost.conf"')
    (tmp_path / "vhost.conf").write_text(vhost)
    (tmp_path / "httpd.conf").write_text(conf)
    done = server.quickstart("httpd", "-f", str(tmp_path / "httpd.conf"), "-t", check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and any("MatrixRtcTransports" in line and word in line for line in said.splitlines()), said
