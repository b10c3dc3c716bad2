# SPDX-License-Identifier: Apache-2.0
"""The check of answers against the specification's schemas is seen to find each kind of fault, and to let through what is right."""
import json
import os

import pytest

import schema_check
from harness import Reply

V3 = "/_matrix/client/v3"
EVENT = {"event_id": "$e", "type": "m.room.name", "state_key": "", "sender": "@a:b.example", "origin_server_ts": 1, "room_id": "!r:b.example",
         "content": {"name": "x"}}
ERROR = {"errcode": "M_UNKNOWN", "error": "x"}


@pytest.fixture(scope="module")
def spec():
    if not os.path.isdir(os.path.join(schema_check.HOME, "openapi")):
        pytest.skip(f"no specification in {schema_check.HOME}")
    from schema_spec import Spec
    return Spec(schema_check.HOME)


@pytest.fixture
def seen(spec):
    """A function of one request and its answer, which returns what is wrong, as (operation, place)."""
    import fastjsonschema
    recorder = schema_check.Recorder(spec, fastjsonschema.JsonSchemaValueException)

    def see(method, path, answer, status=200, sent=None, kind="application/json"):
        body = json.dumps(sent) if sent is not None else None
        recorder.sending(method, path, body)
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        recorder.answered(method, path, body, Reply("", status, {"Content-Type": kind}, raw))
        return [(operation, where) for operation, where, _ in recorder.settle()]
    see.recorder = recorder
    return see


WHOAMI, STATE, SYNC = f"GET {V3}/account/whoami", f"GET {V3}/rooms/{{roomId}}/state", f"GET {V3}/sync"

ONE_STATE = f"GET {V3}/rooms/{{roomId}}/state/{{eventType}}/{{stateKey}}"


def state(event):
    return "GET", f"{V3}/rooms/%21r%3Ab.example/state", [event]


def test_schema_check_001_what_is_right_passes(seen):
    assert seen("GET", f"{V3}/account/whoami", {"user_id": "@a:b.example", "is_guest": False, "org.example.more": 1}) == []
    assert seen("GET", "/_matrix/client/r0/account/whoami", ERROR, status=403) == []
    assert seen(*state(EVENT)) == []
    assert seen("GET", "/_matrix/client/v3/nothing", {}, status=418) == []


@pytest.mark.parametrize("place, answer, status, kind", [
    ("200", {"is_guest": False}, 200, "application/json"),                    # what is required is missing
    ("200.is_guest", {"user_id": "@a:b.example", "is_guest": 1}, 200, "application/json"),
    ("200.user_id", {"user_id": "@a"}, 200, "application/json"),              # format
    ("200", b"{}", 200, "text/html"),
    ("409", ERROR, 409, "application/json"),                                  # a status that is neither listed nor common
    ("202", {"user_id": "@a:b.example"}, 202, "application/json"),
    ("401", {"error": "x"}, 401, "application/json"),
])
def test_schema_check_002_a_wrong_answer_is_found(seen, place, answer, status, kind):
    assert seen("GET", f"{V3}/account/whoami", answer, status, kind=kind) == [(WHOAMI, place)]


@pytest.mark.parametrize("change", [{"event_id": "e"}, {"origin_server_ts": "1"}, {"sender": None}, {"room_id": "r"}])
def test_schema_check_003_a_wrong_envelope_is_found(seen, change):
    assert STATE in {operation for operation, _ in seen(*state({**EVENT, **change}))}


def test_schema_check_004_content_that_the_server_made_is_found(seen):
    assert seen(*state({**EVENT, "content": {"name": 1}})) == [(STATE, "event m.room.name.content.name")]


def test_schema_check_005_content_that_a_test_sent_may_come_back(seen):
    assert seen("PUT", f"{V3}/rooms/%21r%3Ab.example/state/m.room.name/", {"event_id": "$e"}, sent={"name": 1}) == []
    assert seen(*state({**EVENT, "content": {"name": 1}})) == []
    assert seen(*state({**EVENT, "content": {"name": 2}})) != []


def test_schema_check_006_a_redacted_event_needs_nothing_but_may_hold_nothing_wrong(seen):
    redacted = {**EVENT, "unsigned": {"redacted_because": {**EVENT, "type": "m.room.redaction", "content": {}}}}
    member = {**redacted, "type": "m.room.member", "state_key": "@a:b.example"}
    assert seen(*state({**member, "content": {}})) == []
    assert seen(*state({**member, "content": {"membership": "gone"}})) == [(STATE, "event m.room.member.content.membership")]


def test_schema_check_007_events_are_found_wherever_they_are(seen):
    bad = {"type": "m.room.message", "content": {"body": "x"}}
    answer = {"next_batch": "s1", "rooms": {"join": {"!r:b.example": {"timeline": {"events": [
        {k: v for k, v in EVENT.items() if k != "room_id"} | {"unsigned": {"redacted_because": {**EVENT, **bad}}}]}}}}}
    assert seen("GET", f"{V3}/sync?timeout=0", answer) == [(SYNC, "event m.room.message.content")]


def test_schema_check_008_the_variants_of_a_message_have_schemas_of_their_own(seen):
    image = {**EVENT, "type": "m.room.message", "content": {"msgtype": "m.image", "body": "x", "url": 1}}
    assert seen(*state(image)) == [(STATE, "event m.room.message.content.url")]


def test_schema_check_009_requests_that_should_not_have_been_taken_are_found(seen):
    invite = f"POST {V3}/rooms/{{roomId}}/invite"
    path = f"{V3}/rooms/%21r%3Ab.example/invite"
    assert seen("POST", path, {}, sent={"user_id": 1}, status=400) != [(invite, "request")]
    assert (invite, "request") in seen("POST", path, {})
    assert any(place.startswith("request") for _, place in seen("POST", path, {}, sent={"user_id": 1}))


def test_schema_check_010_operations_that_were_called_are_known(spec, seen):
    seen("GET", f"{V3}/account/whoami", ERROR, status=401)
    seen("GET", f"{V3}/rooms/%21r/state/m.room.name", {"name": "x"})
    assert seen.recorder.called == {WHOAMI, ONE_STATE}
    assert seen.recorder.succeeded == {ONE_STATE}
    assert len(spec.operations) == 166


def test_schema_check_011_a_keyword_that_nothing_checks_stops_the_run(spec):
    with pytest.raises(ValueError):
        spec.translate("api/x.yaml", {"type": "string", "minLength": 1})


def test_schema_check_012_each_slip_still_stands_in_the_specification(spec):
    from schema_spec import SLIPS

    def holds(node, slip):
        if isinstance(node, list):
            return any(holds(n, slip) for n in node)
        return isinstance(node, dict) and (slip.items() <= node.items() or any(holds(n, slip) for n in node.values()))
    for file, slip, _, reason in SLIPS:
        assert holds(spec.document(file), slip), f"{file}: {reason}"


def test_schema_check_013_events_in_another_form_are_let_through_only_where_they_were_asked_for(seen):
    answer = {"next_batch": "s1", "rooms": {"join": {"!r:b.example": {"timeline": {"events": [{"type": "m.room.message"}]}}}}}
    assert seen("GET", f"{V3}/sync?filter=%7B%22event_fields%22%3A%5B%22type%22%5D%7D", answer) == []
    assert seen("GET", f"{V3}/sync?filter=%7B%22event_format%22%3A+%22federation%22%7D", answer) == []
    assert seen("GET", f"{V3}/sync?filter=%7B%22event_format%22%3A%22client%22%7D", answer) != []
