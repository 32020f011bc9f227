from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest

from testbed import proc, sandbox
from testbed.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(cache=tmp_path / "cache", state=tmp_path)


def remember(home: Home, pid: int, started: str) -> None:
    row = {"pid": pid, "started": started, "nodes": 3, "range": "10.200.0.0/16", "fingerprint": "f"}
    home.pidfile.write_text(json.dumps(row))


def test_finds_a_running_process_by_number_and_start_time(home: Home) -> None:
    remember(home, os.getpid(), proc.start_of(os.getpid()))
    found = sandbox.find(home)
    assert found is not None
    assert found.network.node_count == 3


def test_does_not_take_a_reused_number_for_its_own(home: Home) -> None:
    remember(home, os.getpid(), f"{proc.start_of(os.getpid())}0")
    assert sandbox.find(home) is None


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"pid": 1}'])
def test_finds_nothing_in_what_a_kill_left(home: Home, text: str | None) -> None:
    if text is not None:
        home.pidfile.write_text(text)
    assert sandbox.find(home) is None


def test_does_not_take_a_dead_process_for_a_running_one(home: Home) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        remember(home, child.pid, proc.start_of(child.pid))
        assert sandbox.find(home) is not None
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet buried
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert sandbox.find(home) is None
    assert sandbox.find(home) is None
