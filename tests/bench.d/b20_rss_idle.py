# SPDX-License-Identifier: Apache-2.0
"""Memory of the children after a start."""
import time

from common import row


def measure(bench):
    server = bench.server
    server.restart()
    time.sleep(2)
    row("B20", "children idle after start: MB of PSS together", f"{server.memory_kb('Pss') / 1024:.1f}", "", "", "<= 40")
