# SPDX-License-Identifier: Apache-2.0
# CS-API: login
import pytest
from accounts import BOTH, is_logged_in, login_body, with_password
from harness import PASSWORD, V3

LOGIN = f"{V3}/login"


def localpart(user):
    return user.user_id[1:].split(":")[0]


@pytest.mark.parametrize("base", BOTH)
def test_login_001_flows(server, base):
    # CS-API: GET /login
    assert server.call("GET", f"{base}/login").json() == {"flows": [{"type": "m.login.password"}]}


@pytest.mark.parametrize("base", BOTH)
def test_login_002_password(server, user, base):
    # CS-API: POST /login; identifier types: Matrix user ID
    for name in (localpart(user), user.user_id):
        got = server.call("POST", f"{base}/login", login_body(name)).json()
        assert got["user_id"] == user.user_id and got["home_server"] == server.server_name
        assert got["access_token"] and got["device_id"] != user.device_id
        assert server.call("GET", f"{base}/account/whoami", token=got["access_token"])["device_id"] == got["device_id"]


@pytest.mark.parametrize("base", BOTH)
def test_login_003_the_old_user_field(server, user, base):
    for name in (localpart(user), user.user_id):
        body = {"type": "m.login.password", "user": name, "password": PASSWORD}
        assert server.call("POST", f"{base}/login", body)["user_id"] == user.user_id


def test_login_004_upper_case_reaches_the_user(server, user):
    # Appendices: user identifiers: it should be possible to reach @user:matrix.org as @USER:matrix.org
    name = localpart(user).upper()
    assert server.call("POST", LOGIN, login_body(name))["user_id"] == user.user_id
    assert server.call("POST", LOGIN, login_body(f"@{name}:{server.server_name}"))["user_id"] == user.user_id


def test_login_005_wrong_password_and_unknown_user_are_alike(server, user):
    wrong = server.call("POST", LOGIN, login_body(localpart(user), "wrong password"), status=403, errcode="M_FORBIDDEN").json()
    for name in ("nobody-at-all", "@nobody:elsewhere.example", f"{user.user_id}x", "@", "", "a:b", "x" * 300):
        assert server.call("POST", LOGIN, login_body(name), status=403, errcode="M_FORBIDDEN").json() == wrong
    server.call("POST", LOGIN, login_body(localpart(user), ""), status=403, errcode="M_FORBIDDEN")
    server.call("POST", LOGIN, login_body(localpart(user), "x" * 5000), status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"),
    ({"type": 7}, 400, "M_BAD_JSON"),
    ({"type": "m.login.token", "token": "x"}, 400, "M_UNKNOWN"),
    ({"type": "org.example.unknown"}, 400, "M_UNKNOWN"),
    ({"type": "m.login.password", "password": "x"}, 400, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "user": "x"}, 400, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "user": 7, "password": "x"}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "user": "x", "password": 7}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "identifier": "x", "password": "x"}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "identifier": {}, "password": "x"}, 400, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "identifier": {"type": 7}, "password": "x"}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.user"}, "password": "x"}, 400, "M_MISSING_PARAM"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": 7}, "password": "x"}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "identifier": {"type": "org.example.unknown"}, "password": "x"}, 400, "M_UNKNOWN"),
    # "In the case that the homeserver does not know about the supplied 3PID, the homeserver must respond with 403 Forbidden."
    ({"type": "m.login.password", "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b"}, "password": "x"}, 403, "M_FORBIDDEN"),
    ({"type": "m.login.password", "identifier": {"type": "m.id.phone", "country": "GB", "phone": "1"}, "password": "x"}, 403, "M_FORBIDDEN"),
    ({"type": "m.login.password", "medium": "email", "address": "a@b", "password": "x"}, 403, "M_FORBIDDEN"),
    ({"type": "m.login.password", "user": "x", "password": "x", "device_id": ""}, 400, "M_INVALID_PARAM"),
    ({"type": "m.login.password", "user": "x", "password": "x", "device_id": 7}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "user": "x", "password": "x", "refresh_token": "yes"}, 400, "M_BAD_JSON"),
    ({"type": "m.login.password", "user": "x", "password": "x", "initial_device_display_name": "x" * 300}, 413, "M_TOO_LARGE"),
])
def test_login_006_bad_requests(server, body, status, errcode):
    server.call("POST", LOGIN, body, status=status, errcode=errcode)


def test_login_007_a_device_used_again_loses_its_tokens(server, user):
    # CS-API: relationship between access tokens and devices
    first = server.login(user.user_id, device_id="PHONE", initial_device_display_name="First")
    other = server.login(user.user_id)
    second = server.login(user.user_id, device_id="PHONE", initial_device_display_name="Second")
    assert second.device_id == first.device_id == "PHONE" and second.token != first.token
    assert not is_logged_in(first) and is_logged_in(second) and is_logged_in(other)
    # "Ignored if device_id corresponds to a known device"
    assert second.call("GET", f"{V3}/devices/PHONE")["display_name"] == "First"


def test_login_008_a_device_used_again_loses_its_refresh_token(server, user):
    first = server.call("POST", LOGIN, login_body(user.user_id, device_id="PHONE", refresh_token=True)).json()
    assert first["expires_in_ms"] > 0
    server.login(user.user_id, device_id="PHONE")
    server.call("POST", f"{V3}/refresh", {"refresh_token": first["refresh_token"]}, status=401, errcode="M_UNKNOWN_TOKEN")


def test_login_009_deactivated(server, user):
    with_password(user, "POST", f"{V3}/account/deactivate")
    server.call("POST", LOGIN, login_body(user.user_id), status=403, errcode="M_USER_DEACTIVATED")
    server.call("POST", LOGIN, login_body(user.user_id, "wrong password"), status=403, errcode="M_FORBIDDEN")


def test_login_010_well_known(make_server):
    server = make_server("--conf-line", "MatrixWellKnownClient https://matrix.example.org")
    user = server.register()
    got = server.call("POST", LOGIN, login_body(user.user_id)).json()
    assert got["well_known"] == {"m.homeserver": {"base_url": "https://matrix.example.org"}}


def test_login_011_wrong_tokens(server):
    # CS-API: using access tokens
    server.call("GET", f"{V3}/account/whoami", status=401, errcode="M_MISSING_TOKEN")
    for token in ("x", "mxa_" + "A" * 43, "x" * 2000):
        reply = server.call("GET", f"{V3}/account/whoami", token=token, status=401, errcode="M_UNKNOWN_TOKEN")
        assert not reply.json().get("soft_logout")


def test_login_012_rate_limit(make_server):
    # CS-API: rate limiting
    server = make_server(rate_limits=True)
    for _ in range(100):
        reply = server.call("POST", LOGIN, login_body("nobody", "x"), status=None)
        if reply.status_code == 429:
            break
    assert reply.status_code == 429 and reply["errcode"] == "M_LIMIT_EXCEEDED" and reply["retry_after_ms"] > 0
