# SPDX-License-Identifier: Apache-2.0
"""The command matrix-setup as an administrator uses it."""
import os
import shutil
import stat
import subprocess

import pytest

from harness import BUILD, QUICKSTART, REPO

FLAVOUR = os.environ.get("MX_BUILD")
OUT = os.path.join(BUILD, FLAVOUR or ("out-copy" if os.path.exists(os.path.join(REPO, "config.status")) else "out"))


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """The superuser's connection string of a PostgreSQL of our own."""
    subprocess.run([QUICKSTART, "build"], check=True, capture_output=True)
    folder = os.path.join(BUILD, "test-http", FLAVOUR or "plain", "setup")
    dsn = subprocess.run([QUICKSTART, "database", "--dir", folder], check=True, capture_output=True, text=True).stdout.strip()
    yield dsn
    subprocess.run([QUICKSTART, "down", "--dir", folder], check=True, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def sql(dsn, statement):
    return subprocess.run(["psql", "-X", "-At", "-d", dsn, "-c", statement], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def dsn(cluster, request):
    """An empty database."""
    name = request.node.originalname
    sql(cluster, f"drop database if exists {name} with (force)")
    sql(cluster, f"create database {name} encoding 'UTF8' template template0")
    return f"{cluster} dbname={name}"


def run_setup(*arguments, status=0, text=None):
    done = subprocess.run([os.path.join(OUT, "matrix-setup"), *arguments, "--sql-dir", os.path.join(REPO, "sql")],
                          input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done
    return done


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_matrix_setup_001_makes_schema_key_and_administrator_and_says_so(dsn, tmp_path):
    key, password = tmp_path / "signing.key", tmp_path / "password"
    said = run_setup("--database", dsn, "--server-name", "a.example", "--signing-key", key, "--create-admin", "boss",
                 "--password-file", password).stdout
    for words in ("Created the database schema", "belongs to the homeserver a.example", "Wrote a new signing key, ed25519:a_",
                  f"Wrote a random password to {password}", "Created the administrator @boss:a.example"):
        assert words in said
    assert mode(key) == mode(password) == 0o600
    assert key.read_text().split()[0] == "ed25519" and len(password.read_text().strip()) >= 20
    assert password.read_text().strip() not in said
    assert sql(dsn, "select mxid, local, admin, password_hash like '$y$%' from mxid join account using (user_nid)") == "@boss:a.example|t|t|t"


def test_matrix_setup_002_again_changes_nothing(dsn, tmp_path):
    arguments = ("--database", dsn, "--server-name", "a.example", "--signing-key", tmp_path / "key")
    run_setup(*arguments)
    key = (tmp_path / "key").read_text()
    said = run_setup(*arguments).stdout
    assert "already has version" in said and "Kept the signing key" in said
    assert (tmp_path / "key").read_text() == key


def test_matrix_setup_003_another_name_is_refused(dsn, tmp_path):
    run_setup("--database", dsn, "--server-name", "a.example")
    failed = run_setup("--database", dsn, "--server-name", "b.example", "--signing-key", tmp_path / "key", status=1)
    assert "belongs to the server name a.example and cannot serve b.example" in failed.stderr
    assert not (tmp_path / "key").exists()


def test_matrix_setup_004_missing_database_comes_with_the_command(cluster):
    sql(cluster, "drop database if exists not_there")
    failed = run_setup("--database", f"{cluster} dbname=not_there", status=1).stderr
    command = failed.splitlines()[-1].strip()
    assert command.startswith("createdb ") and "not_there" in command
    subprocess.run(command, shell=True, check=True)
    run_setup("--database", f"{cluster} dbname=not_there")


def test_matrix_setup_005_unreachable_server_is_one_sentence():
    failed = run_setup("--database", "host=/nowhere dbname=x", status=1).stderr
    assert failed.startswith("matrix-setup: The database cannot be reached: ") and failed.count("\n") == 1


def test_matrix_setup_006_newer_schema_is_refused(dsn):
    run_setup("--database", dsn)
    sql(dsn, "insert into schema_version (version, file) values (9999, 'x')")
    assert "newer than version" in run_setup("--database", dsn, status=1).stderr


def test_matrix_setup_007_foreign_encoding_is_refused(cluster):
    sql(cluster, "drop database if exists latin")
    sql(cluster, "create database latin encoding 'LATIN1' locale 'C' template template0")
    assert "encoding LATIN1" in run_setup("--database", f"{cluster} dbname=latin", status=1).stderr


def test_matrix_setup_008_password_by_standard_input_updates_the_account(dsn):
    arguments = ("--database", dsn, "--server-name", "a.example", "--create-admin", "boss", "--password-file", "-")
    assert "Created the administrator" in run_setup(*arguments, text="first password\n").stdout
    before = sql(dsn, "update account set admin = false, deactivated = true returning password_hash").splitlines()[0]
    assert "Made @boss:a.example an administrator" in run_setup(*arguments, text="second password\n").stdout
    assert sql(dsn, "select admin, deactivated from account") == "t|f"
    assert sql(dsn, "select password_hash from account") != before


@pytest.mark.parametrize("arguments, words", [
    ((), "--database is missing"),
    (("--database", "x", "--create-admin", "a"), "--create-admin needs"),
    (("--database", "x", "--server-name", "no name"), "--server-name must be"),
    (("--database", "x", "--signing-key", "k"), "--signing-key needs"),
    (("--database", "x", "more"), "an argument too many"),
    (("--nonsense",), "invalid option"),
])
def test_matrix_setup_009_wrong_arguments_are_named(arguments, words):
    assert words in run_setup(*arguments, status=2).stderr


@pytest.mark.parametrize("name, password, words", [("Boss", "long enough", "no name for a user"), ("boss", "short", "must have 8 to")])
def test_matrix_setup_010_bad_name_or_password_stores_nothing(dsn, name, password, words):
    failed = run_setup("--database", dsn, "--server-name", "a.example", "--create-admin", name, "--password-file", "-", status=1, text=password)
    assert words in failed.stderr
    assert sql(dsn, "select count(*) from account") == "0"


def test_matrix_setup_011_broken_key_file_is_kept_and_named(dsn, tmp_path):
    key = tmp_path / "key"
    key.write_text("ed25519 a_x tooshort\n")
    assert "cannot be used" in run_setup("--database", dsn, "--server-name", "a.example", "--signing-key", key, status=1).stderr
    assert key.read_text() == "ed25519 a_x tooshort\n"


def test_matrix_setup_012_readable_key_is_remarked(dsn, tmp_path):
    key = tmp_path / "key"
    run_setup("--database", dsn, "--server-name", "a.example", "--signing-key", key)
    key.chmod(0o644)
    assert "chmod 600" in run_setup("--database", dsn, "--server-name", "a.example", "--signing-key", key).stdout
