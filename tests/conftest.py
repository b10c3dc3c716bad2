# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the HTTP and interop tests.
  server       one server for the whole run: open registration, no rate limits
  user, user2  fresh users of it
  new_user     a function that makes more
  make_server  a function: make_server("--children", "2", ...) starts another server, which ends with the test
After every test the error logs of all servers are read: a line of level error or above, or one of a sanitizer, that the
test did not announce by server.log.expect("MX0123") fails it.
"""
import os
import shutil

import pytest

import schema_check
from harness import BUILD, Server

_servers = []
_RUNS = os.path.join(BUILD, "test-http")


def pytest_configure(config):
    schema_check.install(config)


class _Folder:
    """A server that another run left behind; enough of one to be stopped."""

    def __init__(self, folder):
        self.dir = folder


def _clear(folder):
    if os.path.exists(os.path.join(folder, "options")):
        Server.quickstart(_Folder(folder), "down", check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid):
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")


@pytest.fixture(scope="session", autouse=True)
def leftovers_are_cleared():
    """Each run has a folder named by its process id; those of runs that ended are kept for a look until the next run."""
    for run in os.listdir(_RUNS) if os.path.isdir(_RUNS) else ():
        if not _is_running(run):
            for name in os.listdir(os.path.join(_RUNS, run)):
                _clear(os.path.join(_RUNS, run, name))
            shutil.rmtree(os.path.join(_RUNS, run), ignore_errors=True)


def _start(name, *options, **settings):
    # who is online would answer polls that wait for something else; the tests of presence say that they want it
    if not any("MatrixPresence" in option for option in options):
        options += ("--conf-line", "MatrixPresence off")
    server = Server(os.path.join(_RUNS, str(os.getpid()), name), *options, **settings)
    _servers.append(server)
    return server


def _stop(server, session):
    server.down()
    bad = server.log.take_unannounced()
    _servers.remove(server)
    assert not bad, "the error log says at the end:\n" + "\n".join(bad)
    if not session.testsfailed:
        shutil.rmtree(server.dir, ignore_errors=True)


@pytest.fixture(scope="session")
def server(request):
    server = _start("main")
    yield server
    _stop(server, request.session)


@pytest.fixture
def make_server(request):
    made = []

    def make(*options, name=None, **settings):
        made.append(_start(name or f"{request.node.originalname}-{len(made)}"[:60], *options, **settings))
        return made[-1]
    yield make
    for server in reversed(made):     # one that uses the database of another goes first
        _stop(server, request.session)


@pytest.fixture(scope="module")
def make_module_server(request):
    """As make_server, but the servers last until the end of the test file."""
    made = []

    def make(*options, name, **settings):
        made.append(_start(name, *options, **settings))
        return made[-1]
    yield make
    for server in reversed(made):     # one that uses the database of another goes first
        _stop(server, request.session)


@pytest.fixture
def new_user(server):
    return server.register


@pytest.fixture
def user(server):
    return server.register()


@pytest.fixture
def user2(server):
    return server.register()


@pytest.fixture(autouse=True)
def error_log_is_quiet():
    yield
    bad = [line for server in _servers for line in server.log.take_unannounced()]
    assert not bad, "unannounced lines in the error log:\n" + "\n".join(bad)
