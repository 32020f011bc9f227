from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from testbed import logs, start
from testbed.errors import StartError
from testbed.home import Home
from testbed.network import Network
from testbed.state import State, Status

if TYPE_CHECKING:
    from pathlib import Path


class FakeSupervisor:
    """Answers with one list after the other, and then with the last for ever."""

    def __init__(self, *answers: list[Status]) -> None:
        self.answers = list(answers)

    def status(self) -> list[Status]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def row(name: str, state: State, detail: str = "", restarts: int = 0) -> Status:
    return Status(name, f"about {name}", "", state, 0.0, restarts, None, detail)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    made.logs.mkdir(parents=True)
    return made


def test_tells_each_component_once_when_it_becomes_ready(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "POLL_S", 0.0)
    starting = [row("etcd", State.STARTING), row("redis", State.READY)]
    ready = [row("etcd", State.READY), row("redis", State.READY)]
    console = Console(record=True, width=200, quiet=False, force_terminal=False)
    supervisor = FakeSupervisor(starting, starting, starting, ready)
    start._wait(home, Network.plan(1), supervisor, console)  # type: ignore[arg-type]
    lines = [line.split(" s  ")[1] for line in console.export_text().splitlines() if " ready " in line]
    assert lines == ["redis ready  about redis", "etcd ready  about etcd"]


def test_names_what_did_not_come_up_with_its_last_words(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "POLL_S", 0.0)
    monkeypatch.setattr(start, "PATIENCE_S", 0.05)
    (home.logs / "etcd.log").write_text("opening the store\ncannot open the store: disk full\n")
    rows = [
        row("etcd", State.RESTARTING, "ended with exit code 1, starts again in 5.0 s", restarts=7),
        row("kube-apiserver", State.WAITING, "waits for etcd"),
        row("redis", State.READY),
    ]
    with pytest.raises(StartError) as caught:
        start._wait(home, Network.plan(1), FakeSupervisor(rows), Console(quiet=True))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "etcd: not ready after 0.05 s; 2 others are ready or wait\n"
        "  found  etcd is restarting, started again 7 times: ended with exit code 1, starts again in 5.0 s\n"
        "           | opening the store\n"
        "           | cannot open the store: disk full\n"
        "  do     python -m testbed logs etcd; then up again, or down and up for a clean start"
    )
    assert caught.value.exit_code == 5


def test_names_who_waits_when_nobody_else_is_to_blame(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "POLL_S", 0.0)
    monkeypatch.setattr(start, "PATIENCE_S", 0.05)
    (home.logs / "etcd.log").write_text("")
    rows = [row("etcd", State.WAITING), row("redis", State.READY)]
    with pytest.raises(StartError) as caught:
        start._wait(home, Network.plan(1), FakeSupervisor(rows), Console(quiet=True))  # type: ignore[arg-type]
    assert str(caught.value) == (
        "etcd: not ready after 0.05 s; 1 others are ready or wait\n"
        "  found  etcd is waiting, started again 0 times: no answer yet\n"
        "  do     python -m testbed logs etcd; then up again, or down and up for a clean start"
    )


def test_is_content_when_all_is_ready_at_the_last_moment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "PATIENCE_S", 0.05)
    monkeypatch.setattr(start, "POLL_S", 0.06)  # the second look comes when patience is over
    supervisor = FakeSupervisor([row("etcd", State.STARTING)], [row("etcd", State.READY)])
    start._wait(home, Network.plan(1), supervisor, Console(quiet=True))  # type: ignore[arg-type]


def test_names_the_guilty_even_when_its_log_cannot_be_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "command", lambda *_, **__: ["sleep", "60"])
    monkeypatch.setattr(start, "LOGS_TIMEOUT_S", 0.05)
    error = start._failure(home, Network.plan(1), [row("coredns", State.STARTING, "0 of 1 pods available")])
    assert str(error) == (
        "coredns: not ready after 120 s; 0 others are ready or wait\n"
        "  found  coredns is starting, started again 0 times: 0 of 1 pods available\n"
        "           | sleep: no answer within 0.05 s\n"
        "  do     python -m testbed logs coredns; then up again, or down and up for a clean start"
    )


def test_names_the_guilty_even_when_the_program_for_its_log_is_missing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "command", lambda *_, **__: ["no-such-program"])
    error = start._failure(home, Network.plan(1), [row("coredns", State.STARTING)])
    assert error.found == (
        "coredns is starting, started again 0 times: no answer yet\n  | no-such-program: No such file or directory"
    )
