# SPDX-License-Identifier: Apache-2.0
# CS-API: device management
import time

import pytest
from accounts import BOTH, failed_challenge, first_challenge, is_logged_in, password_auth, short, with_password
from harness import V3, quote

FLOW = ["m.login.password"]
DEVICES = f"{V3}/devices"


def ids(user):
    return {d["device_id"] for d in user.call("GET", DEVICES)["devices"]}


@pytest.mark.parametrize("base", BOTH)
def test_device_management_001_list_and_read(server, user, base):
    other = server.login(user.user_id, device_id="ODD/ID #1", initial_device_display_name="Odd")
    devices = {d["device_id"]: d for d in user.call("GET", f"{base}/devices")["devices"]}
    assert set(devices) == {user.device_id, "ODD/ID #1"}
    assert user.call("GET", f"{base}/devices/{quote('ODD/ID #1')}").json() == devices["ODD/ID #1"]
    seen = devices["ODD/ID #1"]
    assert seen["display_name"] == "Odd" and seen["last_seen_ip"] == "127.0.0.1"
    assert abs(seen["last_seen_ts"] / 1000 - time.time()) < 60
    assert "display_name" not in devices[user.device_id]
    assert is_logged_in(other)


@pytest.mark.parametrize("base", BOTH)
def test_device_management_002_rename(user, base):
    path = f"{base}/devices/{user.device_id}"
    assert user.call("PUT", path, {"display_name": "My other phone"}).json() == {}
    assert user.call("GET", path)["display_name"] == "My other phone"
    user.call("PUT", path, {})      # "If not given, the display name is unchanged."
    assert user.call("GET", path)["display_name"] == "My other phone"


def test_device_management_003_unknown_device(user, user2):
    for device in ("NOSUCH", user2.device_id):
        user.call("GET", f"{DEVICES}/{device}", status=404, errcode="M_NOT_FOUND")
        user.call("PUT", f"{DEVICES}/{device}", {"display_name": "x"}, status=404, errcode="M_NOT_FOUND")
        user.call("PUT", f"{DEVICES}/{device}", {}, status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("body, status, errcode", [({"display_name": 7}, 400, "M_BAD_JSON"), ({"display_name": "x" * 300}, 413, "M_TOO_LARGE")])
def test_device_management_004_bad_names(user, body, status, errcode):
    user.call("PUT", f"{DEVICES}/{user.device_id}", body, status=status, errcode=errcode)


@pytest.mark.parametrize("base", BOTH)
def test_device_management_005_delete(server, user, base):
    # CS-API: DELETE /devices/{deviceId}
    other = server.login(user.user_id)
    assert with_password(user, "DELETE", f"{base}/devices/{other.device_id}").json() == {}
    assert ids(user) == {user.device_id} and not is_logged_in(other)
    with_password(user, "DELETE", f"{base}/devices/{other.device_id}")     # "or had been removed previously"


def test_device_management_006_delete_without_a_body_is_challenged(server, user):
    other = server.login(user.user_id)
    session = first_challenge(user.call("DELETE", f"{DEVICES}/{other.device_id}", status=401), FLOW)
    assert is_logged_in(other)
    user.call("DELETE", f"{DEVICES}/{other.device_id}", {"auth": password_auth(user, session)})
    assert not is_logged_in(other)


def test_device_management_007_a_session_serves_one_device(server, user):
    one, two = server.login(user.user_id), server.login(user.user_id)
    session = first_challenge(user.call("DELETE", f"{DEVICES}/{one.device_id}", {}, status=401), FLOW)
    user.call("DELETE", f"{DEVICES}/{two.device_id}", {"auth": password_auth(user, session)}, status=403, errcode="M_FORBIDDEN")
    assert is_logged_in(one) and is_logged_in(two)


def test_device_management_008_wrong_password(server, user):
    other = server.login(user.user_id)
    session = first_challenge(user.call("DELETE", f"{DEVICES}/{other.device_id}", {}, status=401), FLOW)
    wrong = user.call("DELETE", f"{DEVICES}/{other.device_id}", {"auth": password_auth(user, session, password="wrong")}, status=401)
    assert failed_challenge(wrong, "M_FORBIDDEN", FLOW) == session
    assert is_logged_in(other)


def test_device_management_009_devices_of_others_stay(user, user2):
    with_password(user, "DELETE", f"{DEVICES}/{user2.device_id}")
    with_password(user, "POST", f"{V3}/delete_devices", {"devices": [user2.device_id]})
    assert is_logged_in(user2)


@pytest.mark.parametrize("base", BOTH)
def test_device_management_010_delete_devices(server, user, base):
    # CS-API: POST /delete_devices
    others = [server.login(user.user_id) for _ in range(3)]
    gone = [u.device_id for u in others[:2]]
    assert with_password(user, "POST", f"{base}/delete_devices", {"devices": gone + ["NOSUCH"]}).json() == {}
    assert ids(user) == {user.device_id, others[2].device_id}
    assert not is_logged_in(others[0]) and not is_logged_in(others[1]) and is_logged_in(others[2])


def test_device_management_011_other_devices_with_the_session_are_refused(server, user):
    one, two = server.login(user.user_id), server.login(user.user_id)
    session = first_challenge(user.call("POST", f"{V3}/delete_devices", {"devices": [one.device_id]}, status=401), FLOW)
    user.call("POST", f"{V3}/delete_devices", {"devices": [two.device_id], "auth": password_auth(user, session)}, status=403,
              errcode="M_FORBIDDEN")
    assert is_logged_in(one) and is_logged_in(two)


@pytest.mark.parametrize("body, status, errcode", [
    ({}, 400, "M_MISSING_PARAM"), ({"devices": "x"}, 400, "M_BAD_JSON"), ({"devices": [7]}, 400, "M_BAD_JSON"),
    ({"devices": ["x"] * 1001}, 413, "M_TOO_LARGE"),
], ids=short)
def test_device_management_012_bad_lists(user, body, status, errcode):
    user.call("POST", f"{V3}/delete_devices", body, status=status, errcode=errcode)


def test_device_management_013_credentials(server, user):
    for method, path, body in [("GET", "devices", None), ("GET", "devices/X", None), ("PUT", "devices/X", {}), ("DELETE", "devices/X", {}),
                               ("POST", "delete_devices", {"devices": []})]:
        server.call(method, f"{V3}/{path}", body, status=401, errcode="M_MISSING_TOKEN")
        server.call(method, f"{V3}/{path}", body, token="nobodys", status=401, errcode="M_UNKNOWN_TOKEN")


def test_device_management_014_deleting_the_own_device_logs_out(user):
    with_password(user, "DELETE", f"{DEVICES}/{user.device_id}")
    assert not is_logged_in(user)
