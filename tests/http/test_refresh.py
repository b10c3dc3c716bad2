# SPDX-License-Identifier: Apache-2.0
# CS-API: refreshing access tokens, POST /refresh
import pytest
from accounts import login_body
from harness import V3

PATHS = [f"/_matrix/client/{version}/refresh" for version in ("r0", "v1", "v3")]


@pytest.fixture
def tokens(server, user):
    return server.call("POST", f"{V3}/login", login_body(user.user_id, device_id="PHONE", refresh_token=True)).json()


def refresh(server, token, path=PATHS[2], **expect):
    return server.call("POST", path, {"refresh_token": token}, **expect).json()


def works(server, token):
    return server.call("GET", f"{V3}/account/whoami", token=token, status=None).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_refresh_001_gives_new_tokens_of_the_same_device(server, tokens, path):
    got = refresh(server, tokens["refresh_token"], path)
    assert set(got) == {"access_token", "refresh_token", "expires_in_ms"}
    assert got["access_token"] != tokens["access_token"] and got["refresh_token"] != tokens["refresh_token"]
    assert server.call("GET", f"{V3}/account/whoami", token=got["access_token"])["device_id"] == "PHONE"


def test_refresh_002_the_old_one_lives_until_the_new_access_token_is_used(server, tokens):
    refresh(server, tokens["refresh_token"])
    got = refresh(server, tokens["refresh_token"])      # the first answer was lost
    assert works(server, tokens["access_token"])
    assert works(server, got["access_token"])
    refresh(server, tokens["refresh_token"], status=401, errcode="M_UNKNOWN_TOKEN")
    old = server.call("GET", f"{V3}/account/whoami", token=tokens["access_token"], status=401, errcode="M_UNKNOWN_TOKEN")
    assert old["soft_logout"] is True                   # it was replaced, not logged out


def test_refresh_003_the_old_one_lives_until_the_new_refresh_token_is_used(server, tokens):
    got = refresh(server, tokens["refresh_token"])
    refresh(server, got["refresh_token"])
    refresh(server, tokens["refresh_token"], status=401, errcode="M_UNKNOWN_TOKEN")


def test_refresh_004_a_chain_leaves_one_refresh_token(server, user, tokens):
    for _ in range(5):
        tokens = refresh(server, tokens["refresh_token"])
        assert works(server, tokens["access_token"])
    assert server.sql("select count(*) from refresh_token join device using (device_nid) join mxid using (user_nid)"
                      f" where mxid = '{user.user_id}'") == [["1"]]


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"), ({"refresh_token": 7}, 400, "M_BAD_JSON"),
    ({"refresh_token": "nobodys"}, 401, "M_UNKNOWN_TOKEN"), ({"refresh_token": ""}, 401, "M_UNKNOWN_TOKEN"),
])
def test_refresh_005_bad_requests(server, body, status, errcode):
    server.call("POST", PATHS[2], body, status=status, errcode=errcode)


def test_refresh_006_an_access_token_is_no_refresh_token(server, tokens):
    refresh(server, tokens["access_token"], status=401, errcode="M_UNKNOWN_TOKEN")
    assert not works(server, tokens["refresh_token"])


def test_refresh_007_an_expired_access_token_asks_for_a_refresh(server, user, tokens):
    # CS-API: soft logout
    server.sql("update access_token set expires_ts = 1000 where expires_ts is not null and device_nid in"
               f" (select device_nid from device join mxid using (user_nid) where mxid = '{user.user_id}')")
    got = server.call("GET", f"{V3}/account/whoami", token=tokens["access_token"], status=401, errcode="M_UNKNOWN_TOKEN")
    assert got["soft_logout"] is True
    assert works(server, refresh(server, tokens["refresh_token"])["access_token"])


def test_refresh_008_lifetimes(make_server):
    import time
    server = make_server("--conf-line", "MatrixAccessTokenLifetime 10s", "--conf-line", "MatrixRefreshTokenLifetime 12s")
    user = server.register()
    got = server.call("POST", f"{V3}/login", login_body(user.user_id, refresh_token=True)).json()
    assert got["expires_in_ms"] == 10000 and works(server, got["access_token"])
    time.sleep(10.1)
    assert server.call("GET", f"{V3}/account/whoami", token=got["access_token"], status=401)["soft_logout"] is True
    time.sleep(2)
    assert server.call("POST", f"{V3}/refresh", {"refresh_token": got["refresh_token"]}, status=401, errcode="M_UNKNOWN_TOKEN")["soft_logout"] is True
    assert works(server, user.token)                    # came without a refresh token: it never expires
