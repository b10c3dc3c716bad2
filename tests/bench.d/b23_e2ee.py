# SPDX-License-Identifier: Apache-2.0
"""Keys and to-device messages of an account with many devices: asked for, claimed, written to."""
import statistics
import time

from common import parallel, row

V3 = "/_matrix/client/v3"
CLAIMS = 20                          # measured; each takes a key of every device


class Devices:
    """A user with `n` devices that have keys. Signatures are not the server's to check here, so there are none that would pass."""

    def __init__(self, server, n, name):
        self.server = server
        self.user = server.register(name)
        self.asker = server.register(name + "-asker")["access_token"]
        self.ids = parallel(self.add, range(n), 4)
        self.sent = 0

    def add(self, i):
        login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": self.user["user_id"]}, "password": "bench-password"}
        got = self.server.call("POST", f"{V3}/login", login)
        device_id, user_id = got["device_id"], self.user["user_id"]
        keys = {"user_id": user_id, "device_id": device_id, "algorithms": ["m.megolm.v1.aes-sha2"],
                "keys": {f"ed25519:{device_id}": "k" * 43}, "signatures": {user_id: {f"ed25519:{device_id}": "s" * 86}}}
        one = {f"signed_curve25519:AAAA{n:04d}": {"key": f"{i:06d}{n:06d}" + "k" * 31, "signatures": {user_id: {f"ed25519:{device_id}": "s" * 86}}}
               for n in range(CLAIMS * 4)}
        self.server.call("POST", f"{V3}/keys/upload", {"device_keys": keys, "one_time_keys": one}, got["access_token"])
        return device_id

    def claim(self, n):
        asked = {self.user["user_id"]: {d: "signed_curve25519" for d in self.ids[:n]}}
        got = self.server.call("POST", f"{V3}/keys/claim", {"one_time_keys": asked}, self.asker)
        assert len(got["one_time_keys"][self.user["user_id"]]) == n

    def query(self, n):
        self.server.call("POST", f"{V3}/keys/query", {"device_keys": {self.user["user_id"]: self.ids[:n]}}, self.asker)

    def send(self, n):
        self.sent += 1
        messages = {self.user["user_id"]: {d: {"n": self.sent, "body": "x" * 500} for d in self.ids[:n]}}
        self.server.call("PUT", f"{V3}/sendToDevice/m.bench/{time.time_ns()}", {"messages": messages}, self.asker)


def p50_ms(work, times=CLAIMS):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)


WORKLOADS = (("keys/claim", Devices.claim), ("keys/query", Devices.query), ("sendToDevice", Devices.send))


def measure(bench):
    devices = Devices(bench.server, 100, f"b23-{time.time_ns():x}")
    floor = p50_ms(lambda: bench.server.call("GET", "/_matrix/client/versions"))
    for what, work in WORKLOADS:
        for n in (1, 100):
            ms = p50_ms(lambda: work(devices, n))
            row("B23", f"{what} of {n} devices: p50 ms", f"{ms:.2f}", f"/versions {floor:.2f}", f"{ms / floor:.1f}")
    row("B23", "keys/claim of 100 devices: statements", statements(bench.server, lambda: devices.claim(100)), "", "", "1")


def statements(server, work):
    """What touches keys, of all that the work runs: tokens and the like are looked up on the way."""
    server.sql("select pg_stat_statements_reset()")
    work()
    return server.sql("select sum(calls) from pg_stat_statements where toplevel and query like '%one_time_key%' and query not like '%pg_stat%'")


def versus(fight):
    sides = {}

    def run(side, work, n):
        if side.name not in sides:
            sides[side.name] = Devices(side.server, 100, f"b23-{time.time_ns():x}")
        ms = p50_ms(lambda: work(sides[side.name], n), CLAIMS // 2)
        return {"p50_ms": ms}
    for what, work in WORKLOADS:
        for n in (1, 100):
            fight.compare("B23", f"{what} of {n} devices", lambda side: run(side, work, n), [("p50_ms", "p50 ms", False, ">= 20")])
