# SPDX-License-Identifier: Apache-2.0
# CS-API: GET /account/whoami
import pytest
from accounts import BOTH


@pytest.mark.parametrize("base", BOTH)
def test_whoami_001_owner_of_the_token(user, base):
    assert user.call("GET", f"{base}/account/whoami").json() == {"user_id": user.user_id, "device_id": user.device_id, "is_guest": False}


@pytest.mark.parametrize("base", BOTH)
def test_whoami_002_token_in_the_query(user, base):
    # CS-API: using access tokens, up to version 1.19
    assert user.call("GET", f"{base}/account/whoami?access_token={user.token}", token=None)["user_id"] == user.user_id


def test_whoami_003_credentials(server):
    server.call("GET", f"{BOTH[1]}/account/whoami", status=401, errcode="M_MISSING_TOKEN")
    server.call("GET", f"{BOTH[1]}/account/whoami", token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")
    server.call("POST", f"{BOTH[1]}/account/whoami", {}, status=405, errcode="M_UNRECOGNIZED")
