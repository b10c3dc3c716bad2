# SPDX-License-Identifier: Apache-2.0
"""The event engine and Synapse are asked the same; differential.py does the work in the Python that Synapse is installed in."""
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent.parent / ".build"
PYTHON = os.environ.get("MX_SYNAPSE_PYTHON", str(BUILD / "synapse-venv/bin/python"))
ENGINE = os.environ.get("MX_ENGINE", str(BUILD / "out/tests/interop/engine"))


@pytest.mark.parametrize("part", ["cases", "pdus", "decisions", "rooms"])
def test_interop_010_engine_and_synapse_agree(request, part):
    option = request.config.getoption
    done = subprocess.run([PYTHON, HERE / "differential.py", "--engine", ENGINE, "--part", part, "--seed", str(option("--seed")),
                           "--events", str(option("--events")), "--dags", str(option("--dags")), "--cases", BUILD / "differential"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:]
