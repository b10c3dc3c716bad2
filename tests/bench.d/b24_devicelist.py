# SPDX-License-Identifier: Apache-2.0
"""A login with its key upload, of users in 1, 100 and 1,000 rooms: rows that say the device list changed, and the time of the upload."""
import time

from b23_e2ee import Devices
from common import parallel, row


def measure(bench):
    server, first = bench.server, None
    for rooms in (1, 100, 1000):
        devices = Devices(server, 0, f"b24-{rooms}-{time.time_ns():x}")
        parallel(lambda _: server.create_room(devices.user["access_token"]), range(rooms), 4)
        position = int(server.sql("select coalesce(max(stream), 0) from device_change"))
        start = time.perf_counter()
        devices.add(0)
        ms = (time.perf_counter() - start) * 1e3
        rows = int(server.sql(f"select count(*) from device_change where stream > {position}"))
        first = first or ms
        row("B24", f"login and keys of a user in {rooms} rooms: ms", f"{ms:.1f}", f"1 room {first:.1f}", f"{ms / first:.2f}", "flat")
        row("B24", f"login and keys of a user in {rooms} rooms: rows", rows, "1", f"{rows:.1f}", "1")
