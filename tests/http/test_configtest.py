# SPDX-License-Identifier: Apache-2.0
"""What `apachectl configtest` says: one sentence that names the directive, for each thing that can be wrong."""
import os
import re

import pytest

from harness import REPO

with open(os.path.join(REPO, "mod_matrix/server/settings.def")) as f:
    SETTINGS = f.read()
NUMBERS = re.findall(r'^MX_SET_(INT|MSEC|BYTES)\("(\w+)", \w+, \d+, (\d+), (\d+),', SETTINGS, re.M)
WORDS = re.findall(r'^MX_SET_(?:FLAG|ENUM)\("(\w+)"', SETTINGS, re.M)
TEXTS = re.findall(r'^MX_SET_STR\("(\w+)"', SETTINGS, re.M)


@pytest.fixture(scope="module")
def site(make_module_server):
    return make_module_server("--server-name", "site.example", name="configtest")


@pytest.fixture
def configtest(site, tmp_path):
    """configtest(change): httpd -t with the lines of the vhost as change(lines) returns them; its words and exit code."""
    def run(change=lambda text: text, add=""):
        with open(os.path.join(site.dir, "vhost.conf")) as f:
            vhost = change(f.read()) + add + "\n"
        with open(os.path.join(site.dir, "httpd.conf")) as f:
            conf = f.read().replace(f'"{site.dir}/vhost.conf"', f'"{tmp_path}/vhost.conf"')
        (tmp_path / "vhost.conf").write_text(vhost)
        (tmp_path / "httpd.conf").write_text(conf)
        done = site.quickstart("httpd", "-f", str(tmp_path / "httpd.conf"), "-t", check=False)
        return done.returncode, done.stdout + done.stderr
    return run


def replaced(directive, value):
    return lambda text: re.sub(rf"^{directive} .*$", f"{directive} {value}", text, flags=re.M)


def sentences(said):
    """The lines that speak of mod_matrix or of a wrong directive; httpd adds where it stands and that it failed."""
    lines = [line for line in said.splitlines() if not re.match(r"AH00526|AH00014|AH00016|Action |The Apache error log|Syntax OK", line)]
    return [line for line in lines if line.strip()]


def refused(result, *words):
    code, said = result
    assert code != 0, said
    hits = [line for line in sentences(said) if all(word in line for word in words)]
    assert hits, f"no sentence with {words}:\n{said}"
    assert len(hits) <= 2, said   # the plain and the TLS door of the same homeserver may both say it


def test_configtest_001_what_quickstart_writes_is_fine(configtest):
    code, said = configtest()
    assert code == 0 and "Syntax OK" in said, said


@pytest.mark.parametrize("name", ["no/name", "-", "a b", "[::1", "example.org:99999999", "exa_mple.org", "@user:example.org"])
def test_configtest_002_not_a_server_name(configtest, name):
    refused(configtest(replaced("MatrixServerName", f'"{name}"')), "MatrixServerName", name)


def test_configtest_003_the_database_is_another_servers(configtest):
    refused(configtest(replaced("MatrixServerName", "other.example")), "MatrixServerName", "other.example", "site.example")


def test_configtest_004_no_signing_key(configtest):
    refused(configtest(lambda text: re.sub(r"^MatrixSigningKey .*\n", "", text, flags=re.M)), "MatrixSigningKey")


def test_configtest_005_the_signing_key_cannot_be_read(configtest, tmp_path):
    refused(configtest(replaced("MatrixSigningKey", tmp_path / "nowhere.key")), "MatrixSigningKey", "nowhere.key")


@pytest.mark.parametrize("text", ["", "hello\n", "ed25519 a_x short\n", "rsa a_x " + "A" * 43 + "\n"])
def test_configtest_006_the_signing_key_is_none(configtest, tmp_path, text):
    (tmp_path / "bad.key").write_text(text)
    refused(configtest(replaced("MatrixSigningKey", tmp_path / "bad.key")), "MatrixSigningKey", "bad.key")


def test_configtest_007_no_database_is_named(configtest):
    refused(configtest(lambda text: re.sub(r"^DBDParams .*\n", "", text, flags=re.M)), "DBDParams")


@pytest.mark.parametrize("dsn", ["host=/nowhere dbname=matrix", "host=127.0.0.1 port=1 dbname=matrix", "host={socket} dbname=nobodys user=matrix",
                                 "host={socket} dbname=matrix user=nobody"])
def test_configtest_008_the_database_cannot_be_reached(configtest, site, dsn):
    socket = re.search(r"host=(\S+)", site.dsn).group(1)
    refused(configtest(replaced("DBDParams", f'"{dsn.format(socket=socket)}"')), "DBDParams")


def test_configtest_009_no_database_driver(configtest):
    refused(configtest(lambda text: re.sub(r"^DBDriver .*\n", "", text, flags=re.M)), "DBDriver")


def test_configtest_010_the_schema_is_too_new(configtest, site):
    site.sql("INSERT INTO schema_version(version, file) VALUES (9999, '9999_future.sql')")
    try:
        refused(configtest(), "schema", "DBDParams")
    finally:
        site.sql("DELETE FROM schema_version WHERE version = 9999")
    assert configtest()[0] == 0


def test_configtest_011_a_database_without_schema(configtest, site):
    site.sql("CREATE TABLE held AS SELECT * FROM schema_version")
    site.sql("DELETE FROM schema_version")
    try:
        refused(configtest(), "schema", "DBDParams")
    finally:
        site.sql("INSERT INTO schema_version SELECT * FROM held")
        site.sql("DROP TABLE held")


@pytest.mark.parametrize("kind, directive, low, high", NUMBERS, ids=[n[1] for n in NUMBERS])
def test_configtest_012_numbers_out_of_range(configtest, kind, directive, low, high):
    unit = "ms" if kind == "MSEC" else ""
    wrong = [f"{int(high) + 1}{unit}", "-1", "many"]
    if int(low) > 0:
        wrong.append(f"{int(low) - 1}{unit}")
    for value in wrong:
        refused(configtest(add=f"{directive} {value}"), directive)
    for value in (low, high):
        code, said = configtest(add=f"{directive} {value}{unit}")
        assert code == 0, said


@pytest.mark.parametrize("directive", WORDS)
def test_configtest_013_words_that_are_none(configtest, directive):
    refused(configtest(add=f"{directive} perhaps"), directive, "perhaps")


@pytest.mark.parametrize("directive", TEXTS)
def test_configtest_014_empty_texts(configtest, directive):
    refused(configtest(add=f'{directive} ""'), directive)


def test_configtest_015_two_doors_that_differ(configtest, site, tmp_path):
    """The plain and the TLS vhost are one homeserver, so they must say the same of it."""
    with open(os.path.join(site.dir, "vhost.conf")) as f:
        (tmp_path / "other.conf").write_text(f.read() + "MatrixMaxWaiting 5\n")
    with open(os.path.join(site.dir, "httpd.conf")) as f:
        conf = f.read()
    (tmp_path / "httpd.conf").write_text(conf.replace(f'"{site.dir}/vhost.conf"', f'"{tmp_path}/other.conf"', 1))
    done = site.quickstart("httpd", "-f", str(tmp_path / "httpd.conf"), "-t", check=False)
    refused((done.returncode, done.stdout + done.stderr), "MatrixServerName", "MatrixMaxWaiting")


def test_configtest_016_a_line_outside_a_vhost_is_a_default(configtest, site):
    code, said = configtest(add="")
    assert code == 0, said
    done = site.quickstart("up", "--server-line", "MatrixMaxWaiting 55", check=False)
    assert done.returncode == 0, done.stderr
    site.up("--server-line", "")
