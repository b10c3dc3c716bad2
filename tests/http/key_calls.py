# SPDX-License-Identifier: Apache-2.0
"""What the tests about end-to-end encryption share: keys as a client makes them."""
import base64
import json

import nacl.signing

from harness import V3, quote

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]


def b64(raw):
    return base64.b64encode(raw).decode().rstrip("=")


def canonical(value):
    """Appendices: canonical JSON"""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Key:
    """An Ed25519 key that signs JSON."""

    def __init__(self, name=None):
        self.secret = nacl.signing.SigningKey.generate()
        self.public = b64(bytes(self.secret.verify_key))
        self.id = f"ed25519:{name or self.public}"

    def sign(self, user_id, value):
        bare = {k: v for k, v in value.items() if k not in ("signatures", "unsigned")}
        signature = b64(self.secret.sign(canonical(bare)).signature)
        signatures = {u: dict(s) for u, s in value.get("signatures", {}).items()}
        signatures.setdefault(user_id, {})[self.id] = signature
        return {**value, "signatures": signatures}


class Device:
    """A device's keys; `user` is logged in with it."""

    def __init__(self, user):
        self.user, self.key, self.n = user, Key(user.device_id), 0

    def keys(self, **change):
        value = {"user_id": self.user.user_id, "device_id": self.user.device_id, "algorithms": ALGORITHMS,
                 "keys": {f"curve25519:{self.user.device_id}": b64(b"c" * 32), self.key.id: self.key.public}, **change}
        return self.key.sign(self.user.user_id, value)

    def one_time(self, n, prefix="AAAA"):
        keys = {}
        for _ in range(n):
            self.n += 1
            keys[f"signed_curve25519:{prefix}{self.n:05d}"] = self.key.sign(self.user.user_id, {"key": b64(b"%032d" % self.n)})
        return keys

    def fallback(self, name="FALL"):
        return {f"signed_curve25519:{name}": self.key.sign(self.user.user_id, {"key": b64(b"f" * 32), "fallback": True})}

    def upload(self, one_time=0, **body):
        body.setdefault("device_keys", self.keys())
        if one_time:
            body["one_time_keys"] = self.one_time(one_time)
        return upload(self.user, body)


def upload(user, body, **expect):
    return user.call("POST", f"{V3}/keys/upload", body, **expect)


def query(user, *users, **expect):
    return user.call("POST", f"{V3}/keys/query", {"device_keys": {u: [] for u in users}}, **expect)


def claim(user, asked, **expect):
    return user.call("POST", f"{V3}/keys/claim", {"one_time_keys": asked}, **expect)


def to_device(user, messages, type="m.test", txn="t1", **expect):
    return user.call("PUT", f"{V3}/sendToDevice/{quote(type)}/{quote(txn)}", {"messages": messages}, **expect)


def counts(answer):
    return answer["device_one_time_keys_count"]


def changed(answer):
    return set(answer.get("device_lists", {}).get("changed", []))


def left(answer):
    return set(answer.get("device_lists", {}).get("left", []))


def bodies(answer):
    return [e["content"] for e in answer["to_device"]["events"]]
