# SPDX-License-Identifier: Apache-2.0
# CS-API: POST /logout, POST /logout/all
import time

import pytest
from accounts import BOTH, is_logged_in
from harness import V3, Api


@pytest.mark.parametrize("base", BOTH)
def test_logout_001_token_and_device_go(server, user, base):
    other = server.login(user.user_id)
    assert user.call("POST", f"{base}/logout", {}).json() == {}
    user.call("GET", f"{base}/account/whoami", status=401, errcode="M_UNKNOWN_TOKEN")
    assert [d["device_id"] for d in other.call("GET", f"{V3}/devices")["devices"]] == [other.device_id]


def test_logout_002_without_a_body(user):
    user.call("POST", f"{V3}/logout")
    assert not is_logged_in(user)


@pytest.mark.parametrize("base", BOTH)
def test_logout_003_all(server, user, base):
    others = [server.login(user.user_id) for _ in range(3)]
    bystander = server.register()
    assert user.call("POST", f"{base}/logout/all", {}).json() == {}
    assert not any(is_logged_in(u) for u in [user, *others]) and is_logged_in(bystander)
    assert len(server.login(user.user_id).call("GET", f"{V3}/devices")["devices"]) == 1


def test_logout_004_ends_the_refresh_token(server):
    user = server.register()
    got = server.login(user.user_id, refresh_token=True)
    refresh = server.call("POST", f"{V3}/login", {"type": "m.login.password", "user": user.user_id, "password": user.password,
                                                  "device_id": got.device_id, "refresh_token": True}).json()
    server.call("POST", f"{V3}/logout", token=refresh["access_token"])
    server.call("POST", f"{V3}/refresh", {"refresh_token": refresh["refresh_token"]}, status=401, errcode="M_UNKNOWN_TOKEN")


def test_logout_005_credentials(server):
    for path in ("logout", "logout/all"):
        server.call("POST", f"{V3}/{path}", {}, status=401, errcode="M_MISSING_TOKEN")
        server.call("POST", f"{V3}/{path}", {}, token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")
        server.call("GET", f"{V3}/{path}", status=405, errcode="M_UNRECOGNIZED")


def test_logout_006_other_children_refuse_the_token_within_250_ms(make_server):
    """Each child has its own cache of tokens; no child may go on accepting one that was logged out."""
    server = make_server("--children", "4")
    for _ in range(5):
        user = server.register()
        api = Api(server.base_url, server.ca, user.token)
        for _ in range(40):                      # every child has it in its cache now
            api.call("GET", f"{V3}/account/whoami")
        user.call("POST", f"{V3}/logout")
        time.sleep(0.25)
        for _ in range(40):
            api.call("GET", f"{V3}/account/whoami", status=401, errcode="M_UNKNOWN_TOKEN")
