# SPDX-License-Identifier: Apache-2.0
"""The conversation of README.md, run as it is printed."""
import os
import re
import subprocess

from harness import QUICKSTART, REPO


def test_readme_001_the_conversation_works_as_printed(make_server):
    server = make_server(name="readme")
    with open(os.path.join(REPO, "README.md")) as f:
        block = re.search(r"tests/http/test_readme\.py.*?```sh\n(.*?)```", f.read(), re.S).group(1)
    first, rest = block.split("\n", 1)
    assert first == "conf/quickstart up --open-registration"   # done by the fixture, in a folder of its own
    rest = rest.replace("http://127.0.0.1:8008", server.base_url)
    done = subprocess.run(["bash", "-c", rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert '"errcode"' not in done.stdout, done.stdout
    # the waiting sync and /messages both tell it
    assert done.stdout.count("Hello Bob") == 2, done.stdout


def test_readme_002_options_it_names_exist():
    with open(os.path.join(REPO, "README.md")) as f:
        named = set(re.findall(r"(?<!-)--[a-z][a-z-]+", "\n".join(line for line in f if "conf/quickstart" in line)))
    said = subprocess.run([QUICKSTART, "--help"], stdout=subprocess.PIPE, text=True).stdout
    assert named and all(option in said or option == "--help" for option in named)
