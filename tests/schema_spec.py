# SPDX-License-Identifier: Apache-2.0
"""The specification's OpenAPI and event schemas as compiled checks: which operation a request is, what is wrong with a body or an event."""
import functools
import os
import re

import fastjsonschema
import yaml

# Keywords as they stand, those that hold schemas, and those that say nothing about a value. Any other stops the run: what is not
# understood would be checked by nothing.
PLAIN = {"type", "required", "enum", "pattern", "minItems", "maxItems", "minProperties", "maxProperties", "maxLength"}
ONE, MANY, NAMED = {"items", "additionalProperties", "propertyNames"}, {"allOf", "oneOf", "anyOf"}, {"properties", "patternProperties"}
NOTES = {"$schema", "description", "title", "example", "examples", "default", "deprecated"}

INT64 = {"minimum": -(1 << 63), "maximum": (1 << 63) - 1}

# A schema as it stands; of an event without the envelope; of what a redaction leaves of one, so that nothing is required.
WHOLE, BARE, REDACTED = "whole", "bare", "redacted"
ENVELOPES = {f"{name}.yaml" for name in ("event", "room_event", "sync_room_event", "state_event", "sync_state_event")}

SERVER = r"(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
FORMATS = {   # Appendices: common identifier format
    "mx-user-id": rf"^@[^:\0]*:{SERVER}\Z",
    "mx-room-id": rf"^!([^\0]+:{SERVER}|[0-9A-Za-z_-]{{43}})\Z",
    "mx-event-id": r"^\$[^\0]+\Z",
    "mx-room-alias": rf"^#[^:\0]+:{SERVER}\Z",
    "mx-server-name": rf"^{SERVER}\Z",
    "mx-mxc-uri": rf"^mxc://{SERVER}/[0-9A-Za-z_-]+\Z",
    "mx-unpadded-base64": r"^[0-9A-Za-z+/]*\Z",
    "mx-urlsafe-unpadded-base64": r"^[0-9A-Za-z_-]*\Z",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]*\Z",
    "email": r"^[^@\s]+@[^@\s]+\Z",
}
BASE = re.compile(r"^/_matrix/client/r0/|^/_matrix/media/(?:r0|v1)/")

# Slips of the specification's schemas: file, what stands there, what is checked, and why.
SLIPS = [
    ("api/client-server/rooms.yaml", {"oneOf": [{"type": "object"}, {"$ref": "../../event-schemas/schema/core-event-schema/state_event.yaml"}]},
     {"anyOf": [{"type": "object"}]},
     "?format=event: a whole event is an object too, so that exactly one of both can never hold; events are checked as such"),
    ("api/client-server/rooms.yaml", {"type": "string", "description": "The display name of the user this object is representing."},
     {"type": ["string", "null"]},
     "joined_members: the displayname of m.room.member, which this repeats, may be null there; conformance suites and matrix-nio want the key"),
    ("api/client-server/rooms.yaml", {"type": "string", "format": "mx-mxc-uri", "pattern": r"^mxc:\/\/"}, {"type": ["string", "null"]},
     "joined_members: conformance suites want the key of who has no avatar, too; what is there came with a client's m.room.member as it is"),
    ("api/client-server/definitions/auth_data.yaml",
     {"type": "string", "description": "The value of the session key given by the homeserver."}, {"type": ["string", "null"]},
     "auth: the Rust SDK sends a session of null where it has none yet"),
]


class Operation:
    def __init__(self, spec, file, method, path, node):
        self.spec, self.file, self.method, self.path, self.node = spec, file, method, path, node
        self.name = f"{method} {path}"
        self.segments = path.split("/")[1:]
        self.id = node["operationId"]
        self.twin = None    # the same method and path, specified again with another body

    @functools.cached_property
    def responses(self):
        """{status: (kinds of content it may have, check of its JSON or None, headers it must have)}"""
        found = {}
        for status, response in self.node["responses"].items():
            file, response = self.spec.deref(self.file, response)
            content = response.get("content", {})
            headers = {name: self.spec.deref(file, header)[1] for name, header in response.get("headers", {}).items()}
            found[int(status)] = (tuple(content), self.spec.json_check(file, content), [n for n, h in headers.items() if h.get("required")])
        return found

    @functools.cached_property
    def request(self):
        """The check of its JSON, or None."""
        if "requestBody" not in self.node:
            return None
        file, body = self.spec.deref(self.file, self.node["requestBody"])
        return self.spec.json_check(file, body["content"])


class Spec:
    def __init__(self, folder):
        self.root = os.path.join(folder, "openapi")
        self.targets, self.numbers, self.checks, self.tree, self.operations = [], {}, {}, {}, []
        for name in sorted(os.listdir(os.path.join(self.root, "api/client-server"))):
            if name.endswith(".yaml"):
                self.read(f"api/client-server/{name}")
        # "m.room.message", and for some values of msgtype or method "m.room.message$m.image" as well
        self.events = {name[:-5] for name in os.listdir(os.path.join(self.root, "event-schemas/schema")) if name.endswith(".yaml")}

    # ------------------------------------------------------------------ operations
    def read(self, file):
        document = self.document(file)
        base = document["servers"][0]["variables"]["basePath"]["default"]
        for path, methods in document["paths"].items():
            for method, node in methods.items():
                operation = Operation(self, file, method.upper(), base + path.strip(), node)
                self.operations.append(operation)
                self.plant(operation, operation.segments)
                if path.endswith("/state/{eventType}/{stateKey}"):    # CS-API: "the trailing slash may be omitted" for an empty key
                    self.plant(operation, operation.segments[:-1])

    def plant(self, operation, segments):
        at = self.tree
        for segment in segments:
            at = at.setdefault("{}" if segment.startswith("{") else segment, {})
        first = at.setdefault(("operation", operation.method), operation)
        if first is not operation:
            first.twin = operation

    def find(self, method, target):
        """The operation of a raw request target, or None."""
        path = BASE.sub(lambda m: "/_matrix/client/v3/" if "client" in m[0] else "/_matrix/media/v3/", target.split("?", 1)[0])
        return self.descend(self.tree, path.split("/")[1:], ("operation", method))

    def descend(self, at, segments, key):
        if not segments:
            return at.get(key)
        for step in (segments[0], "{}"):
            if step in at and (found := self.descend(at[step], segments[1:], key)):
                return found
        return None

    # ------------------------------------------------------------------ schemas
    @functools.lru_cache(maxsize=None)
    def document(self, file):
        with open(os.path.join(self.root, file), encoding="utf-8") as f:
            return yaml.load(f, Loader=yaml.CSafeLoader)

    def deref(self, file, node):
        while "$ref" in node:
            file, node = self.resolve(file, node["$ref"])
        return file, node

    def resolve(self, file, ref):
        path, _, pointer = ref.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(file), path)) if path else file
        node = self.document(file)
        for step in filter(None, pointer.split("/")):
            node = node[step]
        return file, node

    def json_check(self, file, content):
        """The check of a `content` object's JSON, or None."""
        schema = content.get("application/json", {}).get("schema")
        return self.compile(file, schema) if schema is not None else None

    def uri(self, file, node, mode):
        """The name under which the compiler knows a schema that others refer to."""
        key = id(node), mode
        if key not in self.numbers:
            self.numbers[key] = len(self.targets)
            self.targets.append((file, node, mode))
        return f"mx:{self.numbers[key]}"

    def reference(self, file, ref, mode):
        file, node = self.resolve(file, ref)
        name = os.path.basename(file)
        if mode != WHOLE and "/core-event-schema/" in file and name in ENVELOPES:
            return {"required": ["state_key"]} if "state" in name else {}
        return {"$ref": self.uri(file, node, mode)}

    def translate(self, file, node, mode=WHOLE):
        """A schema in the words of the compiler, which knows JSON Schema's draft 7: what stands beside a $ref counts as well."""
        if isinstance(node, bool):
            return node
        for where, slip, instead, _ in SLIPS:
            if where == file and slip.items() <= node.items():
                node = {k: v for k, v in node.items() if k not in slip} | instead
        out = {}
        for key, value in node.items():
            if key in PLAIN:
                out[key] = value
            elif key in ONE:
                out[key] = self.translate(file, value, mode)
            elif key in MANY:
                out[key] = [self.translate(file, v, mode) for v in value]
            elif key in NAMED:
                out[key] = {k: self.translate(file, v, mode) for k, v in value.items()}
                formats = [v["x-pattern-format"] for v in value.values() if "x-pattern-format" in v]
                if formats and len(value) == 1 and "properties" not in node:    # a map of ids: no other name has a meaning
                    out["propertyNames"] = {"format": formats[0]}
            elif key == "format":
                out.update(INT64 if value == "int64" else {"format": value} if value != "float" else {})
            elif key != "$ref" and key not in NOTES and not key.startswith("x-"):
                raise ValueError(f"{file}: nothing here checks the keyword {key}")
        if mode == REDACTED:
            out.pop("required", None)
        if "$ref" in node:
            reference = self.reference(file, node["$ref"], mode)
            out = {**out, "allOf": out.get("allOf", []) + [reference]} if out else reference
        return out

    def compile(self, file, node, mode=WHOLE):
        """A function of a value; it raises fastjsonschema.JsonSchemaValueException."""
        key = id(node), mode
        if key not in self.checks:
            self.checks[key] = fastjsonschema.compile(self.translate(file, node, mode), use_default=False, formats=FORMATS,
                                                      handlers={"mx": lambda uri: self.translate(*self.targets[int(uri[3:])])})
        return self.checks[key]

    # ------------------------------------------------------------------ events
    def check_event(self, event, redacted=False):
        """Type and content of an event, wherever it stands: its envelope is for the schema of the operation to judge."""
        file = f"event-schemas/schema/{event['type']}"
        if event["type"] not in self.events:
            return
        redacted = redacted or "redacted_because" in event.get("unsigned", {})
        self.of_file(f"{file}.yaml", REDACTED if redacted else BARE)(event)
        content = event["content"]
        for key in () if redacted else ("msgtype", "method"):
            variant = f"{event['type']}${content.get(key)}"
            if variant in self.events:
                self.of_file(f"event-schemas/schema/{variant}.yaml", BARE)(event)

    def check_envelope(self, event):
        self.of_file("api/client-server/definitions/client_event_without_room_id.yaml", WHOLE)(event)

    def check_challenge(self, value):
        self.of_file("api/client-server/definitions/auth_response.yaml", WHOLE)(value)

    def of_file(self, file, mode):
        return self.compile(file, self.document(file), mode)

    def check_error(self, value):
        self.of_file("api/client-server/definitions/errors/error.yaml", WHOLE)(value)
