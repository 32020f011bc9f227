from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from testbed.control import Supervisor, serve
from testbed.errors import UsageError
from testbed.state import State, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
ROW = Status("kubelet@node-1", "starts pods", "v1", State.UNHEALTHY, 12.5, restarts=3, pid=42, detail="no answer")


class Listener:
    """Answers as the supervisor does, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def handle(self, question: dict[str, str]) -> Any:
        self.asked.append(question)
        if question.get("name") == "moon":
            raise KeyError("no process or node is called 'moon'")
        return [ROW.to_wire()] if question["do"] == "status" else None


def converse(path: Path, listener: Listener, talk: Callable[[Supervisor], T]) -> T:
    """Listen on the socket while somebody talks in a thread, as another process would."""

    async def run() -> T:
        server = await serve(path, listener.handle)
        try:
            return await asyncio.wait_for(asyncio.to_thread(talk, Supervisor(path)), 5)
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_hands_over_every_field_of_a_row(path: Path) -> None:
    assert converse(path, Listener(), Supervisor.status) == [ROW]


@pytest.mark.parametrize(
    ("talk", "question"),
    [
        (lambda supervisor: supervisor.stop("node-1"), {"do": "stop", "name": "node-1"}),
        (lambda supervisor: supervisor.start("node-1"), {"do": "start", "name": "node-1"}),
        (Supervisor.repair, {"do": "repair"}),
        (Supervisor.status, {"do": "status"}),
    ],
    ids=["stop", "start", "repair", "status"],
)
def test_asks_what_it_is_called(path: Path, talk: Callable[[Supervisor], Any], question: dict[str, str]) -> None:
    listener = Listener()
    converse(path, listener, talk)
    assert listener.asked == [question]


def test_refuses_an_unknown_name_and_goes_on_listening(path: Path) -> None:
    def talk(supervisor: Supervisor) -> list[Status]:
        with pytest.raises(UsageError) as refused:
            supervisor.stop("moon")
        assert str(refused.value) == (
            "no process or node is called 'moon'\n  do     python -m testbed status names every component"
        )
        return supervisor.status()

    assert converse(path, Listener(), talk) == [ROW]


def test_answers_questions_in_one_line_each(path: Path) -> None:
    def talk(_: Supervisor) -> bytes:
        with socket.socket(socket.AF_UNIX) as link, link.makefile("rb") as stream:
            link.settimeout(5)
            link.connect(str(path))
            link.sendall(b'{"do": "repair"}\n')
            return stream.read()

    answer = converse(path, Listener(), talk)
    assert answer.endswith(b"\n")
    assert json.loads(answer) == {"answer": None}


def test_lets_only_the_owner_ask(path: Path) -> None:
    mode = converse(path, Listener(), lambda _: path.stat().st_mode)
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_takes_the_place_of_what_a_killed_one_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert converse(path, Listener(), Supervisor.status) == [ROW]


def test_raises_when_there_is_no_socket(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Supervisor(path).status()


def test_raises_when_nobody_listens_any_more(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ConnectionRefusedError):
        Supervisor(path).status()


def test_raises_when_the_supervisor_hangs_up_without_an_answer(path: Path) -> None:
    def hang_up(listening: socket.socket) -> None:
        link, _ = listening.accept()
        with link:
            link.recv(1024)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        dying = threading.Thread(target=hang_up, args=(listening,))
        dying.start()
        with pytest.raises(ConnectionResetError) as raised:
            Supervisor(path).status()
        dying.join(5)
    assert str(raised.value) == "the supervisor hung up without an answer"
