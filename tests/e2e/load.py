"""Constant https traffic, cheap enough to leave a small machine to what is measured.

A process of its own that speaks HTTP/1.1 over asyncio's streams: about 0.2 ms of processor time a request, a tenth of
what a general client takes. Requests are sent at their moment whether answers come or not, and durations count from
that moment, so a slow server cannot hide behind a waiting client. Nothing is sent twice: a request that was written and
has no answer is lost. Most users keep their connection; every tenth request comes from somebody new.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import psutil

from tests.e2e.cluster import HOME, network

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).parents[2]
PATHS = ("/api/v1/version", "/api/v1/clusters", "/api/v1/tables")
NEW_EVERY = 10
"""One request in so many comes over a new connection, and closes it."""
TIMEOUT_S = 10.0
MOST_OPEN = 1000
"""Requests under way at once; more than that is a server that stands still, and they are lost."""


class Answer(NamedTuple):
    """What became of one request.

    :param at: seconds since the epoch when it was to be sent.
    :param status: 0 when there was no answer; `problem` says why.
    :param seconds: from that moment to the end of the answer.
    """

    at: float
    status: int
    version: str
    seconds: float
    problem: str = ""


class Load:
    """Runs the traffic as a process while the block lasts, and reads what it wrote down.

    :param host: of ``https://HOST.testbed.internal``.
    :param rate: requests a second.
    """

    def __init__(self, host: str, rate: float, paths: tuple[str, ...] = PATHS) -> None:
        self._command = [
            sys.executable, "-m", "tests.e2e.load", f"{host}.testbed.internal", str(network().ingress), str(HOME.ca),
            str(rate), *paths,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.cpu_s = 0.0
        """Processor seconds that the traffic has taken, once it is stopped."""

    def __enter__(self) -> Load:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "answers"
        with self._file.open("wb") as file:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def answers(self) -> list[Answer]:
        """Return what has come so far, in the order of the answers."""
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Answer(*json.loads(line)) for line in lines if line.endswith("\n")]

    def stop(self) -> list[Answer]:
        """Send no more, wait for what is under way, and return everything."""
        process = self._process
        assert process is not None, "the traffic has not begun"
        if process.poll() is None:
            times = psutil.Process(process.pid).cpu_times()
            self.cpu_s = times.user + times.system
            process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_S + 10)
        assert code == 0, f"the traffic ended with {code}: what it wrote down is not the whole truth"
        return self.answers()


def lost(answers: list[Answer]) -> list[Answer]:
    """Return the requests that a user would have noticed: no answer, or one of the 5xx or 4xx."""
    return [answer for answer in answers if not 200 <= answer.status < 400]


def quantile(answers: list[Answer], share: float) -> float:
    """Return the duration in seconds that a share of the requests did not exceed (nearest rank)."""
    assert answers, "no request, no quantile"
    durations = sorted(answer.seconds for answer in answers)
    return durations[max(math.ceil(share * len(durations)), 1) - 1]


# -- the process -----------------------------------------------------------------------------------------------------


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """Close without saying goodbye."""
        self.writer.transport.abort()

    @property
    def is_usable(self) -> bool:
        """Say whether the server has not closed it meanwhile; browsers look, too, before they write."""
        return not self.reader.at_eof() and not self.writer.is_closing()


class _User:
    """Sends single requests, over connections that were kept or new ones."""

    def __init__(self, host: str, address: str, ca: str) -> None:
        self._host = host
        self._address = address
        self._context = ssl.create_default_context(cafile=ca)
        self._kept: deque[_Connection] = deque()

    async def get(self, path: str, *, is_new: bool) -> tuple[int, str]:
        """Return status and version of one answer."""
        connection = await self._connection(is_new)
        close = "Connection: close\r\n" if is_new else ""
        try:
            connection.writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{close}\r\n".encode())
            head = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            await connection.reader.readexactly(int(headers["content-length"]))
        except BaseException:
            connection.close()
            raise
        if is_new or headers.get("connection") == "close":
            connection.close()
        else:
            self._kept.append(connection)
        return int(head[0].split(" ")[1]), headers.get("x-app-version", "")

    async def _connection(self, is_new: bool) -> _Connection:
        while self._kept and not is_new:
            connection = self._kept.pop()
            if connection.is_usable:
                return connection
            connection.close()
        reader, writer = await asyncio.open_connection(
            self._address, 443, ssl=self._context, server_hostname=self._host
        )
        return _Connection(reader, writer)

    def leave(self) -> None:
        """Close what was kept."""
        for connection in self._kept:
            connection.close()


async def _send(user: _User, rate: float, paths: list[str], out: TextIO) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    under_way: set[asyncio.Task[None]] = set()
    begun_at, begun = time.time(), time.monotonic()
    number = 0
    while not stop.is_set():
        due = number / rate
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), begun + due - time.monotonic())
        if len(under_way) >= MOST_OPEN:
            _note(out, Answer(begun_at + due, 0, "", 0, f"{MOST_OPEN} requests wait for an answer"))
        else:
            is_new = number % NEW_EVERY == NEW_EVERY - 1
            task = asyncio.create_task(_one(user, paths[number % len(paths)], is_new, (begun_at, begun, due), out))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        number += 1
    if under_way:
        await asyncio.wait(under_way)
    user.leave()


async def _one(user: _User, path: str, is_new: bool, moment: tuple[float, float, float], out: TextIO) -> None:
    begun_at, begun, due = moment
    status, version, problem = 0, "", ""
    try:
        status, version = await asyncio.wait_for(user.get(path, is_new=is_new), TIMEOUT_S)
    except (OSError, EOFError, ValueError, KeyError, TimeoutError, asyncio.LimitOverrunError) as error:
        problem = f"{path}: {type(error).__name__}: {error}"
    _note(out, Answer(round(begun_at + due, 3), status, version, round(time.monotonic() - begun - due, 5), problem))


def _note(out: TextIO, answer: Answer) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


def _main(host: str, address: str, ca: str, rate: str, *paths: str) -> None:
    asyncio.run(_send(_User(host, address, ca), float(rate), list(paths), sys.stdout))


def summary(answers: list[Answer]) -> dict[str, Any]:
    """Return what one says about a run: requests, those lost, requests a second, and quantiles in milliseconds."""
    span_s = max(answer.at for answer in answers) - min(answer.at for answer in answers)
    quantiles = {f"p{share:g}_ms": round(1000 * quantile(answers, share / 100), 1) for share in (50, 95, 99, 100)}
    return {
        "requests": len(answers),
        "lost": len(lost(answers)),
        "per_s": round(len(answers) / span_s, 1) if span_s else 0,
        **quantiles,
    }


if __name__ == "__main__":
    _main(*sys.argv[1:])
