"""The page's logic, by node's own test runner: the *.test.mjs files beside this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OLDEST_NODE = 20
NODE = shutil.which("node")


def test_the_modules_do_what_their_tests_say() -> None:
    if NODE is None:
        pytest.skip("no node on PATH: the *.test.mjs files were not run")
    version = subprocess.run([NODE, "--version"], text=True, capture_output=True, check=True, timeout=20).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version} is older than {OLDEST_NODE}: the *.test.mjs files were not run")
    files = sorted(str(path) for path in HERE.glob("*.test.mjs"))
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", *files],
        text=True, capture_output=True, timeout=60, check=False, env={**os.environ, "TZ": "UTC"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # A runner that finds no test is content, too.
    counted = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert counted, done.stdout
    written = sum(len(re.findall(r"^(?:test|table)\(", Path(file).read_text("utf-8"), re.MULTILINE)) for file in files)
    assert int(counted[1]) == written
