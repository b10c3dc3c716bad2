# SPDX-License-Identifier: Apache-2.0
"""Synapse from PyPI as the peer: one process as a default install is, on the same PostgreSQL cluster with a database of its own."""
import glob
import json
import os
import pathlib
import subprocess
import sys
import time

from common import BUILD, DIR, REPO, WORK, Homeserver, free_ports, note, run

VENV = BUILD / "synapse-venv"
HOME = WORK / "synapse"
START_TIMEOUT_S = 120
LIMITS = ("message registration joins.local joins.remote joins_per_room login.address login.account login.failed_attempts"
          " room_creation invites.per_room invites.per_user invites.per_issuer admin_redaction").split()


def install():
    """Once a tree. The tests' environment may be there already: its Synapse has no database driver."""
    if not list(VENV.glob("lib/*/site-packages/psycopg2")):
        note("Installing Synapse …")
        if not VENV.exists():
            run(sys.executable, "-m", "venv", VENV)
        run(VENV / "bin/pip", "install", "-q", "matrix-synapse", "psycopg2-binary")
    return run(VENV / "bin/python", "-c", "from importlib.metadata import version; print(version('matrix-synapse'))").strip()


def unlimited():
    out = {}
    for name in LIMITS:
        at = out
        *above, last = ("rc_" + name).split(".")
        for key in above:
            at = at.setdefault(key, {})
        at[last] = {"per_second": 1e6, "burst_count": 1000000}
    return out


class Synapse(Homeserver):
    """One for a run, on the cluster of `beside`; `dsn` is of its own database."""

    name = "Synapse"

    def __init__(self, beside):
        self.version = install()
        HOME.mkdir(parents=True, exist_ok=True)
        self.dsn = beside.dsn.replace("dbname=matrix", "dbname=synapse")
        self.socket_dir = beside.dsn.split("host=")[1].split(" ")[0]
        admin = run(REPO / "conf/quickstart", "database", "--dir", DIR).strip()
        for text in ("drop database if exists synapse",
                     "create database synapse owner matrix encoding 'UTF8' lc_collate 'C' lc_ctype 'C' template template0"):
            run("psql", "-X", "-q", "-d", admin, "-c", text)
        self.port = str(free_ports(1)[0])
        self.base = "http://127.0.0.1:" + self.port
        self.start()

    def configuration(self):
        (HOME / "log.yaml").write_text(json.dumps({
            "version": 1, "formatters": {"line": {"format": "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"}},
            "handlers": {"file": {"class": "logging.FileHandler", "formatter": "line", "filename": str(HOME / "homeserver.log")}},
            "root": {"level": "INFO", "handlers": ["file"]}, "disable_existing_loggers": False}))
        return {"server_name": "bench.test", "pid_file": str(HOME / "pid"), "report_stats": False, "trusted_key_servers": [],
                "listeners": [{"port": int(self.port), "type": "http", "bind_addresses": ["127.0.0.1"],
                               "resources": [{"names": ["client"], "compress": False}]}],
                "database": {"name": "psycopg2", "args": {"user": "matrix", "dbname": "synapse", "host": self.socket_dir,
                                                          "cp_min": 5, "cp_max": 10}},
                "log_config": str(HOME / "log.yaml"), "media_store_path": str(HOME / "media"), "signing_key_path": str(HOME / "signing.key"),
                "enable_registration": True, "enable_registration_without_verification": True, "bcrypt_rounds": 4,
                "presence": {"enabled": False}, "macaroon_secret_key": "bench", "form_secret": "bench", **unlimited()}

    def start(self):
        (HOME / "homeserver.yaml").write_text(json.dumps(self.configuration()))
        command = [VENV / "bin/python", "-m", "synapse.app.homeserver", "-c", HOME / "homeserver.yaml"]
        run(*command, "--generate-keys")
        jemalloc = glob.glob("/usr/lib/*/libjemalloc.so.2")
        env = {**os.environ, **({"LD_PRELOAD": jemalloc[0]} if jemalloc else {})}
        self.process = subprocess.Popen(command, env=env, cwd=HOME, stdin=subprocess.DEVNULL, stdout=open(HOME / "out.log", "w"), stderr=subprocess.STDOUT)
        self.pid = self.process.pid
        limit = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                self.call("GET", "/_matrix/client/versions")
                return note(f"Synapse {self.version} is up" + (", with jemalloc" if jemalloc else ""))
            except OSError:
                time.sleep(0.2)
        self.end()
        raise RuntimeError("Synapse did not start: " + pathlib.Path(HOME / "out.log").read_text()[-500:])

    def restart(self):
        self.end()
        self.start()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
