# SPDX-License-Identifier: Apache-2.0
# CS-API: POST /account/password; password-based authentication
import pytest
from accounts import BOTH, failed_challenge, first_challenge, is_logged_in, login_body, password_auth, with_password
from harness import PASSWORD, V3

FLOW = ["m.login.password"]
PATH = f"{V3}/account/password"
NEW = "a brand new password"


@pytest.mark.parametrize("base", BOTH)
def test_password_management_001_change(server, user, base):
    assert with_password(user, "POST", f"{base}/account/password", {"new_password": NEW}).json() == {}
    server.call("POST", f"{V3}/login", login_body(user.user_id), status=403, errcode="M_FORBIDDEN")
    assert server.login(user.user_id, NEW).user_id == user.user_id
    assert is_logged_in(user)       # "The homeserver SHOULD NOT revoke the access token provided in the request"


def test_password_management_002_other_devices_are_logged_out(server, user):
    other = server.login(user.user_id)
    with_password(user, "POST", PATH, {"new_password": NEW})
    assert is_logged_in(user) and not is_logged_in(other)
    assert [d["device_id"] for d in user.call("GET", f"{V3}/devices")["devices"]] == [user.device_id]


def test_password_management_003_logout_devices_false(server, user):
    other = server.login(user.user_id)
    with_password(user, "POST", PATH, {"new_password": NEW, "logout_devices": False})
    assert is_logged_in(user) and is_logged_in(other)


def test_password_management_004_wrong_password_then_right(user):
    session = first_challenge(user.call("POST", PATH, {"new_password": NEW}, status=401), FLOW)
    wrong = user.call("POST", PATH, {"new_password": NEW, "auth": password_auth(user, session, password="wrong")}, status=401)
    assert failed_challenge(wrong, "M_FORBIDDEN", FLOW) == session
    user.call("POST", PATH, {"new_password": NEW, "auth": password_auth(user, session)})


def test_password_management_005_the_password_of_another_user(user, user2):
    session = first_challenge(user.call("POST", PATH, {"new_password": NEW}, status=401), FLOW)
    wrong = user.call("POST", PATH, {"new_password": NEW, "auth": password_auth(user2, session)}, status=401)
    failed_challenge(wrong, "M_FORBIDDEN", FLOW)
    user.server.login(user2.user_id)


def test_password_management_006_the_old_user_field(user):
    auth = {"type": "m.login.password", "user": user.user_id, "password": PASSWORD}
    user.call("POST", PATH, {"new_password": NEW, "auth": auth})


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"), ({"new_password": 7}, 400, "M_BAD_JSON"), ({"new_password": "short"}, 400, "M_WEAK_PASSWORD"),
    ({"new_password": "x" * 600}, 400, "M_INVALID_PARAM"), ({"new_password": NEW, "logout_devices": "no"}, 400, "M_BAD_JSON"),
    ({"new_password": NEW, "auth": 7}, 400, "M_BAD_JSON"),
    ({"new_password": NEW, "auth": {"type": "m.login.password", "password": "x"}}, 400, "M_MISSING_PARAM"),
    ({"new_password": NEW, "auth": {"type": "m.login.password", "user": "x"}}, 400, "M_MISSING_PARAM"),
    ({"new_password": NEW, "auth": {"type": "m.login.password", "user": "x", "password": 7}}, 400, "M_BAD_JSON"),
    # "In the case that the homeserver does not know about the supplied 3PID, the homeserver must respond with 403 Forbidden."
    ({"new_password": NEW, "auth": {"type": "m.login.password", "identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "a@b"},
                                    "password": "x"}}, 403, "M_FORBIDDEN"),
])
def test_password_management_007_bad_requests(user, body, status, errcode):
    user.call("POST", PATH, body, status=status, errcode=errcode)
    user.server.login(user.user_id)


def test_password_management_008_credentials(server):
    server.call("POST", PATH, {"new_password": NEW}, status=401, errcode="M_MISSING_TOKEN")
    server.call("POST", PATH, {"new_password": NEW}, token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")


def test_password_management_009_another_new_password_with_the_session(user):
    session = first_challenge(user.call("POST", PATH, {"new_password": NEW}, status=401), FLOW)
    user.call("POST", PATH, {"new_password": NEW + "!", "auth": password_auth(user, session)}, status=403, errcode="M_FORBIDDEN")
    user.server.login(user.user_id)


def test_password_management_010_passwords_are_kept_as_slow_hashes(server, user):
    session = first_challenge(user.call("POST", PATH, {"new_password": NEW}, status=401), FLOW)
    rows = server.sql(f"select password_hash from account join mxid using (user_nid) where mxid = '{user.user_id}'")
    assert rows[0][0].startswith("$y$")
    kept = server.sql(f"select encode(request, 'escape') from uia_session where session = '{session}'")
    assert NEW not in kept[0][0]
