# SPDX-License-Identifier: Apache-2.0
"""The tests' own checks are seen to fail here, each once."""
import pytest

from harness import ErrorLog, Reply, check_form, unannounced

CLEAN = "[Sun Nov 22 22:36:38.279570 2026] [mpm_event:notice] [pid 1:tid 1] AH00489: Apache/2.4 configured -- resuming normal operations"
ERROR = "[Sun Nov 22 22:36:38.279570 2026] [matrix:error] [pid 1:tid 1] MX0201: database connection lost"


@pytest.mark.parametrize("line", [
    ERROR,
    "[Sun Nov 22 22:36:38.279570 2026] [core:crit] [pid 1:tid 1] AH00001: it broke",
    "[Sun Nov 22 22:36:38.279570 2026] [core:notice] [pid 1:tid 1] AH00052: child pid 7 exit signal Segmentation fault (11)",
    "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1",
    "glue/park.c:7:3: runtime error: signed integer overflow",
])
def test_harness_001_bad_lines_are_found(line):
    assert unannounced([CLEAN, line]) == [line]


def test_harness_002_an_announced_line_is_let_through_once(tmp_path):
    path = tmp_path / "error.log"
    path.write_text(CLEAN + "\n")
    log = ErrorLog(str(path))
    path.write_text(CLEAN + "\n" + ERROR + "\n")
    log.expect("MX0201")
    assert log.take_unannounced() == []
    with path.open("a") as f:
        f.write(ERROR + "\n")
    assert log.take_unannounced() == [ERROR]


@pytest.mark.parametrize("headers, body", [
    ({}, b'{"errcode":"M_X","error":"x"}'),
    ({"Access-Control-Allow-Origin": "*"}, b"<html>"),
    ({"Access-Control-Allow-Origin": "*"}, b'{"error":"x"}'),
    ({"Access-Control-Allow-Origin": "*"}, b'{"errcode":"M_X"}'),
])
def test_harness_003_an_error_in_another_form_is_found(headers, body):
    with pytest.raises(AssertionError):
        check_form(Reply("GET /", 404, headers, body))


def test_harness_004_a_wrong_status_or_errcode_is_found(server):
    with pytest.raises(AssertionError):
        server.call("GET", "/_matrix/client/v3/account/whoami")
    with pytest.raises(AssertionError):
        server.call("GET", "/_matrix/client/v3/account/whoami", status=401, errcode="M_FORBIDDEN")
