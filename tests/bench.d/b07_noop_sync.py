# SPDX-License-Identifier: Apache-2.0
"""A /sync of an account with many rooms that has nothing to tell."""
import duel
from common import driver, row, sync_line


def measure(bench):
    server = bench.server
    token, n = bench.people.token, len(bench.people.rooms)
    floor = driver(server, "load", ["GET /_matrix/client/versions - -"], 1, bench.seconds / 2)["p50_ms"]
    got = driver(server, "load", [sync_line(token, since=server.position(token), timeout=0)], 1, bench.seconds)
    row("B7", f"sync of {n} rooms without news: p50 ms", f"{got['p50_ms']:.3f}", f"/versions {floor:.3f}", f"{got['p50_ms'] / floor:.2f}", "<= 0.5 ms")


def versus(fight):
    fight.compare("B7", f"sync of {duel.ROOMS} rooms without news",
                  lambda side: side.load([sync_line(side.token, since=side.server.position(side.token), timeout=0)], 1, fight.seconds), duel.latency())
