# SPDX-License-Identifier: Apache-2.0
# CS-API: account registration; user-interactive authentication API
import pytest
from accounts import BOTH, challenge, failed_challenge, first_challenge, short
from harness import PASSWORD, V3, User

DUMMY = ["m.login.dummy"]
REGISTER = f"{V3}/register"
AVAILABLE = f"{V3}/register/available?username="


@pytest.fixture(scope="module")
def closed(make_module_server):
    return make_module_server("--conf-line", "MatrixRegistration closed", name="registration-closed", open_registration=False)


@pytest.fixture(scope="module")
def guests(make_module_server):
    return make_module_server("--conf-line", "MatrixRegistrationGuests on", name="registration-guests")


def dummy(session=None):
    return {"type": "m.login.dummy", **({"session": session} if session else {})}


def register(server, body, **expect):
    return server.call("POST", REGISTER, body, **expect)


@pytest.mark.parametrize("base", BOTH)
def test_registration_001_challenge_then_account(server, base):
    # CS-API: POST /register
    name = server.unused_name()
    body = {"username": name, "password": PASSWORD}
    session = first_challenge(server.call("POST", f"{base}/register", body, status=401), DUMMY)
    got = server.call("POST", f"{base}/register", {**body, "auth": dummy(session)}).json()
    assert got["user_id"] == f"@{name}:{server.server_name}" and got["home_server"] == server.server_name
    assert got["access_token"] and got["device_id"]
    assert "refresh_token" not in got and "expires_in_ms" not in got
    who = server.call("GET", f"{base}/account/whoami", token=got["access_token"]).json()
    assert who["user_id"] == got["user_id"] and who["device_id"] == got["device_id"]


def test_registration_002_auth_in_the_first_request(server):
    # CS-API: a session must be passed back "if one was given": there is none yet
    got = register(server, {"username": server.unused_name(), "password": PASSWORD, "auth": dummy()}).json()
    assert got["access_token"]


def test_registration_003_only_auth_in_the_second_request(server):
    # CS-API: fallback: the request may be repeated with just the auth dict
    name = server.unused_name()
    session = challenge(register(server, {"username": name, "password": PASSWORD, "device_id": "KEPT"}, status=401), DUMMY)
    got = register(server, {"auth": dummy(session)}).json()
    assert got["user_id"] == f"@{name}:{server.server_name}" and got["device_id"] == "KEPT"
    server.login(name)


def test_registration_004_asking_for_the_flows_first(server):
    # a session opened with an empty body takes the body of the next call
    session = first_challenge(register(server, {}, status=401), DUMMY)
    name = server.unused_name()
    assert register(server, {"username": name, "password": PASSWORD, "auth": dummy(session)})["user_id"].startswith(f"@{name}:")


def test_registration_005_a_session_serves_once(server):
    session = first_challenge(register(server, {}, status=401), DUMMY)
    register(server, {"username": server.unused_name(), "password": PASSWORD, "auth": dummy(session)})
    again = register(server, {"username": server.unused_name(), "password": PASSWORD, "auth": dummy(session)}, status=401)
    assert failed_challenge(again, "M_FORBIDDEN", DUMMY) != session


def test_registration_006_another_body_with_the_session_is_refused(server):
    # CS-API: "resubmitting the same request with the addition of an auth key"
    session = challenge(register(server, {"username": server.unused_name(), "password": PASSWORD}, status=401), DUMMY)
    register(server, {"username": server.unused_name(), "password": PASSWORD, "auth": dummy(session)}, status=403, errcode="M_FORBIDDEN")


def test_registration_007_a_stage_of_no_flow(server):
    # CS-API: failing to follow the flows in order must result in a 401
    body = {"username": server.unused_name(), "password": PASSWORD}
    session = challenge(register(server, body, status=401), DUMMY)
    for kind in ("m.login.password", "m.login.registration_token", "org.example.nothing"):
        again = register(server, {**body, "auth": {"type": kind, "session": session}}, status=401)
        assert failed_challenge(again, "M_FORBIDDEN", DUMMY) == session
    register(server, {**body, "auth": dummy(session)})


def test_registration_008_unknown_session(server):
    body = {"username": server.unused_name(), "password": PASSWORD}
    session = failed_challenge(register(server, {**body, "auth": dummy("nobodys")}, status=401), "M_FORBIDDEN", DUMMY)
    register(server, {**body, "auth": dummy(session)})


@pytest.mark.parametrize("auth", ["x", 7, [], {"type": 7}, {"session": 7, "type": "m.login.dummy"}])
def test_registration_009_auth_of_a_wrong_type(server, auth):
    register(server, {"username": server.unused_name(), "password": PASSWORD, "auth": auth}, status=400, errcode="M_BAD_JSON")


def test_registration_010_upper_case_is_folded(server):
    # Appendices: user identifiers; CS-API: the server must map the username in a logical manner, or reject it
    name = server.unused_name("fold")
    assert server.register(name.upper()).user_id == f"@{name}:{server.server_name}"
    register(server, {"username": name, "password": PASSWORD}, status=400, errcode="M_USER_IN_USE")
    server.login(name.upper())


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "@a", "a@b", "é", "a\"b", "a!b", "a#b", "a\tb", "x" * 250], ids=short)
def test_registration_011_invalid_names(server, name):
    # Appendices: user identifiers; told before the challenge
    register(server, {"username": name, "password": PASSWORD}, status=400, errcode="M_INVALID_USERNAME")
    register(server, {"username": name, "password": PASSWORD, "auth": dummy()}, status=400, errcode="M_INVALID_USERNAME")


def test_registration_012_the_whole_alphabet_and_length(server):
    # Appendices: user identifiers: a-z 0-9 . _ = - / +, the whole id at most 255 bytes
    name = "._=-/+09az" + server.unused_name()
    assert server.register(name).user_id == f"@{name}:{server.server_name}"
    longest = server.unused_name("l").ljust(255 - 2 - len(server.server_name), "x")
    assert len(server.register(longest).user_id) == 255
    register(server, {"username": longest + "x"}, status=400, errcode="M_INVALID_USERNAME")


def test_registration_013_a_taken_name_is_told_before_the_challenge(server, user):
    # CS-API: "Homeservers MUST perform the relevant checks … before performing User-Interactive Authentication"
    name = user.user_id[1:].split(":")[0]
    register(server, {"username": name, "password": PASSWORD}, status=400, errcode="M_USER_IN_USE")
    register(server, {"username": name, "password": PASSWORD, "auth": dummy()}, status=400, errcode="M_USER_IN_USE")


def test_registration_014_a_name_taken_during_authentication(server):
    name = server.unused_name()
    body = {"username": name, "password": PASSWORD}
    session = challenge(register(server, body, status=401), DUMMY)
    server.register(name)
    register(server, {**body, "auth": dummy(session)}, status=400, errcode="M_USER_IN_USE")


def test_registration_015_without_a_name_one_is_made(server):
    one, two = (register(server, {"password": PASSWORD, "auth": dummy()})["user_id"] for _ in range(2))
    assert one != two and one.startswith("@") and one.endswith(":" + server.server_name)
    server.login(one)


def test_registration_016_weak_and_endless_passwords(server):
    # CS-API: password management: M_WEAK_PASSWORD
    for auth in ({}, {"auth": dummy()}):
        register(server, {"username": server.unused_name(), "password": "seven77", **auth}, status=400, errcode="M_WEAK_PASSWORD")
        register(server, {"username": server.unused_name(), "password": "x" * 512, **auth}, status=400, errcode="M_INVALID_PARAM")
    server.register(password="éééééééé")


def test_registration_017_inhibit_login(server):
    name = server.unused_name()
    got = register(server, {"username": name, "password": PASSWORD, "inhibit_login": True, "auth": dummy()}).json()
    assert got["user_id"] == f"@{name}:{server.server_name}"
    assert not {"access_token", "device_id", "refresh_token", "expires_in_ms"} & set(got)
    user = server.login(name)
    assert [d["device_id"] for d in user.call("GET", f"{V3}/devices")["devices"]] == [user.device_id]


def test_registration_018_device_and_its_name(server):
    user = server.register(device_id="MYDEVICE", initial_device_display_name="Jungle Phone")
    assert user.device_id == "MYDEVICE"
    assert user.call("GET", f"{V3}/devices/MYDEVICE")["display_name"] == "Jungle Phone"


@pytest.mark.parametrize("extra, status, errcode", [
    ({"device_id": ""}, 400, "M_INVALID_PARAM"), ({"device_id": "x" * 256}, 400, "M_INVALID_PARAM"),
    ({"device_id": 7}, 400, "M_BAD_JSON"), ({"initial_device_display_name": "x" * 257}, 413, "M_TOO_LARGE"),
    ({"initial_device_display_name": []}, 400, "M_BAD_JSON"), ({"username": 7}, 400, "M_BAD_JSON"), ({"password": {}}, 400, "M_BAD_JSON"),
    ({"inhibit_login": "yes"}, 400, "M_BAD_JSON"), ({"refresh_token": 1}, 400, "M_BAD_JSON"), ({"password": "a\0b-long-enough"}, 400, "M_BAD_JSON"),
])
def test_registration_019_bad_members(server, extra, status, errcode):
    name = server.unused_name()
    register(server, {"username": name, "password": PASSWORD, "auth": dummy(), **extra}, status=status, errcode=errcode)
    server.call("GET", AVAILABLE + name)


def test_registration_020_refresh_token(server):
    # CS-API: refreshing access tokens
    got = register(server, {"username": server.unused_name(), "password": PASSWORD, "refresh_token": True, "auth": dummy()}).json()
    assert got["refresh_token"] and got["expires_in_ms"] > 0
    assert server.call("POST", f"{V3}/refresh", {"refresh_token": got["refresh_token"]})["access_token"] != got["access_token"]


def test_registration_021_closed(closed):
    # CS-API: 403: registration is generally not supported by the homeserver
    for body in ({}, {"username": "someone", "password": PASSWORD}, {"username": "someone", "auth": dummy()}):
        register(closed, body, status=403, errcode="M_FORBIDDEN")
    closed.call("GET", AVAILABLE + "someone", status=403, errcode="M_FORBIDDEN")


@pytest.mark.parametrize("base", BOTH)
def test_registration_022_available(server, user, base):
    # CS-API: GET /register/available
    path = f"{base}/register/available"
    assert server.call("GET", f"{path}?username={server.unused_name()}").json() == {"available": True}
    taken = user.user_id[1:].split(":")[0]
    server.call("GET", f"{path}?username={taken}", status=400, errcode="M_USER_IN_USE")
    server.call("GET", f"{path}?username={taken.upper()}", status=400, errcode="M_USER_IN_USE")
    server.call("GET", f"{path}?username=a%20b", status=400, errcode="M_INVALID_USERNAME")
    server.call("GET", f"{path}?username=", status=400, errcode="M_INVALID_USERNAME")
    server.call("GET", path, status=400, errcode="M_MISSING_PARAM")


def test_registration_023_kinds(server):
    register(server, {"auth": dummy()}, status=200)
    server.call("POST", f"{REGISTER}?kind=user", {}, status=401)
    server.call("POST", f"{REGISTER}?kind=guest", {}, status=403, errcode="M_FORBIDDEN")
    server.call("POST", f"{REGISTER}?kind=other", {}, status=400, errcode="M_INVALID_PARAM")


def test_registration_024_guests(guests):
    # CS-API: "all parameters … with the exception of initial_device_display_name MUST BE ignored"; guest access
    got = guests.call("POST", f"{REGISTER}?kind=guest", {"username": "chosen", "password": "x", "device_id": "CHOSEN", "inhibit_login": True,
                                                         "initial_device_display_name": "Guest"}).json()
    assert got["access_token"] and got["device_id"] != "CHOSEN" and not got["user_id"].startswith("@chosen:")
    guest = User(guests, got, None)
    assert guest.call("GET", f"{V3}/account/whoami")["is_guest"] is True
    assert guest.call("GET", f"{V3}/devices/{guest.device_id}")["display_name"] == "Guest"
    guest.call("POST", f"{V3}/account/password", {"new_password": PASSWORD}, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
    guest.call("DELETE", f"{V3}/devices/{guest.device_id}", {}, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
    guest.call("PUT", f"{V3}/profile/{guest.user_id}/displayname", {"displayname": "Visitor"})
    guest.call("PUT", f"{V3}/profile/{guest.user_id}/avatar_url", {"avatar_url": "mxc://a/b"}, status=403, errcode="M_GUEST_ACCESS_FORBIDDEN")
    guest.call("POST", f"{V3}/logout")


def test_registration_025_one_transaction(server):
    """A registration that fails half way leaves nothing behind: of two at once with one name, one account with one device remains."""
    import threading
    name, answers = server.unused_name(), []
    body = {"username": name, "password": PASSWORD, "auth": dummy()}
    threads = [threading.Thread(target=lambda: answers.append(register(server, body, status=None))) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(a.status_code for a in answers) == [200, 400, 400, 400], answers
    assert {a["errcode"] for a in answers if a.status_code == 400} == {"M_USER_IN_USE"}
    assert len(server.login(name).call("GET", f"{V3}/devices")["devices"]) == 2


def test_registration_026_a_guest_becomes_a_user(guests):
    # CS-API: guest access: guest_access_token, and the local part of the guest's name as username
    guest = User(guests, guests.call("POST", f"{REGISTER}?kind=guest", {}).json(), PASSWORD)
    name, path = guest.user_id[1:].split(":")[0], f"{V3}/register"
    body = {"username": name, "password": PASSWORD, "guest_access_token": guest.token}
    guests.call("POST", path, {**body, "username": "another"}, status=400, errcode="M_INVALID_USERNAME")
    guests.call("POST", path, {"password": PASSWORD, "guest_access_token": guest.token}, status=400, errcode="M_MISSING_PARAM")
    guests.call("POST", path, {**body, "guest_access_token": "nobodys"}, status=401, errcode="M_UNKNOWN_TOKEN")
    guests.call("POST", path, {**body, "guest_access_token": guests.register().token}, status=400, errcode="M_INVALID_PARAM")
    guests.call("POST", path, {"username": name, "password": PASSWORD}, status=400, errcode="M_USER_IN_USE")
    user = User(guests, guests.call("POST", path, {**body, "auth": dummy()}).json(), PASSWORD)
    assert user.user_id == guest.user_id and user.call("GET", f"{V3}/account/whoami")["is_guest"] is False
    guest.call("GET", f"{V3}/account/whoami", status=401, errcode="M_UNKNOWN_TOKEN")
    guests.login(name)
