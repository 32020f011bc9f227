"""kill -9 of every process of the testbed: each comes back by itself, the supervisor with `up`, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from testbed import catalog, sandbox
from testbed.state import State, Status
from tests.e2e.cluster import HOME, eventually, kubectl, supervisor, testbed

PROCESSES = catalog.load().processes


@pytest.mark.parametrize("component", PROCESSES, ids=lambda component: component.name)
def test_a_killed_process_comes_back(bed: None, component: catalog.Component) -> None:
    name = f"{component.name}@node-1" if component.each == "node" else component.name
    before = row(name)
    assert before.state is State.READY
    # The pid is the one inside the testbed's PID namespace: enter it to kill.
    kill_inside(before.pid)
    eventually(
        f"{name} ready again",
        lambda: (now := row(name)).restarts > before.restarts and now.state is State.READY and now.pid != before.pid,
        within_s=40,
    )


def test_everything_is_ready_after_that(bed: None) -> None:
    eventually(
        "every component ready",
        lambda: all(item.state is State.READY for item in supervisor().status()),
        within_s=60,
    )


def test_up_repairs_a_testbed_whose_first_process_was_killed(bed: None) -> None:
    kubectl("create", "configmap", "survivor", "--from-literal=kept=yes", "--namespace=default")
    running = sandbox.find(HOME)
    assert running
    os.kill(running.pid, signal.SIGKILL)
    eventually("the end of the tree", lambda: sandbox.find(HOME) is None, within_s=10)
    assert testbed("status").returncode == 2
    done = testbed("up")
    assert done.returncode == 0, done.stderr
    assert kubectl("get", "configmap", "survivor", "--namespace=default", "-o", "jsonpath={.data.kept}") == "yes"
    kubectl("delete", "configmap", "survivor", "--namespace=default")


def test_a_second_up_changes_nothing(bed: None) -> None:
    before = {item.name: (item.pid, item.restarts) for item in supervisor().status()}
    done = testbed("up")
    assert done.returncode == 0, done.stderr
    assert {item.name: (item.pid, item.restarts) for item in supervisor().status()} == before


def test_what_was_stopped_is_named_and_up_starts_it(bed: None) -> None:
    supervisor().stop("redis")
    assert row("redis").state is State.STOPPED
    done = testbed("status")
    assert done.returncode == 1
    assert "redis" in done.stdout
    assert "stopped on request" in done.stdout
    assert testbed("up").returncode == 0
    assert row("redis").state is State.READY


def row(name: str) -> Status:
    """Return the status of one component."""
    return next(item for item in supervisor().status() if item.name == name)


def kill_inside(pid: int | None) -> None:
    """Kill a process by the number that it has inside the testbed."""
    running = sandbox.find(HOME)
    assert running
    assert pid
    subprocess.run(
        ["nsenter", f"--target={running.init}", "--pid", "--mount", "--", "kill", "-9", str(pid)],
        check=True,
        timeout=10,
    )
