# SPDX-License-Identifier: Apache-2.0
"""What the tests about relations share."""
from harness import V3, quote

V1 = "/_matrix/client/v1"


def text(body="hello", **more):
    return {"msgtype": "m.text", "body": body, **more}


def relates(rel_type, parent, **more):
    return {"m.relates_to": {"rel_type": rel_type, "event_id": parent, **more}}


def reply(user, room, root, body="reply"):
    return user.send(room, content=text(body, **relates("m.thread", root)))


def edit(user, room, parent, body="edited", type="m.room.message", **more):
    return user.send(room, type=type, content=text(f"* {body}", **{"m.new_content": text(body)}, **relates("m.replace", parent), **more))


def react(user, room, parent, key="👍", **expect):
    return user.call("PUT", f"{V3}/rooms/{quote(room)}/send/m.reaction/{next_txn()}", relates("m.annotation", parent, key=key), **expect)


def refer(user, room, parent, type="org.example.answer"):
    return user.send(room, type=type, content=relates("m.reference", parent))


def redact(user, room, event_id):
    user.call("PUT", f"{V3}/rooms/{quote(room)}/redact/{quote(event_id)}/{next_txn()}", {})


def ignore(user, *ids):
    user.call("PUT", f"{V3}/user/{quote(user.user_id)}/account_data/m.ignored_user_list", {"ignored_users": {i: {} for i in ids}})


def event(user, room, event_id):
    return user.call("GET", f"{V3}/rooms/{quote(room)}/event/{quote(event_id)}").json()


def bundle(event):
    return event["unsigned"].get("m.relations", {})


def ids(events):
    return [e["event_id"] for e in events]


_txns = iter(range(1, 1 << 30))


def next_txn():
    return f"rel{next(_txns)}"
