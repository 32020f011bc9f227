from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from testbed import cli, existing, sandbox, start
from testbed.build import push
from testbed.control import Supervisor
from testbed.errors import BuildError, StartError, TestbedError, UsageError
from testbed.existing import Row
from testbed.home import Home
from testbed.sandbox import Sandbox
from testbed.state import State, Status

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from testbed.network import Network

COMMANDS = ("up", "down", "status", "kubeconfig", "env", "logs", "push", "stop", "start")
RUNNING = Sandbox(pid=1, started="", nodes=2, range="10.200.0.0/16", fingerprint="f")
NO_TESTBED = "error: no testbed is running\n  do     python -m testbed up\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Give each test folders of its own, and no way to a testbed that runs on this machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SLIPWAY_TESTBED_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("SLIPWAY_KUBECONTEXT", raising=False)
    monkeypatch.setattr(start, "up", never)
    monkeypatch.setattr(sandbox, "end", never)
    return Home.default()


def never(*_: object, **__: object) -> None:
    raise AssertionError("this must not happen here")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(sandbox, "find", lambda _: RUNNING)
    return RUNNING


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the program as ``python -m testbed`` does, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["testbed", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


# ------------------------------------------------------------------ help


def test_knows_these_commands_and_no_other() -> None:
    assert [command.callback.__name__ for command in cli.app.registered_commands if command.callback] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_helps_with_each_command(command: str) -> None:
    shown = call(command, "--help")
    assert shown.exit_code == 0
    assert f"{command} [OPTIONS]" in shown.output
    functions = [item.callback for item in cli.app.registered_commands if item.callback]
    function = next(item for item in functions if item.__name__ == command)
    first = " ".join((function.__doc__ or "").split())
    assert first in " ".join(shown.output.split())


def test_shows_every_command_and_an_example_of_it_when_called_without() -> None:
    shown = call()
    lines = shown.output.splitlines()
    assert "    python -m testbed up                                     three nodes and every add-on, ready" in lines
    for command in COMMANDS:
        assert any(line.split()[:1] == [command] for line in lines), command


# ------------------------------------------------------------------ an existing cluster


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("missing", 1)])
@pytest.mark.parametrize("command", ["up", "status"])
def test_says_what_an_existing_cluster_lacks_and_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, command: str, state: existing.State, code: int
) -> None:
    asked: list[str] = []

    def check(context: str) -> list[Row]:
        asked.append(context)
        return [Row(need="Argo Rollouts", found="no CRD", state=state, do="install it")]

    monkeypatch.setattr(existing, "check", check)
    monkeypatch.setattr(sandbox, "find", never)
    monkeypatch.setenv("SLIPWAY_KUBECONTEXT", "shop")
    shown = call(command)
    assert (shown.exit_code, asked) == (code, ["shop"])
    assert shown.stderr == (
        "SLIPWAY_KUBECONTEXT=shop: an existing cluster is used, nothing is started\n" if command == "up" else ""
    )
    assert shown.stdout.splitlines()[1].split() == ["Argo", "Rollouts", state, "no", "CRD", "install", "it"]


def test_ends_nothing_when_an_existing_cluster_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "find", never)
    monkeypatch.setattr(existing, "check", never)
    monkeypatch.setenv("SLIPWAY_KUBECONTEXT", "shop")
    shown = call("down")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == "SLIPWAY_KUBECONTEXT=shop: an existing cluster is used, nothing is ended\n"


# ------------------------------------------------------------------ up and down


@pytest.mark.parametrize(("arguments", "nodes"), [((), None), (("--nodes", "1"), 1)])
def test_brings_up_as_many_nodes_as_asked(
    monkeypatch: pytest.MonkeyPatch, home: Home, arguments: tuple[str, ...], nodes: int | None
) -> None:
    asked: list[tuple[Home, int | None]] = []

    def up(where: Home, count: int | None, _: object) -> Sandbox:
        asked.append((where, count))
        return RUNNING

    monkeypatch.setattr(start, "up", up)
    shown = call("up", *arguments)
    assert (shown.exit_code, asked) == (0, [(home, nodes)])
    first, second, *addresses = shown.stdout.splitlines()
    assert first.startswith("the testbed is up: 2 nodes and every add-on ready (")
    assert second == '  next: eval "$(python -m testbed env)" && kubectl get pods --all-namespaces'
    assert f"API server   https://10.200.0.1:6443   kubeconfig {home.kubeconfig}" in addresses


@pytest.mark.parametrize("there", [True, False])
def test_says_whether_there_was_something_to_end(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(sandbox, "find", lambda _: RUNNING if there else None)
    monkeypatch.setattr(sandbox, "end", lambda _: [])
    shown = call("down")
    assert shown.exit_code == 0
    if there:
        assert shown.stdout.startswith("the testbed is gone (")
    else:
        assert shown.stdout == "no testbed was running\n"


def test_names_what_down_could_not_remove(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], running: Sandbox
) -> None:
    monkeypatch.setattr(sandbox, "end", lambda _: ["/sys/fs/cgroup/slipway", "/state"])
    assert main(monkeypatch, "down") == 1
    assert capsys.readouterr().err == (
        "error: the testbed ended, but something stayed\n"
        "  found  /sys/fs/cgroup/slipway\n"
        "         /state\n"
        "  do     call down again\n"
    )


# ------------------------------------------------------------------ questions to a running testbed


@pytest.mark.parametrize(("state", "code"), [(State.READY, 0), (State.UNHEALTHY, 1)])
def test_tells_by_its_exit_code_whether_all_is_ready(
    monkeypatch: pytest.MonkeyPatch, running: Sandbox, state: State, code: int
) -> None:
    rows = [Status("etcd", "the cluster's memory", "", state, time.time())]
    monkeypatch.setattr(Supervisor, "status", lambda _: rows)
    shown = call("status")
    assert shown.exit_code == code
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["COMPONENT", "VERSION", "STATE", "FOR", "RESTARTS", "ABOUT"]
    assert lines[1].split() == ["etcd", "-", state, "0s", "0", "the", "cluster's", "memory"]
    as_json = call("status", "--json")
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout) == [row.to_wire() for row in rows]


def test_prints_what_a_shell_can_evaluate(home: Home, running: Sandbox) -> None:
    assert call("kubeconfig").stdout == f"{home.kubeconfig}\n"
    assert call("env").stdout == f"export KUBECONFIG={home.kubeconfig}\nexport PATH={home.bin}:$PATH\n"


@pytest.mark.parametrize("command", ["stop", "start"])
def test_hands_a_name_to_the_supervisor(monkeypatch: pytest.MonkeyPatch, running: Sandbox, command: str) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Supervisor, command, lambda _, name: asked.append(name))
    assert (call(command, "node-1").exit_code, asked) == (0, ["node-1"])


def test_becomes_the_command_that_shows_logs(monkeypatch: pytest.MonkeyPatch, home: Home, running: Sandbox) -> None:
    became = SimpleNamespace(command=[])
    monkeypatch.setattr(os, "execvp", lambda _, command: became.command.extend(command))
    call("logs", "etcd", "-n", "7", "-f")
    assert became.command == ["tail", "--lines=7", "--follow=name", str(home.logs / "etcd.log")]


def test_prints_the_name_of_what_it_pushed(monkeypatch: pytest.MonkeyPatch, running: Sandbox) -> None:
    def deliver(image: str, network: Network) -> str:
        return f"{network.control}:5000/{image}@sha256:0"

    monkeypatch.setattr(push, "push", deliver)
    assert call("push", "app:1").stdout == "10.200.0.1:5000/app:1@sha256:0\n"


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("kubeconfig",),
        ("env",),
        ("logs", "etcd"),
        ("push", "app:1"),
        ("stop", "etcd"),
        ("start", "etcd"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_needs_a_running_testbed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(monkeypatch, *arguments) == 2
    assert capsys.readouterr() == ("", NO_TESTBED)


@pytest.mark.parametrize(("error", "code"), [(TestbedError, 1), (UsageError, 2), (BuildError, 4), (StartError, 5)])
def test_ends_with_the_code_of_an_error_and_prints_it_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: type[TestbedError], code: int
) -> None:
    def up(*_: object) -> None:
        raise error("it broke", found="[red]a bracket[/red]\nand a second line", do="mend it")

    monkeypatch.setattr(start, "up", up)
    assert main(monkeypatch, "up") == code
    assert capsys.readouterr().err == (
        "error: it broke\n  found  [red]a bracket[/red]\n         and a second line\n  do     mend it\n"
    )


def test_refuses_what_is_no_command() -> None:
    assert call("fly").exit_code == 2
