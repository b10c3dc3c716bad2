# SPDX-License-Identifier: Apache-2.0
"""Random PDUs, random single decisions and random rooms with forks. Everything comes from the one random.Random it is given."""
import json
import math

import synapse_side as synapse

VERSIONS = [str(n) for n in range(1, 13)]
USERS = ["@creator:h", "@second:h", "@mod:a", "@user:a", "@third:b", "@other:b"]
LEVEL_NAMES = ["ban", "kick", "invite", "redact", "state_default", "events_default", "users_default"]
TYPES = ["m.room.message", "m.room.topic", "m.room.name", "m.room.member", "m.room.power_levels", "m.room.join_rules",
         "m.room.create", "m.room.redaction", "m.room.aliases", "m.room.history_visibility", "m.room.third_party_invite",
         "m.room.canonical_alias", "org.example.odd"]
STRINGS = ["", "a", "ünï", "日本語", "\u0000", "a\u0000b", "\u001f\u007f", "\\\"/\b\f\n\r\t", "\U0001F600", "\u2028", "\ue000", "x" * 300,
           "é" * 200, "é" * 127, "e\u0301", "__proto__"]
JOIN_RULES = ["public", "invite", "knock", "restricted", "knock_restricted", "private", "odd"]
MEMBERSHIPS = ["join", "leave", "invite", "ban", "knock"]


def number(name):
    return int(name)


def text_of(rng, value):
    """The JSON text of a value, not always canonical."""
    if rng.random() < 0.6:
        return synapse.canonical(value)
    if rng.random() < 0.1:                         # numbers that Python would not write
        old, new = rng.choice([(":0,", ":-0,"), (":1,", ":1e0,"), (":1,", ":1E+0,"), (":100,", ":1e2,"), (":5,", ":5.0,"),
                               ("9007199254740991", "9007199254740992"), (":0,", ":-0.0,"), (":0,", ":0e5,")])
        return synapse.canonical(value).replace(old, new)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 1]), sort_keys=rng.random() < 0.5)


def value(rng, depth=0, floats=False):
    kinds = ["int", "str", "bool", "null", "big"] + (["float"] if floats else []) + (["list", "object"] * 2 if depth < 4 else [])
    kind = rng.choice(kinds)
    if kind == "int":
        return rng.choice([0, 1, -1, 100, 2**31, rng.randrange(-1000, 1000)])
    if kind == "big":
        return rng.choice([2**53 - 1, -(2**53) + 1])
    if kind == "float":
        return rng.choice([0.5, -1.25, 50.57, 1e3, 1.0, 1e-3, 123456.789, 1e100, -0.0])
    if kind == "str":
        return rng.choice(STRINGS)
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "null":
        return None
    if kind == "list":
        return [value(rng, depth + 1, floats) for _ in range(rng.randrange(4))]
    return {rng.choice(STRINGS + LEVEL_NAMES): value(rng, depth + 1, floats) for _ in range(rng.randrange(5))}


def content(rng, event_type, floats=False):
    """Content with all keys that redaction or a rule looks at, and some that none does."""
    c = {}
    keys = ["membership", "displayname", "join_authorised_via_users_server", "third_party_invite", "creator", "room_version", "m.federate",
            "additional_creators", "predecessor", "join_rule", "allow", "aliases", "alias", "history_visibility", "redacts", "users",
            "events", "notifications", "body"] + LEVEL_NAMES
    for key in rng.sample(keys, rng.randrange(0, 8)):
        c[key] = value(rng, 1, floats)
    if event_type == "m.room.member" and rng.random() < 0.9:
        c["membership"] = rng.choice(MEMBERSHIPS)
        if rng.random() < 0.2:
            c["third_party_invite"] = {"display_name": "x", "signed": value(rng, 1, floats)}
    if event_type == "m.room.redaction" and rng.random() < 0.8:
        c["redacts"] = "$x:h"
    if event_type == "m.room.join_rules":
        c["join_rule"] = rng.choice(JOIN_RULES)
    return c


def event_id(rng, name):
    if number(name) < 3:
        return f"$e{rng.randrange(10**6)}:h"
    alphabet = "ABCabc019" + ("+/" if name == "3" else "-_")
    return "$" + "".join(rng.choice(alphabet) for _ in range(43))


def reference(name, event_id_):
    return [event_id_, {"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"}] if number(name) < 3 else event_id_


def pdu(rng, name):
    """A PDU of all shapes: mostly well-formed, then changed in a place or two."""
    floats = number(name) < 6 and rng.random() < 0.3
    event_type = rng.choice(TYPES)
    p = {
        "type": event_type, "sender": rng.choice(USERS), "room_id": "!room:h", "content": content(rng, event_type, floats),
        "depth": rng.choice([0, 1, 5, 1000, 2**53 - 1]), "origin_server_ts": rng.choice([0, 1, 1700000000000]),
        "prev_events": [reference(name, event_id(rng, name)) for _ in range(rng.choice([0, 1, 1, 2, 20]))],
        "auth_events": [reference(name, event_id(rng, name)) for _ in range(rng.choice([0, 1, 3, 10]))],
        "hashes": {"sha256": "x"}, "signatures": {},
    }
    if number(name) < 3:
        p["event_id"] = f"$own{rng.randrange(1000)}:{rng.choice(['h', 'other'])}"
    if name == "12":
        p["room_id"] = "!" + event_id(rng, name)[1:]
        if event_type == "m.room.create":
            del p["room_id"]
    if rng.random() < 0.5 or event_type in ("m.room.create", "m.room.member"):
        p["state_key"] = rng.choice(USERS) if event_type == "m.room.member" else rng.choice(["", "", "h", "@user:a", "日本"])
    for key in ("origin", "membership", "prev_state", "redacts", "age_ts", "unsigned", "outlier", "replaces_state"):
        if rng.random() < (0.01 if key in ("age_ts", "outlier") else 0.12):
            p[key] = {"age": 5} if key == "unsigned" else rng.choice(["x", "$x:h"])
    if rng.random() < 0.2:
        p[rng.choice(["zzz", "日本", "content2", "\u0000", "a\"b"])] = value(rng, 1, floats)
    if rng.random() < 0.3:
        damage(rng, name, p)
    return p


def damage(rng, name, p):
    """One field made odd."""
    field = rng.choice(list(p))
    how = rng.randrange(5)
    if how == 0:
        del p[field]
    elif how == 1:
        p[field] = rng.choice([None, 5, "x", [], {}, True, [5], {"a": 5}, -1, 2**53])
    elif how == 2 and field in ("type", "state_key", "sender"):
        length = rng.choice([254, 255, 256])
        filler = rng.choice(["x", "é"])
        start = "@" if field == "sender" else ""
        end = ":h" if field == "sender" else ""
        p[field] = start + (filler * length)[:length - len(start + end)] + end
        if filler == "é":
            while len(p[field].encode()) > length:
                p[field] = start + p[field][len(start) + 1:]
    elif how == 3:
        p["prev_events"] = [reference(name, event_id(rng, name))] * rng.choice([19, 21, 30])
    else:
        p["content"]["body"] = "x" * rng.choice([60000, 64000, 65000, 66000])


def hashed(name, p):
    """The PDU with a true content hash and the test key's signature where it can have them."""
    p = dict(p)
    if isinstance(p.get("hashes"), dict) and p["hashes"]:
        p["hashes"] = {"sha256": synapse.content_hash(p)}
    return p


# ---------------------------------------------------------------------- power levels

def level(rng, name, base=None):
    """A level as its version may write it."""
    n = rng.choice([0, 0, 25, 50, 50, 99, 100, 101, -1]) if base is None else base
    if number(name) < 10 and rng.random() < 0.1:
        return rng.choice(["{}", " {} ", "0{}", "+{}"]).format(n) if n >= 0 else f" {n}"
    if number(name) < 6 and rng.random() < 0.05 and n >= 0:
        return n + rng.choice([0.5, 0.0, 0.99])
    return n


def power_levels(rng, name, before=None):
    c = json.loads(json.dumps(before)) if before is not None else {}
    for key in ("users", "events", "notifications"):
        if key in c and not isinstance(c[key], dict):
            del c[key]
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        spot = rng.randrange(8)
        if spot < 4:
            users = c.setdefault("users", {})
            user = rng.choice(USERS)
            if user in users and rng.random() < 0.25:
                del users[user]
            else:
                users[user] = level(rng, name)
        elif spot < 6:
            key = rng.choice(LEVEL_NAMES)
            if key in c and rng.random() < 0.4:
                del c[key]
            else:
                c[key] = level(rng, name)
        else:
            events = c.setdefault(rng.choice(["events", "events", "notifications"]), {})
            key = rng.choice(TYPES + ["room"])
            if key in events and rng.random() < 0.4:
                del events[key]
            else:
                events[key] = level(rng, name)
    return c


def spoil_levels(rng, c):
    """What no version or not every version takes."""
    for key in ("users", "events"):
        if not isinstance(c.get(key), dict):
            c[key] = {}
    where = rng.choice([c, c, c["users"], c["events"]])
    key = rng.choice(list(where) or ["ban"])
    where[key] = rng.choice(["50", " 50", "+50", "", "x", "1.5", None, [], {}, 2**53 - 1, "0x10", "5 0"])
    if rng.random() < 0.2:
        c["users"] = rng.choice([{"nonsense": 5}, {"@nocolon": 5}, {}, {"@a:b": 5}])


# ---------------------------------------------------------------------- rooms

def signed_invite(rng, token, target):
    signed = {"mxid": target, "token": token}
    if rng.random() < 0.9:
        signed = synapse.sign(signed, "identity.example")
    if rng.random() < 0.1:
        signed["token"] = "changed"
    return {"display_name": "x", "signed": signed}


class Room:
    """A room that grows event by event; Synapse decides on each, the engine is asked about all of them at the end."""

    def __init__(self, rng, name):
        self.rng, self.name = rng, name
        self.store = synapse.Store()
        self.pdus, self.order, self.after, self.verdicts, self.before, self.redacted = [], [], {}, {}, {}, []
        self.tips, self.pdu_by_id, self.met = [], {}, {}
        self.clock = 1000
        self.room_id = "!room:h"
        create = {"room_version": name, "creator": USERS[0]}
        if number(name) > 10 and rng.random() < 0.8:
            del create["creator"]
        if rng.random() < 0.1:
            create["m.federate"] = rng.random() < 0.5
        if name == "12" and rng.random() < 0.5:
            create["additional_creators"] = rng.sample(USERS[1:], rng.randrange(3))
        self.send(USERS[0], "m.room.create", "", create, [])
        self.send(USERS[0], "m.room.member", USERS[0], {"membership": "join"})
        if rng.random() < 0.85:
            users = {} if name == "12" else {USERS[0]: 100}
            self.send(USERS[0], "m.room.power_levels", "", {"users": {**users, "@mod:a": level(rng, name, 50)}})
        self.send(USERS[0], "m.room.join_rules", "", {"join_rule": rng.choice(JOIN_RULES[:2] * 3 + JOIN_RULES)})

    # -- growing
    def state_at(self, prevs):
        if not prevs:
            return {}
        key = tuple(prevs)
        if key not in self.met:
            self.met = {key: self.store.resolve(self.name, self.room_id, [self.after[i] for i in prevs])}
        return self.met[key]

    def content_of(self, state, event_type, state_key=""):
        found = state.get((event_type, state_key))
        return self.pdu_by_id[found]["content"] if found else None

    def auth_keys(self, sender, event_type, state_key, c):
        if event_type == "m.room.create":
            return []
        keys = [("m.room.power_levels", ""), ("m.room.member", sender)]
        if self.name != "12":
            keys.append(("m.room.create", ""))
        if event_type == "m.room.member" and state_key is not None:
            keys.append(("m.room.member", state_key))
            if c.get("membership") in ("join", "invite", "knock"):
                keys.append(("m.room.join_rules", ""))
            if c.get("membership") == "invite" and "third_party_invite" in c:
                keys.append(("m.room.third_party_invite", c["third_party_invite"]["signed"]["token"]))
            if c.get("membership") == "join" and number(self.name) >= 8 and "join_authorised_via_users_server" in c:
                keys.append(("m.room.member", c["join_authorised_via_users_server"]))
        return list(dict.fromkeys(keys))

    def auth_ids(self, before, keys):
        rng = self.rng
        ids = [before[k] for k in keys if k in before]
        odd = rng.random()
        if len(self.order) > 6 and odd < 0.08 and ids:
            at = rng.randrange(len(ids))
            if odd < 0.02:
                del ids[at]
            elif odd < 0.03:
                extra = rng.choice(self.order)
                if extra not in ids:
                    ids.append(extra)
            else:                                  # one that was right once, or on another branch, or rejected
                wanted = self.store.events[ids[at]]
                same = [i for i in self.order if self.store.events[i].type == wanted.type
                        and self.store.events[i].get_state_key() == wanted.get_state_key()]
                ids[at] = rng.choice(same)
        return ids

    def send(self, sender, event_type, state_key, c, prevs=None, **extra):
        rng, name = self.rng, self.name
        if prevs is None:
            prevs = self.tips[-1:]
        before = self.state_at(prevs)
        self.clock += rng.choice([0, 0, 1, 5, -3])
        p = {"type": event_type, "sender": sender, "content": c, "depth": 1 + max([self.depth(i) for i in prevs], default=0),
             "origin_server_ts": self.clock, "prev_events": [reference(name, i) for i in prevs],
             "auth_events": [reference(name, i) for i in self.auth_ids(before, self.auth_keys(sender, event_type, state_key, c))],
             "signatures": {}, "hashes": {}, **extra}
        if state_key is not None:
            p["state_key"] = state_key
        if name != "12" or event_type != "m.room.create":
            p["room_id"] = self.room_id
        if number(name) < 3:
            p["event_id"] = f"$e{len(self.order)}x{rng.randrange(10**6)}:{sender.split(':')[1]}"
        p = hashed(name, {**p, "hashes": {"sha256": "x"}})
        return self.receive(p, before, prevs, rng.random() < 0.02 and event_type != "m.room.create")

    def depth(self, event_id_):
        return self.store.events[event_id_].depth

    def receive(self, p, before, prevs, redact):
        seen = synapse.redacted(self.name, p) if redact else p
        event = synapse.event_of(self.name, seen)
        if event.event_id in self.after:
            return None
        why = self.store.check(event, before)
        if why:
            event = synapse.event_of(self.name, seen, why)
        if not self.order and self.name == "12":
            self.room_id = event.room_id
        self.store.add(event)
        if redact:
            self.redacted.append(len(self.order))
        self.pdus.append(p)
        self.pdu_by_id[event.event_id] = p
        self.order.append(event.event_id)
        self.verdicts[event.event_id] = why or ""
        self.before[event.event_id] = before
        after = before
        if not why and event.get_state_key() is not None:
            after = dict(before)
            after[(event.type, event.get_state_key())] = event.event_id
        self.after[event.event_id] = after
        self.tips = [i for i in self.tips if i not in prevs] + [event.event_id]
        return event.event_id

    # -- what happens
    def prevs(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.55 or len(self.order) < 5:
            return [self.tips[-1]]
        if kind < 0.75:                            # a fork from further back
            return [rng.choice(self.order[-12:])] if self.order[-12:][0] != self.order[0] else [self.tips[-1]]
        return rng.sample(self.tips, min(len(self.tips), rng.choice([2, 2, 3, 5])))

    def step(self):
        rng = self.rng
        prevs = self.prevs()
        state = self.state_at(prevs)
        by_id = self.pdu_by_id

        def membership(user):
            found = state.get(("m.room.member", user))
            return by_id[found]["content"].get("membership") if found else None
        joined = [u for u in USERS if membership(u) == "join"]
        sender = rng.choice(joined) if joined and rng.random() < 0.8 else rng.choice(USERS)
        target = rng.choice(USERS)
        action = rng.choices([self.join, self.leave, self.kick, self.ban, self.invite, self.knock, self.levels, self.rules, self.topic,
                              self.message, self.third_party, self.redeem, self.redact, self.odd],
                             [16, 4, 6, 7, 8, 3, 16, 8, 10, 4, 2, 3, 2, 3])[0]
        try:
            action(state, by_id, sender, target, joined, prevs)
        except synapse.Broken:
            pass

    def member(self, sender, target, c, prevs):
        if self.pdus[0]["content"].get("m.federate") is False and sender.endswith(":h") and not target.endswith(":h"):
            return                                 # spec.py: of_decision(), rule on m.federate
        self.send(sender, "m.room.member", target, c, prevs)

    def join(self, state, by_id, sender, target, joined, prevs):
        c = {"membership": "join"}
        if self.rng.random() < 0.4:
            c["displayname"] = str(self.rng.random())
        if number(self.name) >= 8 and self.rng.random() < 0.4:
            c["join_authorised_via_users_server"] = self.rng.choice(joined or USERS) if self.rng.random() < 0.7 else self.rng.choice(USERS)
        self.member(target if self.rng.random() < 0.95 else sender, target, c, prevs)

    def leave(self, state, by_id, sender, target, joined, prevs):
        self.member(target, target, {"membership": "leave"}, prevs)

    def kick(self, state, by_id, sender, target, joined, prevs):
        self.member(sender, target, {"membership": "leave", "reason": "x"}, prevs)

    def ban(self, state, by_id, sender, target, joined, prevs):
        self.member(sender, target, {"membership": "ban"}, prevs)

    def invite(self, state, by_id, sender, target, joined, prevs):
        self.member(sender, target, {"membership": "invite"}, prevs)

    def knock(self, state, by_id, sender, target, joined, prevs):
        self.member(target, target, {"membership": "knock"}, prevs)

    def levels(self, state, by_id, sender, target, joined, prevs):
        found = state.get(("m.room.power_levels", ""))
        c = power_levels(self.rng, self.name, by_id[found]["content"] if found else None)
        if self.name == "12" and self.rng.random() < 0.9:
            for user in [USERS[0]] + (self.pdus[0]["content"].get("additional_creators") or []):
                c.get("users", {}).pop(user, None)
        self.send(sender, "m.room.power_levels", "", c, prevs)

    def rules(self, state, by_id, sender, target, joined, prevs):
        self.send(sender, "m.room.join_rules", "", {"join_rule": self.rng.choice(JOIN_RULES), "n": self.rng.randrange(99)}, prevs)

    def topic(self, state, by_id, sender, target, joined, prevs):
        event_type = self.rng.choice(["m.room.topic", "m.room.name", "m.room.history_visibility", "m.room.aliases"])
        key = self.rng.choice(["", "", "x", sender, sender.split(":")[1]])
        self.send(sender, event_type, key, {"topic": str(self.rng.random())}, prevs)

    def message(self, state, by_id, sender, target, joined, prevs):
        self.send(sender, "m.room.message", None, {"body": self.rng.choice(STRINGS[:6]) + str(self.rng.random())}, prevs)

    def third_party(self, state, by_id, sender, target, joined, prevs):
        c = {"display_name": "x", "public_key": synapse.public_key()}
        if self.rng.random() < 0.4:
            c = {"display_name": "x", "public_keys": [{"public_key": synapse.public_key()}]}
        self.send(sender, "m.room.third_party_invite", self.rng.choice(["t1", "t2"]), c, prevs)

    def redeem(self, state, by_id, sender, target, joined, prevs):
        tokens = [k[1] for k in state if k[0] == "m.room.third_party_invite"] or ["t1"]
        token = self.rng.choice(tokens)
        found = state.get(("m.room.third_party_invite", token))
        if found and self.rng.random() < 0.9:
            sender = by_id[found]["sender"]
        self.member(sender, target, {"membership": "invite", "third_party_invite": signed_invite(self.rng, token, target)}, prevs)

    def redact(self, state, by_id, sender, target, joined, prevs):
        of = self.rng.choice(self.order)
        if number(self.name) >= 11:
            self.send(sender, "m.room.redaction", None, {"redacts": of}, prevs)
        else:
            self.send(sender, "m.room.redaction", None, {}, prevs, redacts=of)

    def odd(self, state, by_id, sender, target, joined, prevs):
        self.send(sender, "org.example.odd", self.rng.choice([None, "", target, "@x:y"]), {"n": self.rng.randrange(1000)}, prevs)


def room_size(rng):
    """5 to 500, most of them small."""
    return int(math.exp(math.log(5) + rng.random() ** 3 * math.log(100)))


def room(rng, name=None, size=None):
    r = Room(rng, name or rng.choice(VERSIONS))
    size = size or room_size(rng)
    for _ in range(size * 3):
        if len(r.order) >= size:
            break
        r.step()
    return r
