"""The conversation with the supervisor over a UNIX socket: one line of JSON asks, one answers."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

from testbed.errors import UsageError
from testbed.state import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

TIMEOUT_S = 15.0
LONGEST_LINE_BYTES = 1 << 20


class Supervisor:
    """The supervisor, seen from another process.

    :param path: its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> list[Status]:
        """Return a row for each component.

        :raises OSError: nobody listens, or the supervisor ends before it answers.
        """
        return [Status.from_wire(row) for row in self._ask({"do": "status"})]

    def repair(self) -> None:
        """Apply the objects of every add-on again that is not ready, and start what was stopped."""
        self._ask({"do": "repair"})

    def stop(self, name: str) -> None:
        """End a component, or everything on a node with its pods, and keep it ended."""
        self._ask({"do": "stop", "name": name})

    def start(self, name: str) -> None:
        """Undo :meth:`stop`."""
        self._ask({"do": "start", "name": name})

    def _ask(self, question: dict[str, str]) -> Any:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(TIMEOUT_S)
            link.connect(str(self._path))
            link.sendall(json.dumps(question).encode() + b"\n")
            with link.makefile("rb") as stream:
                line = stream.readline(LONGEST_LINE_BYTES)
        if not line:
            raise ConnectionResetError("the supervisor hung up without an answer")
        answer = json.loads(line)
        if "refused" in answer:
            raise UsageError(answer["refused"], do="python -m testbed status names every component")
        return answer["answer"]


async def serve(path: Path, handle: Callable[[dict[str, str]], Awaitable[Any]]) -> asyncio.Server:
    """Listen on the socket.

    :param handle: answers one question; a KeyError refuses it with its text.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = json.loads(await reader.readline())
            try:
                answer = {"answer": await handle(question)}
            except KeyError as error:
                answer = {"refused": str(error.args[0])}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(converse, path)
    path.chmod(0o600)
    return server
