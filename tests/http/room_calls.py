# SPDX-License-Identifier: Apache-2.0
"""What the tests about rooms share."""
import json

from harness import quote

R0 = "/_matrix/client/r0"
V3 = "/_matrix/client/v3"


def refuses_strangers(server, method, path, body=None):
    """CS-API: client authentication: no token, a wrong one as header or parameter; the same under both prefixes."""
    for base in (R0, V3):
        server.call(method, base + path, body, token=None, errcode="M_MISSING_TOKEN", status=401)
        server.call(method, base + path, body, token="wrong", errcode="M_UNKNOWN_TOKEN", status=401)
        separator = "&" if "?" in path else "?"
        server.call(method, f"{base}{path}{separator}access_token=wrong", body, token=None, errcode="M_UNKNOWN_TOKEN", status=401)


def room_path(room_id, tail):
    return f"{V3}/rooms/{quote(room_id)}/{tail}"


def state_of(user, room_id):
    """{(type, state_key): content} of the current state."""
    return {(e["type"], e["state_key"]): e["content"] for e in user.call("GET", room_path(room_id, "state")).json()}


def timeline(user, room_id, **query):
    """All that /messages gives from the start, oldest first, page by page."""
    events, token = [], None
    for _ in range(200):
        target = room_path(room_id, "messages?dir=f&limit=50") + (f"&from={quote(token)}" if token else "")
        answer = user.call("GET", target).json()
        events += answer["chunk"]
        token = answer.get("end")
        if token is None:
            return events
    raise AssertionError("no end of /messages")


def count_events(server, room_id):
    """Rows of the room, whoever may see them."""
    return int(server.sql(f"select count(*) from event e join room r using (room_nid) where r.room_id = '{room_id}'")[0][0])


def count_rooms(server):
    return int(server.sql("select count(*) from room")[0][0])


def membership(user, room_id, user_id):
    return user.get_state(room_id, "m.room.member", user_id)["membership"]


def as_filter(**members):
    return "filter=" + quote(json.dumps(members))
