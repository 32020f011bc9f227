from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from testbed import process
from testbed.catalog import CommandHealth, Component, Prepare
from testbed.home import Home
from testbed.network import Network
from testbed.place import Place
from testbed.process import Process
from testbed.state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="a component starts as a user of its own, which only root can"
)


class FakeDoctor:
    """Gives the same answer until it is told another."""

    def __init__(self, answer: str = "") -> None:
        self.answer = answer

    async def examine(self, _: Place) -> str:
        return self.answer


def make(tmp_path: Path, doctor: FakeDoctor, waits_for: dict[str, asyncio.Event] | None = None, **more: Any) -> Process:
    component = Component(
        name="sleeper", about="sleeps", run=("sleep", "60"), health=CommandHealth(run=("true",)), **more
    )
    home = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    return Process(Place(home, Network.plan(1), component), waits_for or {}, doctor)  # type: ignore[arg-type]


def play(member: Process, scenario: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        keeper = asyncio.create_task(member.keep())
        async with asyncio.timeout(10):
            await scenario()
        await member.stop()
        keeper.cancel()

    asyncio.run(run())


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - what is awaited happens in another process
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(process, "READY_PROBE_S", 0.01)
    monkeypatch.setattr(process, "STARTING_PROBE_S", 0.01)


def test_waits_for_those_that_it_comes_after_and_says_for_whom(tmp_path: Path) -> None:
    gate = asyncio.Event()
    member = make(tmp_path, FakeDoctor(), {"etcd": gate})

    async def scenario() -> None:
        await until(lambda: member.status.detail == "waits for etcd")
        assert member.status.state is State.WAITING
        gate.set()
        await member.ready.wait()
        assert member.status.state is State.READY

    play(member, scenario)


def test_starts_again_after_a_kill_and_says_what_killed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.2)
    member = make(tmp_path, FakeDoctor())

    async def scenario() -> None:
        await member.ready.wait()
        first = member.status.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: member.status.state is State.RESTARTING)
        assert member.status.detail.startswith("ended with SIGKILL, starts again in ")
        assert not member.ready.is_set()
        await member.ready.wait()
        assert member.status.restarts == 1
        assert member.status.pid != first

    play(member, scenario)


def test_is_unhealthy_when_it_runs_and_does_not_answer(tmp_path: Path) -> None:
    doctor = FakeDoctor()
    member = make(tmp_path, doctor)

    async def scenario() -> None:
        await member.ready.wait()
        doctor.answer = "HTTP 500"
        await until(lambda: member.status.state is State.UNHEALTHY)
        assert member.status.detail == "HTTP 500"
        assert member.status.restarts == 0
        doctor.answer = ""
        await until(lambda: member.status.state is State.READY)

    play(member, scenario)


def test_stays_stopped_until_it_is_started(tmp_path: Path) -> None:
    member = make(tmp_path, FakeDoctor())

    async def scenario() -> None:
        await member.ready.wait()
        await member.stop()
        await until(lambda: member.status.state is State.STOPPED)
        assert member.status.pid is None
        member.start()
        await until(lambda: member.status.state is State.READY)

    play(member, scenario)


def test_prepares_once(tmp_path: Path) -> None:
    step = Prepare(run=("sh", "-c", "echo made >> {{ dir }}/made"), unless="{{ dir }}/made")
    for _ in range(2):
        member = make(tmp_path, FakeDoctor(), prepare=(step,))

        async def scenario(member: Process = member) -> None:
            await member.ready.wait()

        play(member, scenario)
    assert (tmp_path / "state" / "sleeper" / "made").read_text() == "made\n"


def test_is_starting_and_not_waiting_while_it_prepares(tmp_path: Path) -> None:
    step = Prepare(
        run=("sh", "-c", "for _ in $(seq 500); do [ -e {{ dir }}/go ] && exit; sleep 0.01; done"),
        unless="{{ dir }}/never",
    )
    member = make(tmp_path, FakeDoctor(), prepare=(step,))

    async def scenario() -> None:
        await until(lambda: member.status.state is State.STARTING)
        assert member.status.detail == "prepares with sh"
        assert member.status.pid is None
        (tmp_path / "state" / "sleeper" / "go").touch()
        await member.ready.wait()

    play(member, scenario)


def test_tries_again_until_its_program_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.05)
    member = make(tmp_path, FakeDoctor())
    program = tmp_path / "program"
    component = member.place.component.model_copy(update={"run": (str(program),)})
    member.place = Place(member.place.home, member.place.network, component)

    async def scenario() -> None:
        await until(lambda: member.status.state is State.RESTARTING)
        assert member.status.detail == "cannot be started: No such file or directory, starts again in 0.1 s"
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
        await member.ready.wait()
        assert member.status.restarts >= 1

    play(member, scenario)


def test_waits_longer_each_time_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(process, "LONGEST_PAUSE_S", 0.2)
    member = make(tmp_path, FakeDoctor("not yet"))
    component = member.place.component.model_copy(update={"run": ("sh", "-c", "exit 3")})
    member.place = Place(member.place.home, member.place.network, component)
    said: list[str] = []
    become = member._become

    def note(state: State, detail: str) -> None:
        if state is State.RESTARTING:
            said.append(detail)
        become(state, detail)

    monkeypatch.setattr(member, "_become", note)

    async def scenario() -> None:
        await until(lambda: len(said) == 3)

    play(member, scenario)
    assert said == [f"ended with exit code 3, starts again in {pause} s" for pause in ("0.1", "0.2", "0.2")]
