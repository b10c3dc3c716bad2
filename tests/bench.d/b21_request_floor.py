# SPDX-License-Identifier: Apache-2.0
"""The least a request costs, against a static file of the same httpd."""
import os
import pathlib
import statistics
import urllib.request

from common import DIR, driver, row


def measure(bench):
    server = bench.server
    root = next(line.split('"')[1] for line in open(DIR / "httpd.conf") if line.startswith("DocumentRoot"))
    versions = urllib.request.urlopen(server.base + "/_matrix/client/versions").read()
    pathlib.Path(root, "static.json").write_bytes(versions)
    os.chmod(pathlib.Path(root, "static.json"), 0o644)
    targets = {"static": "/static.json", "versions": "/_matrix/client/versions", "whoami": "/_matrix/client/v3/account/whoami"}
    rates = {name: [] for name in targets}
    for _ in range(3):
        for name, path in targets.items():
            token = bench.people.token if name == "whoami" else "-"
            rates[name].append(driver(server, "load", [f"GET {path} {token} -"], 16, bench.seconds / 2)["rate"])
    best = {name: statistics.median(r) for name, r in rates.items()}
    for name, bar in (("versions", ">= 0.6"), ("whoami", "")):
        row("B21", f"GET /{name}: requests/s", f"{best[name]:.0f}", f"static file {best['static']:.0f}", f"{best[name] / best['static']:.2f}", bar)
