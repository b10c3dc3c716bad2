# SPDX-License-Identifier: Apache-2.0
"""
Every request and answer of the tests, held against the schemas of the specification (schema_spec.py compiles them).
What was found is listed at the end of the run, which then fails, as are the operations that no test called. The schemas are looked
for in $MX_SPEC_DIR, else in ../shared/spec beside the repository; where they are not, the run says so and goes on.
"""
import functools
import json
import os
import re
import time
import urllib.parse

from harness import REPO, Api

HOME = os.path.abspath(os.environ.get("MX_SPEC_DIR") or os.path.join(REPO, "../shared/spec"))

# CS-API: standard error response: what any operation may answer, whatever it lists.
COMMON = {400, 401, 403, 404, 405, 413, 429, 500, 503}

# What the client itself asked for, and no schema describes. CS-API: filtering: events in another form; MSC4140: an event that is sent later.
OTHER_FORM = re.compile(r'"event_fields"|"event_format":\s*"federation"|org\.matrix\.msc4140\.delay')

# User-interactive authentication by the text of the operation, whose list of answers leaves its 401 out.
UIA_UNLISTED = {"uploadCrossSigningKeys"}


def canonical(value):
    return json.dumps(value, sort_keys=True)


def plain(where):
    """A place in a body, with identifiers made one, so that the same fault in two rooms is one."""
    where = re.sub(r"\.([!@$#])[^\[]*?(?=\.[a-z_]+|\[|$)", r".\1...", where)
    return re.sub(r"\[\d+\]", "[]", re.sub(r"(25519):[0-9A-Za-z+/]+", r"\1:...", where))


def this_test():
    """file::name of the test that runs."""
    return re.sub(r" \((setup|call|teardown)\)$", "", os.environ.get("PYTEST_CURRENT_TEST", "outside of a test")).split("/http/")[-1]


def events_in(value):
    """All objects that have a type and a content, and those in their `unsigned`; a content belongs to who sent it."""
    heap = [value]
    while heap:
        value = heap.pop()
        if isinstance(value, list):
            heap.extend(v for v in value if isinstance(v, (dict, list)))
        elif isinstance(value.get("type"), str) and isinstance(value.get("content"), dict):
            yield value
            heap.extend(v for v in (value.get("unsigned"),) if isinstance(v, dict))
        else:
            heap.extend(v for v in value.values() if isinstance(v, (dict, list)))


def events_sent(operation, path, body):
    """The (type, content) pairs that a request asks to be sent or stored as they stand."""
    if operation.id in ("sendMessage", "setRoomStateWithKey", "setAccountData", "setAccountDataPerRoom"):
        at = next(i for i, s in enumerate(operation.segments) if s in ("{eventType}", "{type}"))
        yield path[at], body
    elif operation.id == "sendToDevice":
        for devices in body.get("messages", {}).values():
            for content in devices.values():
                yield path[operation.segments.index("{eventType}")], content
    elif operation.id == "createRoom":
        for event in body.get("initial_state", []):
            yield event["type"], event.get("content")


class Recorder:
    def __init__(self, spec, fault):
        self.spec, self.fault = spec, fault
        self.called, self.succeeded, self.ours, self.answers, self.seconds = set(), set(), set(), 0, 0.0
        self.found = {}     # (operation, place, what is wrong) -> [tests that saw it]
        self.in_events = []

    # ------------------------------------------------------------------ what the harness calls
    def sending(self, method, target, body):
        """Remembers what a test is about to send against the schema of its type: it may come back as it went."""
        operation = self.spec.find(method, target) if body and method in ("PUT", "POST") else None
        try:
            for type, content in events_sent(operation, path_of(target), json.loads(body)) if operation else ():
                event = {"type": type, "content": content} | ({"state_key": ""} if "state" in operation.path else {})
                if self.wrong(self.spec.check_event, event):
                    self.ours.add((type, canonical(content)))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):    # a body that is bad altogether
            pass

    def answered(self, method, target, body, reply):
        operation = self.spec.find(method, target)
        if operation is None:
            return
        began = time.thread_time()
        self.called.add(operation.name)
        self.answers += 1
        if reply.status_code < 400:
            self.succeeded.add(operation.name)
            self.check_request(operation, body)
        if not OTHER_FORM.search(urllib.parse.unquote_plus(target)):
            self.check_answer(operation, reply)
        self.seconds += time.thread_time() - began

    # ------------------------------------------------------------------ checks
    def wrong(self, check, value):
        try:
            check(value)
        except self.fault as fault:
            return fault
        return None

    def judge(self, operation, what, check, value):
        if fault := self.wrong(check, value):
            self.note(operation, f"{what}{fault.name[4:]}", fault.message.replace(fault.name, "it", 1))

    def note(self, operation, where, what):
        self.found.setdefault((operation.name, plain(where), what), []).append(this_test())

    def check_request(self, operation, body):
        if check := operation.request:
            try:
                value = json.loads(body or "{}")    # none at all counts as an empty one: clients of all times sent none
            except (ValueError, TypeError):     # a stream, or no JSON where the specification wants some
                return self.note(operation, "request", "is no JSON, and is answered 2xx")
            if not operation.twin or self.wrong(operation.twin.request, value):
                self.judge(operation, "request", check, value)

    def check_answer(self, operation, reply):
        status, listed = reply.status_code, operation.responses.get(reply.status_code)
        kind = (reply.headers.get("Content-Type") or "").split(";")[0]
        if listed is None and status not in COMMON:
            return self.note(operation, f"{status}", f"is no status that it lists: {reply.text[:80]}")
        for header in listed[2] if listed else ():
            if header not in reply.headers:
                self.note(operation, f"{status}", f"has no header {header}")
        if kind == "application/json":
            self.check_json(operation, status, listed, json.loads(reply.body))
        elif listed and listed[0] and kind not in listed[0] and not {"*/*", "application/octet-stream"} & set(listed[0]):
            self.note(operation, f"{status}", f"has the content type {kind!r}, not {' or '.join(listed[0])}")

    def check_json(self, operation, status, listed, value):
        if status < 400:
            if listed[1]:
                self.judge(operation, f"{status}", listed[1], value)
            self.check_events(operation, value)
            return
        # CS-API: user-interactive authentication has a form of its own at 401, and so has a limit at 429; the rest is the standard form
        check = self.spec.check_error
        if status == 401 and "flows" in value and (listed or operation.id in UIA_UNLISTED):
            check = self.spec.check_challenge
        elif status == 429 and listed:
            check = listed[1]
        self.judge(operation, f"{status}", check, value)

    def check_events(self, operation, value):
        for event in events_in(value):
            if "event_id" in event:
                self.judge(operation, f"event {event['type']}", self.spec.check_envelope, event)
            # CS-API: GET threads: the root of an ignored user is returned redacted, though nobody redacted it
            check = functools.partial(self.spec.check_event, redacted=operation.id == "getThreadRoots" and event["content"] == {})
            if event["type"].startswith("m.") and (fault := self.wrong(check, event)):
                # Judged at the end: the request that sent it may still be under way.
                self.in_events.append((operation, event, fault.name, fault.message, this_test()))

    # ------------------------------------------------------------------ the end
    def settle(self):
        """{(operation, place, what is wrong): tests}; the events that a test sent so itself are not among them."""
        for operation, event, name, message, test in self.in_events:
            if (event["type"], canonical(event["content"])) not in self.ours:
                key = operation.name, plain(f"event {event['type']}{name[4:]}"), message.replace(name, "it", 1)
                self.found.setdefault(key, []).append(test)
        self.in_events = []
        return self.found


def path_of(target):
    return [urllib.parse.unquote(s) for s in target.split("?", 1)[0].split("/")[1:]]


class Report:
    """The pytest plugin."""

    def __init__(self, recorder):
        self.recorder = recorder

    def pytest_sessionfinish(self, session):
        if self.recorder and self.recorder.settle():
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter, config):
        if not self.recorder:
            terminalreporter.write_line(f"schema check: no specification in {HOME}, so no answer was held against it")
            return
        recorder, write = self.recorder, terminalreporter.write_line
        terminalreporter.section("schema check")
        for (operation, where, what), tests in sorted(recorder.found.items()):
            write(f"VIOLATION {operation}: {where}: {what[:400]}")
            write(f"    {len(tests)} times: {', '.join(list(dict.fromkeys(tests))[:4])}")
        write(f"{recorder.answers} answers, {len(recorder.found)} violations; the check took {recorder.seconds:.1f} s")
        self.uncalled(write, config)

    def uncalled(self, write, config):
        everything = {o.name for o in self.recorder.spec.operations}
        whole = not config.option.keyword and any(os.path.isdir(a) and os.path.basename(a) == "http" for a in config.args)
        for title, names in (("that no test called", everything - self.recorder.called),
                             ("that no test called with success", self.recorder.called - self.recorder.succeeded)):
            write(f"client-server operations {title}: {len(names)} of {len(everything)}")
            for name in sorted(names) if whole else ():
                write(f"    {name}")


def install(config):
    recorder = None
    if os.path.isdir(os.path.join(HOME, "openapi")):
        import fastjsonschema

        from schema_spec import Spec
        recorder = Api.recorder = Recorder(Spec(HOME), fastjsonschema.JsonSchemaValueException)
    config.pluginmanager.register(Report(recorder), "schema-check")
