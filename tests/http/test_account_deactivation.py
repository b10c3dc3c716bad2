# SPDX-License-Identifier: Apache-2.0
# CS-API: POST /account/deactivate
import pytest
from accounts import BOTH, failed_challenge, first_challenge, is_logged_in, login_body, password_auth, with_password
from harness import V3, quote

FLOW = ["m.login.password"]
PATH = f"{V3}/account/deactivate"


@pytest.mark.parametrize("base", BOTH)
def test_account_deactivation_001_the_account_is_closed(server, user, base):
    other = server.login(user.user_id)
    got = with_password(user, "POST", f"{base}/account/deactivate").json()
    assert got == {"id_server_unbind_result": "success"}    # "must be success if the homeserver has no identifiers to unbind"
    assert not is_logged_in(user) and not is_logged_in(other)
    server.call("POST", f"{V3}/login", login_body(user.user_id), status=403, errcode="M_USER_DEACTIVATED")


def test_account_deactivation_002_the_name_stays_taken(server, user):
    with_password(user, "POST", PATH)
    name = user.user_id[1:].split(":")[0]
    server.call("GET", f"{V3}/register/available?username={name}", status=400, errcode="M_USER_IN_USE")
    server.call("POST", f"{V3}/register", {"username": name, "password": "long enough"}, status=400, errcode="M_USER_IN_USE")


def test_account_deactivation_003_rooms_are_left(user, user2):
    joined, invited = user2.create_room(preset="public_chat"), user2.create_room(preset="private_chat")
    user.join(joined)
    user2.invite(invited, user.user_id)
    with_password(user, "POST", PATH)
    for room in (joined, invited):
        assert user2.get_state(room, "m.room.member", user.user_id).json()["membership"] == "leave"


def test_account_deactivation_004_wrong_password(user):
    session = first_challenge(user.call("POST", PATH, {}, status=401), FLOW)
    wrong = user.call("POST", PATH, {"auth": password_auth(user, session, password="wrong")}, status=401)
    assert failed_challenge(wrong, "M_FORBIDDEN", FLOW) == session
    assert is_logged_in(user)


def test_account_deactivation_005_erase(server, user):
    me = quote(user.user_id)
    user.call("PUT", f"{V3}/profile/{me}/displayname", {"displayname": "Alice"})
    with_password(user, "POST", PATH, {"erase": True})
    server.call("GET", f"{V3}/profile/{me}", status=404, errcode="M_NOT_FOUND")
    server.call("POST", f"{V3}/login", login_body(user.user_id), status=403, errcode="M_FORBIDDEN")


def test_account_deactivation_006_without_erase_the_profile_stays(server, user):
    me = quote(user.user_id)
    user.call("PUT", f"{V3}/profile/{me}/displayname", {"displayname": "Alice"})
    with_password(user, "POST", PATH, {"erase": False})
    assert server.call("GET", f"{V3}/profile/{me}").json() == {"displayname": "Alice"}


def test_account_deactivation_007_bad_requests(server, user):
    user.call("POST", PATH, {"erase": "yes"}, status=400, errcode="M_BAD_JSON")
    user.call("POST", PATH, {"auth": []}, status=400, errcode="M_BAD_JSON")
    server.call("POST", PATH, {}, status=401, errcode="M_MISSING_TOKEN")
    server.call("POST", PATH, {}, token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")
    assert is_logged_in(user)


def test_account_deactivation_008_a_session_for_something_else(user):
    session = first_challenge(user.call("POST", f"{V3}/delete_devices", {"devices": []}, status=401), FLOW)
    user.call("POST", PATH, {"auth": password_auth(user, session)}, status=403, errcode="M_FORBIDDEN")
    assert is_logged_in(user)
