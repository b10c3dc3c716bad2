# SPDX-License-Identifier: Apache-2.0
"""State resolution among 10,000 members, and the auth check of a DAG of 50,000 events, in memory; Synapse's code on the same events."""
import re

from common import BUILD, WORK, row, run

PYTHON = BUILD / "synapse-venv/bin/python"


def figures(text):
    return [float(x) for x in re.findall(r"[\d.]+", text)]


def measure(bench):
    run("make", "-s", "-C", BUILD / "out", "tests/bench.d/state_res")
    for version in ("11", "12"):
        for members, conflicts in ((10000, 100), (10000, 500), (10000, 2000), (30000, 10000)):
            file = WORK / "state_res.txt"
            ours = figures(run(BUILD / "out/tests/bench.d/state_res", members, conflicts, version, file))
            theirs = figures(run(PYTHON, "tests/bench.d/synapse_state_res.py", file, version)) if PYTHON.exists() else None
            if conflicts <= 2000:
                row("B12", f"resolve {conflicts} conflicts of 10000 members, version {version}: ms CPU", f"{ours[0]:.2f}",
                    f"Synapse {theirs[0]:.0f}" if theirs else "", f"{theirs[0] / ours[0]:.0f}" if theirs else "", ">= 10")
            else:
                row("B12", f"auth check of a DAG of 50000 events, version {version}: us an event", f"{ours[1]:.2f}",
                    f"Synapse {theirs[1]:.0f}" if theirs else "", f"{theirs[1] / ours[1]:.0f}" if theirs else "", ">= 20")
