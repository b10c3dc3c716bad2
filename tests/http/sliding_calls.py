# SPDX-License-Identifier: Apache-2.0
"""What the tests of sliding sync share. MSC4186."""
from urllib.parse import urlencode

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
NAMES = [["m.room.create", ""], ["m.room.name", ""]]


def a_list(first=0, last=19, limit=10, state=(), **filters):
    """One list's configuration."""
    made = {"ranges": [[first, last]], "timeline_limit": limit, "required_state": [list(pair) for pair in state]}
    return {**made, "filters": filters} if filters else made


def config(limit=10, state=()):
    """One subscription's configuration."""
    return {"timeline_limit": limit, "required_state": [list(pair) for pair in state]}


class Connection:
    """A client that goes on from the last position."""

    def __init__(self, user, conn_id=None, **lists):
        self.user, self.conn_id, self.lists, self.subscriptions, self.extensions, self.pos = user, conn_id, lists, {}, {}, None

    def body(self):
        made = {"lists": self.lists, "room_subscriptions": self.subscriptions, "extensions": self.extensions}
        return {**made, "conn_id": self.conn_id} if self.conn_id is not None else made

    def ask(self, pos=..., timeout=0, user=None, **expect):
        """One request, without going on."""
        pos = self.pos if pos is ... else pos
        query = {"timeout": timeout, **({"pos": pos} if pos else {})}
        return (user or self.user).call("POST", f"{PATH}?{urlencode(query)}", self.body(), **expect).json()

    def next(self, timeout=0, user=None):
        answer = self.ask(timeout=timeout, user=user)
        self.pos = answer["pos"]
        return answer


def texts(answer, room_id):
    return [e["content"].get("body") for e in answer["rooms"].get(room_id, {}).get("timeline", []) if e["type"] == "m.room.message"]


def state_keys(answer, room_id):
    return {(e["type"], e["state_key"]) for e in answer["rooms"].get(room_id, {}).get("required_state", [])}
