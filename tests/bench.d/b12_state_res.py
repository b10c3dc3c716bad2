# SPDX-License-Identifier: Apache-2.0
"""
State resolution among 10,000 members, and the auth check of a DAG of 50,000 events: in memory against Synapse's code on the same events,
in turns. Then by room/resolve.c from the states in the database, with nothing remembered; and what is big: 100,000 members, 1,000 forks.
"""
import os
import re
import statistics
import subprocess

import synapse
from common import BUILD, DIR, WORK, quickstart, row, run

PYTHON = BUILD / "synapse-venv/bin/python"
ROUNDS = 3
VERSIONS = ("11", "12")
IN_MEMORY = ((10000, 100), (10000, 500), (10000, 2000), (30000, 10000))
FROM_DATABASE = ((10000, 100), (10000, 500), (10000, 2000), (100000, 200))
SLOW = "60"                              # times what a unit test may take


def figures(text):
    return [float(x) for x in re.findall(r"[\d.]+", text)]


def measure(bench):
    synapse.install()
    run("make", "-s", "-C", BUILD / "out", "tests/bench.d/state_res", "tests/unit/test_resolve")
    for version in VERSIONS:
        for members, conflicts in IN_MEMORY:
            in_memory(members, conflicts, version)
    dsn = quickstart("database", folder=DIR).strip()
    for members, conflicts in FROM_DATABASE:
        for line in resolved(dsn, "many_members", MX_TEST_MEMBERS=str(members), MX_TEST_CONFLICTS=str(conflicts)):
            told(line, "<= 100" if members == 10000 else "64 MB more")
    for line in resolved(dsn, "a_thousand_forks"):
        told(line, "256 MB more")


def in_memory(members, conflicts, version):
    file, ours, theirs = WORK / "state_res.txt", [], []
    for _ in range(ROUNDS):
        ours.append(figures(run(BUILD / "out/tests/bench.d/state_res", members, conflicts, version, file)))
        theirs.append(figures(run(PYTHON, "tests/bench.d/synapse_state_res.py", file, version)))
    at = 0 if conflicts <= 2000 else 1
    a, b = (statistics.median(got[at] for got in side) for side in (ours, theirs))
    what, bar = ((f"resolve {conflicts} conflicts of {members} members, version {version}: ms CPU", ">= 10"),
                 (f"auth check of a DAG of {members + 2 * conflicts} events, version {version}: us CPU an event", ">= 20"))[at]
    row("B12", what, f"{a:.2f}", f"Synapse {b:.1f}", f"{b / a:.0f}", bar)


def resolved(dsn, test, **environment):
    """What a test of tests/unit/test_resolve.c says of the resolutions that it makes and checks."""
    done = subprocess.run([BUILD / "out/tests/unit/test_resolve"], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "MX_TEST_DSN": dsn, "MX_TEST_ONLY": test, "CK_TIMEOUT_MULTIPLIER": SLOW, **environment})
    assert done.returncode == 0, done.stdout
    return [line for line in done.stdout.split("\n") if " ms, " in line]


def told(line, bar):
    what, spent = line.split(": ")
    ms, memory = spent.split(" ms, ")
    row("B12", f"from the database, {what}: ms", ms, memory, "", bar)
