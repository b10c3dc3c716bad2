# SPDX-License-Identifier: Apache-2.0
"""
While httpd's children are killed: each one-time key is given out at most once, and each to-device message arrives, in
its sender's order. MX_CRASH_SECONDS: how long (20).
"""
import os
import random
import threading
import time

from history import Failing, persist
from key_calls import Device, bodies
from harness import V3, quote
from test_crash import kill_some

SECONDS = float(os.environ.get("MX_CRASH_SECONDS", "20"))
CLIENTS, KEYS = 32, 1000


class Claimer(Failing):
    def __init__(self, stop, user, asked):
        super().__init__(stop)
        self.user, self.asked, self.got = user, asked, []

    def work(self):
        while not self.stop.is_set():
            # a claim whose answer was lost is not repeated: its keys are gone, which is what is promised
            try:
                reply = self.user.call("POST", f"{V3}/keys/claim", {"one_time_keys": self.asked}, status=None)
            except OSError:
                continue
            if reply.status_code != 200:
                time.sleep(0.05)
                continue
            keys = [(u, d, k) for u, ds in reply["one_time_keys"].items() for d, ks in ds.items() for k in ks]
            if not keys:
                return
            self.got += keys
            time.sleep(random.uniform(0, 0.1))


def test_key_history_001_each_key_is_given_out_at_most_once(make_server):
    server = make_server("--children", "3")
    stop = threading.Event()
    owners = [Device(server.register()) for _ in range(4)]
    for owner in owners:
        owner.upload(KEYS // len(owners))
    asked = {o.user.user_id: {o.user.device_id: "signed_curve25519"} for o in owners}
    claimers = [Claimer(stop, server.register(), asked) for _ in range(CLIENTS)]
    for thread in claimers:
        thread.start()
    killed = kill_some(server, SECONDS / 2)
    for thread in claimers:
        thread.join(120)
    stop.set()
    for thread in claimers:
        thread.result()
    got = [key for thread in claimers for key in thread.got]
    assert len(got) == len(set(got)), "a key was given to two"
    left = int(server.sql("select count(*) from one_time_key where body is not null")[0][0])
    assert left == 0 and len(got) <= KEYS
    print(f"\n{len(got)} of {KEYS} keys arrived, {killed} children killed")


class Sender(Failing):
    def __init__(self, stop, user, reader):
        super().__init__(stop)
        self.user, self.reader, self.sent = user, reader, 0

    def work(self):
        while not self.stop.is_set():
            content = {"messages": {self.reader.user_id: {self.reader.device_id: {"n": self.sent}}}}
            target = f"{V3}/sendToDevice/m.test/{self.sent}"
            persist(lambda: self.user.call("PUT", target, content, status=None))
            self.sent += 1
            time.sleep(0.02)


def test_key_history_002_messages_arrive_in_order_and_none_is_lost(make_server):
    server = make_server("--children", "3")
    stop, reader = threading.Event(), server.register()
    senders = [Sender(stop, server.register(), reader) for _ in range(4)]
    seen = {s.user.user_id: [] for s in senders}
    over = threading.Event()
    since = [reader.sync()["next_batch"]]

    def read():
        target = f"{V3}/sync?timeout=500&since={quote(since[0])}"
        answer = persist(lambda: reader.call("GET", target, status=None)).json()
        for event in answer["to_device"]["events"]:
            seen[event["sender"]].append(event["content"]["n"])
        since[0] = answer["next_batch"]

    def work():
        while not over.is_set():
            read()
    poller = threading.Thread(target=work)
    for thread in [*senders, poller]:
        thread.start()
    killed = kill_some(server, SECONDS / 2)
    stop.set()
    for thread in senders:
        thread.join(60)
        thread.result()
    end = time.monotonic() + 30
    while any(len(seen[s.user.user_id]) < s.sent for s in senders) and time.monotonic() < end:
        time.sleep(0.2)
    over.set()
    poller.join()
    for sender in senders:
        assert seen[sender.user.user_id] == list(range(sender.sent))
    assert bodies(reader.sync()) == [], "all were acknowledged"
    print(f"\n{sum(s.sent for s in senders)} messages, {killed} children killed")
