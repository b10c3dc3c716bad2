# SPDX-License-Identifier: Apache-2.0
# CS-API: token-authenticated registration
import pytest
from accounts import challenge, failed_challenge, first_challenge, short
from harness import PASSWORD, V3

FLOW = ["m.login.registration_token"]
REGISTER = f"{V3}/register"
VALIDITY = "/_matrix/client/v1/register/m.login.registration_token/validity"


@pytest.fixture(scope="module")
def token_server(make_module_server):
    return make_module_server("--conf-line", "MatrixRegistration token", name="registration-tokens", open_registration=False)


def add_token(server, token, uses="null", expires="null"):
    server.sql(f"insert into registration_token (token, uses_allowed, expires_ts) values ('{token}', {uses}, {expires})")
    return token


def auth(token, session=None):
    return {"type": FLOW[0], "token": token, **({"session": session} if session else {})}


def counts(server, token):
    return [int(n) for n in server.sql(f"select pending, completed from registration_token where token = '{token}'")[0]]


def test_registration_tokens_001_register(token_server):
    token = add_token(token_server, "fBVFdqVE")
    body = {"username": token_server.unused_name(), "password": PASSWORD}
    session = first_challenge(token_server.call("POST", REGISTER, body, status=401), FLOW)
    got = token_server.call("POST", REGISTER, {**body, "auth": auth(token, session)}).json()
    assert got["user_id"] == f"@{body['username']}:{token_server.server_name}" and got["access_token"]
    assert counts(token_server, token) == [0, 1]


@pytest.mark.parametrize("token", ["unknown", "", "x" * 65], ids=short)
def test_registration_tokens_002_wrong_token_then_right(token_server, token):
    right = add_token(token_server, token_server.unused_name("t"))
    body = {"username": token_server.unused_name(), "password": PASSWORD}
    session = challenge(token_server.call("POST", REGISTER, body, status=401), FLOW)
    wrong = token_server.call("POST", REGISTER, {**body, "auth": auth(token, session)}, status=401)
    assert failed_challenge(wrong, "M_UNAUTHORIZED", FLOW) == session
    token_server.call("POST", REGISTER, {**body, "auth": auth(right, session)})


def test_registration_tokens_003_the_dummy_stage_does_not_help(token_server):
    body = {"username": token_server.unused_name(), "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    failed_challenge(token_server.call("POST", REGISTER, body, status=401), "M_FORBIDDEN", FLOW)


@pytest.mark.parametrize("more, errcode", [({}, "M_MISSING_PARAM"), ({"token": 7}, "M_BAD_JSON")])
def test_registration_tokens_004_bad_stage(token_server, more, errcode):
    body = {"username": token_server.unused_name(), "password": PASSWORD, "auth": {"type": FLOW[0], **more}}
    token_server.call("POST", REGISTER, body, status=400, errcode=errcode)


def test_registration_tokens_005_used_up_and_expired(token_server):
    once = add_token(token_server, token_server.unused_name("t"), uses=1)
    gone = add_token(token_server, token_server.unused_name("t"), expires=1000)
    assert token_server.call("GET", f"{VALIDITY}?token={once}").json() == {"valid": True}
    token_server.call("POST", REGISTER, {"username": token_server.unused_name(), "auth": auth(once)})
    assert token_server.call("GET", f"{VALIDITY}?token={once}").json() == {"valid": False}
    for token in (once, gone):
        again = token_server.call("POST", REGISTER, {"username": token_server.unused_name(), "auth": auth(token)}, status=401)
        failed_challenge(again, "M_UNAUTHORIZED", FLOW)
    assert counts(token_server, once) == [0, 1] and counts(token_server, gone) == [0, 0]


def test_registration_tokens_006_a_taken_name_uses_no_token(token_server):
    token, name = add_token(token_server, token_server.unused_name("t"), uses=2), token_server.unused_name()
    token_server.call("POST", REGISTER, {"username": name, "auth": auth(token)})
    token_server.call("POST", REGISTER, {"username": name, "auth": auth(token)}, status=400, errcode="M_USER_IN_USE")
    assert counts(token_server, token) == [0, 1]


def test_registration_tokens_007_validity(token_server, server):
    # CS-API: GET /register/m.login.registration_token/validity
    expired = add_token(token_server, token_server.unused_name("t"), expires=1000)
    assert token_server.call("GET", f"{VALIDITY}?token=unknown").json() == {"valid": False}
    assert token_server.call("GET", f"{VALIDITY}?token={expired}").json() == {"valid": False}
    token_server.call("GET", VALIDITY, status=400, errcode="M_MISSING_PARAM")
    assert server.call("GET", f"{VALIDITY}?token=unknown").json() == {"valid": False}


def test_registration_tokens_008_validity_where_registration_is_closed(make_server):
    closed = make_server("--conf-line", "MatrixRegistration closed", open_registration=False)
    closed.call("GET", f"{VALIDITY}?token=x", status=403, errcode="M_FORBIDDEN")
