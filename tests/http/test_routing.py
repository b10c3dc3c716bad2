# SPDX-License-Identifier: Apache-2.0
"""From the raw request target to an answer: glue/router.c, target.c, request.c, reply.c, errors.c."""
import json
import re
import socket

import pytest

from harness import V3, quote

VERSIONS = "/_matrix/client/versions"
WHOAMI = f"{V3}/account/whoami"


def raw(server, data, wait=20, keep_open=False):
    """What comes back for exactly these bytes, until the server closes (or, with keep_open, until a body ended)."""
    with socket.create_connection((server.host, server.port), timeout=wait) as s:
        s.sendall(data)
        got = b""
        while True:
            part = s.recv(65536)
            got += part
            if not part or (keep_open and got.endswith(b"}")):
                return got.decode("latin-1")


def parts(answer):
    head, body = answer.split("\r\n\r\n", 1)
    status = int(head.split(" ", 2)[1])
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in head.split("\r\n")[1:])}
    return status, headers, body


def in_matrix_form(answer, status, errcode):
    got, headers, body = parts(answer)
    assert got == status, answer
    assert headers["content-type"] == "application/json" and headers["access-control-allow-origin"] == "*", answer
    error = json.loads(body)
    assert error["errcode"] == errcode and error["error"], answer


@pytest.fixture(scope="module")
def room(server):
    user = server.register()
    return user, user.create_room()


# ---------------------------------------------------------------------- targets
@pytest.mark.parametrize("key", ["", "a/b", "//", "a#b", "ä", "%", "a b", "?", "+", "a%2Fb", "\U0001f431", "x" * 200])
def test_routing_001_a_segment_is_decoded_by_itself(room, key):
    user, room_id = room
    user.put_state(room_id, "tld.project.foo", {"key": key}, key)
    assert user.get_state(room_id, "tld.project.foo", key).json() == {"key": key}


@pytest.mark.parametrize("written, read", [("", "/"), ("/", ""), ("", ""), ("/", "/")])
def test_routing_002_the_empty_state_key_with_and_without_the_last_slash(room, written, read):
    user, room_id = room
    base = f"{V3}/rooms/{quote(room_id)}/state/tld.project.empty"
    user.call("PUT", base + written, {"from": written})
    assert user.call("GET", base + read).json() == {"from": written}


@pytest.mark.parametrize("target", [
    "/_matrix/client//versions", "/_matrix//client/versions", "/_matrix/client/versions/", "/_matrix/client/versions//", "/_matrix/",
    "/_matrix", "/_matrix/client/v4/login", "/_matrix/client/v3/", "/_matrix/client/v3//rooms", "/_synapse/admin/v1/nothing",
    "/.well-known/matrix/nothing", "/_matrix/client/v3" + "/a" * 40, "/_matrix/client/" + "v" * 7000, "/_matrix/client/v3/login%00",
])
def test_routing_003_an_unknown_path_is_not_found(server, target):
    answer = server.request("GET", target)
    assert answer.status_code == 404, answer
    assert answer.json()["errcode"] == "M_UNRECOGNIZED" and answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "NONSENSE"])
def test_routing_004_a_wrong_method_is_not_allowed(server, method):
    answer = server.call(method, VERSIONS, status=405, errcode="M_UNRECOGNIZED", data=b"")
    assert answer.headers["Allow"] == "OPTIONS, GET, HEAD"   # RFC 9110, 15.5.6


@pytest.mark.parametrize("target", [
    "/_matrix/client/%76ersions", "http://{host}/_matrix/client/versions", "HTTPS://other.example:99/_matrix/client/versions?a=b",
])
def test_routing_005_other_ways_to_write_the_same_target(server, target):
    answer = parts(raw(server, f"GET {target.format(host=server.host)} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode()))
    assert answer[0] == 200 and "versions" in json.loads(answer[2])


def test_routing_006_head_is_get_without_a_body(server):
    head, get = server.request("HEAD", VERSIONS), server.request("GET", VERSIONS)
    assert head.status_code == 200 and head.body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body))
    assert server.request("HEAD", "/_matrix/client/nothing").status_code == 404


@pytest.mark.parametrize("target, errcode", [
    (V3 + "/profile/%ff", "M_INVALID_PARAM"), (V3 + "/profile/%00", "M_INVALID_PARAM"), (V3 + "/profile/%zz", "M_INVALID_PARAM"),
    (V3 + "/profile/@a%ed%a0%80:x", "M_INVALID_PARAM"), (V3 + "/profile/%2e%2E", "M_INVALID_PARAM"), (V3 + "/profile/.", "M_INVALID_PARAM"),
    ("/_matrix/client/%zz", "M_INVALID_PARAM"), ("/_matrix/client/%", "M_INVALID_PARAM"), ("/_matrix/client/%2", "M_INVALID_PARAM"),
    ("/_matrix/../../x", "M_INVALID_PARAM"), ("/_matrix/client/./versions", "M_INVALID_PARAM"), ("/_matrix/client/x/%2e./versions", "M_INVALID_PARAM"),
    (VERSIONS + "?a=%ff", "M_INVALID_PARAM"), (VERSIONS + "?%zz=1", "M_INVALID_PARAM"), (VERSIONS + "?a=%00", "M_INVALID_PARAM"),
])
def test_routing_007_a_target_that_does_not_decode_is_refused(server, target, errcode):
    server.call("GET", target, status=400, errcode=errcode)


@pytest.mark.parametrize("query", ["?", "?&&", "?a", "?=", "?a=b=c", "?a=1&a=2", "?" + "a=1&" * 500])
def test_routing_008_odd_queries_are_harmless(server, query):
    server.call("GET", VERSIONS + query)


# ---------------------------------------------------------------------- CORS
@pytest.mark.parametrize("target", [VERSIONS, V3 + "/rooms/!x:y/state", V3 + "/sync", "/_matrix/client/nothing", "/.well-known/matrix/client"])
def test_routing_009_options_is_answered_without_token_or_logic(server, target):
    answer = server.request("OPTIONS", target, headers={"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert {"GET", "POST", "PUT", "DELETE", "OPTIONS"} <= set(re.split(r", *", answer.headers["Access-Control-Allow-Methods"]))
    assert {"X-Requested-With", "Content-Type", "Authorization"} <= set(re.split(r", *", answer.headers["Access-Control-Allow-Headers"]))


@pytest.mark.parametrize("method, target, status", [
    ("GET", VERSIONS, 200), ("GET", WHOAMI, 401), ("GET", "/_matrix/client/nothing", 404), ("DELETE", VERSIONS, 405), ("POST", V3 + "/login", 400),
    ("GET", "/.well-known/matrix/client", 200), ("GET", "/.well-known/matrix/server", 200), ("GET", "/_matrix/../../x", 400),
])
def test_routing_010_each_answer_has_each_cors_header_once(server, method, target, status):
    answer = server.request(method, target)
    assert answer.status_code == status, answer
    for name in ("Origin", "Methods", "Headers"):
        assert len(answer.headers.get_all(f"Access-Control-Allow-{name}")) == 1, answer


# ---------------------------------------------------------------------- errors of httpd itself
@pytest.mark.parametrize("request_head, status, errcode", [
    ("GET /_matrix/client/versions HTTP/1.1\r\n\r\n", 400, "M_UNKNOWN"),                                        # no Host
    ("GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, "M_UNKNOWN"),
    ("GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "M_UNKNOWN"),
    ("PUT /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 400, "M_UNKNOWN"),
    ("GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{i}: 1\r\n" for i in range(200)) + "\r\n", 400, "M_UNKNOWN"),
    ("GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, "M_UNKNOWN"),
])
def test_routing_011_what_httpd_refuses_takes_the_form_of_the_specification(server, request_head, status, errcode):
    in_matrix_form(raw(server, request_head.encode()), status, errcode)


def test_routing_012_a_target_that_is_too_long(server):
    answer = parts(raw(server, b"GET /_matrix/client/versions?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert answer[0] == 414                       # httpd has not read the target: whose it was is not known


@pytest.fixture(scope="module")
def guarded(make_module_server, tmp_path_factory):
    rules = tmp_path_factory.mktemp("guarded") / "rules.conf"
    rules.write_text(f'<Location "{V3}/publicRooms">\nRequire all denied\n</Location>\n')
    return make_module_server("--conf-line", "MatrixMaxBody 64K", "--conf-line", "RequestReadTimeout header=20 body=2",
                              "--conf-line", "ErrorDocument 403 /nothing.html", "--conf-line", "ErrorDocument 404 /nothing.html",
                              "--conf-line", f'Include "{rules}"',
                              "--conf-line", "LimitRequestBody 100000", name="guarded")


def test_routing_013_access_control_of_a_location_holds(guarded):
    guarded.log.expect("AH01630")                 # httpd logs its own refusals
    guarded.call("GET", V3 + "/publicRooms", status=403, errcode="M_FORBIDDEN")
    guarded.call("GET", "/_matrix/client/%763/publicRooms", status=403, errcode="M_FORBIDDEN")
    guarded.call("GET", V3 + "/nothing", status=404, errcode="M_UNRECOGNIZED")


@pytest.mark.parametrize("size", [65537, 90000, 100001])
def test_routing_014_a_body_over_the_limit(guarded, size):
    body = b'{"a":"' + b"x" * (size - 8) + b'"}'
    guarded.call("POST", V3 + "/login", data=body, status=413, errcode="M_TOO_LARGE")
    head = f"POST {V3}/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    chunked = head + "Transfer-Encoding: chunked\r\n\r\n" + f"{size:x}\r\n" + body.decode() + "\r\n0\r\n\r\n"
    in_matrix_form(raw(guarded, chunked.encode()), 413, "M_TOO_LARGE")
    in_matrix_form(raw(guarded, (head + f"Content-Length: {size}\r\n\r\n").encode()), 413, "M_TOO_LARGE")   # nothing follows


def test_routing_015_a_body_at_the_limit_is_read(guarded):
    body = b'{"a":"' + b"x" * (65536 - 8) + b'"}'
    assert guarded.call("POST", V3 + "/login", data=body, status=400).json()["errcode"] != "M_TOO_LARGE"


def test_routing_016_a_body_that_does_not_arrive(guarded):
    head = f"POST {V3}/login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{"
    in_matrix_form(raw(guarded, head.encode()), 408, "M_UNKNOWN")


def test_routing_017_a_body_that_breaks_off(server):
    with socket.create_connection((server.host, server.port), timeout=20) as s:
        s.sendall(f"POST {V3}/login HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{".encode())
        s.shutdown(socket.SHUT_WR)
        answer = s.recv(65536).decode()
    in_matrix_form(answer, 400, "M_UNKNOWN")


def test_routing_018_a_body_where_none_is_wanted_does_not_reach_the_next_request(server):
    body = b"GET /_matrix/client/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    first = f"GET {VERSIONS} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    both = raw(server, first + f"GET {VERSIONS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert both.count("HTTP/1.1 200 OK") == 2 and "404" not in both, both


# ---------------------------------------------------------------------- credentials
@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {}"])
def test_routing_019_the_scheme_of_the_header_is_read_in_any_case(user, header):
    assert user.call("GET", WHOAMI, token=None, headers={"Authorization": header.format(user.token)})["user_id"] == user.user_id


@pytest.mark.parametrize("headers, query, errcode", [
    ({}, "", "M_MISSING_TOKEN"), ({"Authorization": "Bearer"}, "", "M_MISSING_TOKEN"), ({"Authorization": "Bearer "}, "", "M_MISSING_TOKEN"),
    ({"Authorization": "Basic YTpi"}, "", "M_MISSING_TOKEN"), ({}, "?access_token=", "M_MISSING_TOKEN"),
    ({"Authorization": "Bearer nonsense"}, "", "M_UNKNOWN_TOKEN"), ({}, "?access_token=nonsense", "M_UNKNOWN_TOKEN"),
    ({"Authorization": "Bearer " + "x" * 5000}, "", "M_UNKNOWN_TOKEN"),
])
def test_routing_020_no_token_and_a_wrong_token(server, headers, query, errcode):
    server.call("GET", WHOAMI + query, headers=headers, status=401, errcode=errcode)


def test_routing_021_no_token_reaches_a_log_or_the_status_page(make_server, tmp_path):
    (tmp_path / "status.conf").write_text("<Location /server-status>\nSetHandler server-status\n</Location>\n")
    server = make_server("--conf-line", f'Include "{tmp_path}/status.conf"', "--conf-line", "LogLevel matrix:trace8",
                         "--conf-line", f'CustomLog "{tmp_path}/access.log" "%r %q %U %f"', "--server-line", "ExtendedStatus On")
    user = server.register()
    for name in ("access_token", "access%5Ftoken", "ACCESS_TOKEN", "%61ccess_token"):
        server.request("GET", f"{WHOAMI}?a=1&{name}={user.token}&b=2")
        server.request("GET", f"{V3}/nothing?{name}={user.token}")
        raw(server, f"GET {WHOAMI}?{name}={user.token} HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".encode())
    shown = server.request("GET", "/server-status").text
    assert "/_matrix/" in shown and user.token not in shown
    for path in (server.told["error_log"], tmp_path / "access.log"):
        with open(path, errors="replace") as f:
            text = f.read()
        assert "/_matrix/" in text and user.token not in text, path
    assert text.count("=redacted") == 24          # in the line and in the query of each request


def test_routing_022_too_many_requests_say_when_to_come_back(make_server):
    server = make_server(rate_limits=True)
    for _ in range(200):
        answer = server.request("POST", V3 + "/login", b"{}")
        if answer.status_code == 429:
            break
    assert answer.status_code == 429 and answer.json()["errcode"] == "M_LIMIT_EXCEEDED", answer
    assert answer.json()["retry_after_ms"] > 0 and int(answer.headers["Retry-After"]) >= 1


# ---------------------------------------------------------------------- the public documents
def test_routing_023_versions_are_told_with_and_without_a_token(user):
    assert "v1.1" in user.call("GET", VERSIONS, token=None)["versions"]
    assert user.call("GET", VERSIONS).json() == user.call("GET", VERSIONS, token=None).json()


def test_routing_024_well_known_documents(server):
    assert server.request("GET", "/.well-known/matrix/client").json()["m.homeserver"]["base_url"].startswith("http")
    assert ":" in server.request("GET", "/.well-known/matrix/server").json()["m.server"]


def test_routing_025_support_is_what_was_set(make_server):
    server = make_server("--conf-line", "MatrixSupportContact admin@example.org", "--conf-line", "MatrixSupportPage https://example.org/help")
    assert server.request("GET", "/.well-known/matrix/support").json() == {
        "contacts": [{"email_address": "admin@example.org", "role": "m.role.admin"}], "support_page": "https://example.org/help"}


def test_routing_026_support_that_was_not_set(server):
    answer = server.request("GET", "/.well-known/matrix/support")
    assert answer.status_code == 404 and answer.json()["errcode"] == "M_NOT_FOUND"


def test_routing_027_capabilities(user):
    told = user.call("GET", V3 + "/capabilities")["capabilities"]
    assert told["m.room_versions"]["default"] == "12" and told["m.room_versions"]["available"]["12"] == "stable"
    assert told["m.change_password"] == {"enabled": True} and told["m.3pid_changes"] == {"enabled": False}
    user.call("GET", V3 + "/capabilities", token=None, status=401, errcode="M_MISSING_TOKEN")
