# SPDX-License-Identifier: Apache-2.0
"""A thousand clients that sync without a pause in rooms of fifty while others' messages, receipts and typing arrive."""
import time

from common import driver, parallel, row, sync_line

CLIENTS, MEMBERS = 1000, 50
BAR_MS = 150                         # p99 from the acknowledged send to what the other members receive
V3 = "/_matrix/client/v3"


class Crowd:
    """Clients by room."""

    def __init__(self, server, people, clients):
        self.server = server
        self.users = people.users(clients)
        self.groups = [self.users[at:at + MEMBERS] for at in range(0, clients, MEMBERS)]
        self.rooms = [server.create_room(group[0]["access_token"], {"preset": "public_chat"}) for group in self.groups]
        parallel(self.join, [(room, u) for room, group in zip(self.rooms, self.groups) for u in group[1:]], 8)
        self.first = [server.call("PUT", f"{V3}/rooms/{room}/send/m.room.message/first", {"msgtype": "m.text", "body": "first"},
                                  group[0]["access_token"])["event_id"] for room, group in zip(self.rooms, self.groups)]

    def join(self, pair):
        room, user = pair
        self.server.call("POST", f"{V3}/join/{room}", {}, user["access_token"])

    def polls(self):
        """Each goes on from the place that its answer names: the driver adds `since`."""
        return [sync_line(u["access_token"], timeout=30000) for u in self.users]

    def says(self):
        """One message of each user, the rooms in turns."""
        for k in range(MEMBERS):
            for room, group in zip(self.rooms, self.groups):
                yield (f"PUT {V3}/rooms/{room}/send/m.room.message/l{time.time_ns()}.%n {group[k]['access_token']} "
                       '{"msgtype":"m.text","body":"mark%n ' + "x" * 120 + '"}')

    def moves(self):
        """Receipts and typing of each user."""
        for k in range(MEMBERS):
            for room, group, event in zip(self.rooms, self.groups, self.first):
                token, user = group[k]["access_token"], group[k]["user_id"]
                yield f"POST {V3}/rooms/{room}/receipt/m.read/{event} {token} {{}}"
                yield f'PUT {V3}/rooms/{room}/typing/{user} {token} {{"typing":true,"timeout":10000}}'


def live(server, crowd, lines, seconds, rate):
    """`lost`: messages times members that no client was told of."""
    before = server.cpu_with_database_ms()
    got = driver(server, "live", crowd.polls() + lines, len(crowd.users), seconds, rate)
    got["cpu_ms"] = (server.cpu_with_database_ms() - before) / max(1, got["told"])
    got["lost"] = got["messages"] * MEMBERS - got["told"]
    return got


def mixed(crowd):
    """Two of five things that happen are messages."""
    says, moves = list(crowd.says()), list(crowd.moves())
    return [line for i in range(len(says)) for line in (says[i], moves[2 * i], says[(i + 7) % len(says)], moves[2 * i + 1], moves[(2 * i + 50) % len(moves)])]


def report(got, what, peer=""):
    for figure, text, bar in (("p50_ms", "p50 ms", ""), ("p99_ms", "p99 ms", f"<= {BAR_MS}"), ("cpu_ms", "CPU ms each", ""), ("lost", "not told", "0")):
        row("B25", f"{what}: {text}", f"{got[figure]:.4g}", peer, "", bar)


def measure(bench, clients=CLIENTS):
    server = bench.server
    crowd = Crowd(server, bench.people, clients)
    seconds = max(10, bench.seconds)
    report(live(server, crowd, list(crowd.says()), seconds, 100), f"{clients} clients, 100 messages/s, acknowledged to received")
    report(live(server, crowd, mixed(crowd), seconds, 100), f"{clients} clients, 40 messages/s, receipts and typing, acknowledged to received")


def versus(fight, clients=200):
    """To fewer clients: what a peer can keep up with."""
    crowds = {side: Crowd(side.server, side.people, clients) for side in fight.sides}
    fight.compare("B25", f"{clients} clients, 10 messages/s, acknowledged to received",
                  lambda side: live(side.server, crowds[side], list(crowds[side].says()), max(10, fight.seconds), 10),
                  [("p50_ms", "p50 ms", False, ""), ("p99_ms", "p99 ms", False, ""), ("cpu_ms", "CPU ms each", False, "")])
