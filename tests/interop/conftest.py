# SPDX-License-Identifier: Apache-2.0
"""Options of the comparison with Synapse: tests/run interop -- -s -k engine_and_synapse --events=100000 --dags=20000 --seed=1"""


def pytest_addoption(parser):
    group = parser.getgroup("differential")
    group.addoption("--events", type=int, default=5000, help="random PDUs, and as many single decisions")
    group.addoption("--dags", type=int, default=300, help="random rooms")
    group.addoption("--seed", type=int, default=0, help="0: a new one, which is printed")
