# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts on a host with an Apache of its own: enough for the lines that README.md tells to add."""
import os
import re
import subprocess

import pytest

from harness import BUILD, REPO

FLAVOUR = os.environ.get("MX_BUILD")
OUT = os.path.join(BUILD, FLAVOUR or ("out-copy" if os.path.exists(os.path.join(REPO, "config.status")) else "out"))
DEBIAN_CONF = "/etc/apache2/mods-available"


@pytest.fixture(scope="module")
def installed(server, tmp_path_factory):
    """The folder that `make install` went into."""
    dest = tmp_path_factory.mktemp("dest")
    subprocess.run(["make", "-s", "-C", OUT, "install", f"DESTDIR={dest}"], check=True, capture_output=True, timeout=300)
    return dest


def vhost_lines():
    """The lines from MatrixServerName to the end of the vhost, of README.md and of conf/vhost.conf.in."""
    for name in ("README.md", "conf/vhost.conf.in"):
        with open(os.path.join(REPO, name)) as f:
            yield re.search(r"^ *(MatrixServerName example\.org\n(?: *[A-Z]\w+ .*\n)+)", f.read(), re.M).group(1)


def test_existing_host_001_the_tool_and_the_schema(installed):
    tool = installed / "usr/local/bin/matrix-setup"
    assert os.access(tool, os.X_OK)
    schema = {name for name in os.listdir(os.path.join(REPO, "sql")) if name.endswith(".sql")}
    assert set(os.listdir(installed / "usr/local/share/mod_matrix/sql")) == schema


@pytest.mark.skipif(not os.path.isdir(DEBIAN_CONF), reason="only Debian has mods-available")
def test_existing_host_002_what_a2enmod_needs(installed):
    mods = installed / DEBIAN_CONF[1:]
    load = (mods / "matrix.load").read_text()
    assert load.startswith("# Depends: dbd\n")              # a2enmod enables mod_dbd with it
    assert (mods / "matrix.conf").exists()
    module = re.search(r"^LoadModule matrix_module (\S+)$", load, re.M).group(1)
    assert (installed / module[1:]).exists()


@pytest.mark.skipif(not os.path.isdir(DEBIAN_CONF), reason="only Debian has mods-available")
def test_existing_host_003_the_administrators_own_settings_stay(installed):
    conf = installed / DEBIAN_CONF[1:] / "matrix.conf"
    conf.write_text("# mine\n")
    subprocess.run(["make", "-s", "-C", OUT, "install", f"DESTDIR={installed}"], check=True, capture_output=True, timeout=300)
    assert conf.read_text() == "# mine\n"


@pytest.mark.skipif(bool(FLAVOUR), reason="httpd needs the sanitizer's library preloaded")
@pytest.mark.parametrize("lines", list(vhost_lines()), ids=["readme", "sample"])
def test_existing_host_004_the_six_lines_are_a_homeserver(server, tmp_path, lines):
    told = server.told
    assert len(lines.splitlines()) == 6
    lines = re.sub(r"MatrixServerName .*", f"MatrixServerName {told['server_name']}", lines)
    lines = re.sub(r"MatrixSigningKey .*", f"MatrixSigningKey {server.dir}/signing.key", lines)
    lines = re.sub(r"DBDParams .*", f'DBDParams "{told["dsn"]}"', lines)
    with open(os.path.join(server.dir, "httpd.conf")) as f:
        main = re.sub(r"<VirtualHost.*</VirtualHost>", "", f.read(), flags=re.S)
    with open(os.path.join(REPO, "conf/matrix.conf.in")) as f:
        main += f.read()                                    # what mods-enabled includes
    conf = tmp_path / "apache2.conf"
    conf.write_text(f"{main}\n<VirtualHost *:80>\nServerName {told['server_name']}\n{lines}</VirtualHost>\n")
    done = subprocess.run([re.search(r"^HTTPD_BIN = (.*)$", open(os.path.join(OUT, "Makefile")).read(), re.M).group(1),
                           "-t", "-f", conf], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Syntax OK" in done.stderr, done.stderr
