# SPDX-License-Identifier: Apache-2.0
"""What the tests of accounts share: user-interactive authentication and its answers."""
from harness import PASSWORD, V3

BOTH = ["/_matrix/client/r0", "/_matrix/client/v3"]


def short(value):
    """The name of a parametrized case: not 64 KiB of it."""
    return repr(value)[:40]


def password_auth(user, session=None, **change):
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}, "password": user.password}
    if session:
        auth["session"] = session
    return {**auth, **change}


def challenge(reply, *flows):
    """The 401 of an endpoint with user-interactive authentication; returns its session."""
    body = reply.json()
    assert reply.status_code == 401 and body["flows"] == [{"stages": list(stages)} for stages in flows], reply
    assert isinstance(body["params"], dict) and isinstance(body["session"], str) and body["session"], reply
    return body["session"]


def first_challenge(reply, *flows):
    """The one that answers a request without auth: no error is named."""
    session = challenge(reply, *flows)
    assert not {"errcode", "error", "completed"} & set(reply.json()), reply
    return session


def failed_challenge(reply, errcode, *flows, completed=()):
    """The one that answers a stage that was not passed."""
    session = challenge(reply, *flows)
    body = reply.json()
    assert body["errcode"] == errcode and body["error"] and body["completed"] == list(completed), reply
    return session


def with_password(user, method, target, body=None, **expect):
    """Runs an operation through the password stage."""
    session = first_challenge(user.call(method, target, body or {}, status=401), ["m.login.password"])
    return user.call(method, target, {**(body or {}), "auth": password_auth(user, session)}, **expect)


def login_body(user, password=PASSWORD, **extra):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **extra}


def is_logged_in(user):
    status = user.call("GET", f"{V3}/account/whoami", status=None).status_code
    assert status in (200, 401)
    return status == 200
