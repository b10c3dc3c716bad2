# SPDX-License-Identifier: Apache-2.0
"""CS-API: filtering: /user/{userId}/filter."""
import pytest

from harness import V3, quote

FILTER = {"room": {"timeline": {"limit": 10, "types": ["m.room.message"]}}, "event_fields": ["type"], "presence": {"types": []}}


def target(user, filter_id=None):
    return f"{V3}/user/{quote(user.user_id)}/filter" + (f"/{quote(filter_id)}" if filter_id is not None else "")


def test_filter_001_a_filter_comes_back_as_it_was_put(user):
    filter_id = user.call("POST", target(user), FILTER)["filter_id"]
    assert isinstance(filter_id, str) and not filter_id.startswith("{")
    assert user.call("GET", target(user, filter_id)).json() == FILTER
    assert user.call("POST", target(user), FILTER)["filter_id"] == filter_id
    assert user.call("POST", target(user), {})["filter_id"] != filter_id


def test_filter_002_both_prefixes(user):
    body = user.call("POST", f"/_matrix/client/r0/user/{quote(user.user_id)}/filter", FILTER)
    assert user.call("GET", f"/_matrix/client/r0/user/{quote(user.user_id)}/filter/{body['filter_id']}").json() == FILTER


def test_filter_003_other_users_filters_are_theirs(user, user2):
    filter_id = user.call("POST", target(user), FILTER)["filter_id"]
    user2.call("GET", target(user, filter_id), status=403, errcode="M_FORBIDDEN")
    user2.call("POST", target(user), FILTER, status=403, errcode="M_FORBIDDEN")


def test_filter_004_no_and_wrong_credentials(server, user):
    for method, place, body in (("POST", target(user), FILTER), ("GET", target(user, "0"), None)):
        server.call(method, place, body, status=401, errcode="M_MISSING_TOKEN")
        server.call(method, place, body, token="x", status=401, errcode="M_UNKNOWN_TOKEN")


@pytest.mark.parametrize("filter_id", ["99", "-1", "01", "x", "", "9223372036854775808", "%"])
def test_filter_005_an_unknown_filter_is_not_found(user, filter_id):
    user.call("GET", target(user, filter_id), status=404, errcode="M_NOT_FOUND")


@pytest.mark.parametrize("body, errcode", [
    ("", "M_NOT_JSON"), ("{", "M_NOT_JSON"), ("[]", "M_BAD_JSON"), ('{"room":1}', "M_BAD_JSON"), ('{"event_format":"xml"}', None),
    ('{"room":{"timeline":{"limit":-1}}}', None), ('{"room":{"timeline":{"senders":["nobody"]}}}', None), ('{"event_fields":{}}', "M_BAD_JSON"),
    ('{"room":{"rooms":["x"]}}', None), ('{"a":1,"a":2}', None),
])
def test_filter_006_bad_filters_are_refused(user, body, errcode):
    reply = user.call("POST", target(user), data=body, status=400, errcode=errcode)
    assert reply["errcode"] in ("M_NOT_JSON", "M_BAD_JSON", "M_INVALID_PARAM")


def test_filter_007_a_user_id_that_is_none(user):
    user.call("POST", f"{V3}/user/nobody/filter", FILTER, status=400, errcode="M_INVALID_PARAM")


def test_filter_008_the_number_of_filters_is_bounded(server, user):
    server.sql("insert into filter (user_nid, filter_id, hash, body) select u.user_nid, n, decode(lpad(to_hex(n), 64, '0'), 'hex'), '{}'"
               f" from mxid u, generate_series(1, 1000) n where u.mxid = '{user.user_id}'")
    user.call("POST", target(user), FILTER, status=429, errcode="M_LIMIT_EXCEEDED")
