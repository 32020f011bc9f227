"""Runs one command to its end: timed, echoed line by line, with a limit, and never leaving a child behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LAST_LINES = 5


class Failed(Exception):  # noqa: N818 - it is a result, and reads like one
    """A command ended with an error, or took too long."""


@dataclass(frozen=True)
class Run:
    """A command that ended well.

    :param lines: what it printed to both streams, each line with the seconds since the start.
    """

    seconds: float
    lines: tuple[tuple[float, str], ...]


def call(
    command: Sequence[str],
    *,
    timeout: float,
    cwd: Path,
    env: Mapping[str, str],
    tell: Callable[[str], None],
) -> Run:
    """Run a command, and pass on each line that it prints.

    :param timeout: seconds after which it and its children are killed.
    :raises Failed: with its last lines.
    """
    begin = time.monotonic()
    lines: list[tuple[float, str]] = []
    expired = threading.Event()
    # A session of its own: its children can then be ended with it, and nobody else.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
        start_new_session=True,
    ) as process:

        def expire() -> None:
            expired.set()
            _kill(process)

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout or ():
                lines.append((time.monotonic() - begin, line.rstrip()))
                tell(line.rstrip())
            code = process.wait()
        except BaseException:
            _kill(process)
            raise
        finally:
            timer.cancel()
    seconds = time.monotonic() - begin
    if expired.is_set():
        raise Failed(f"{' '.join(command)}: not done within {timeout:g} s")
    if code:
        last = "; ".join(line.strip() for _, line in lines[-LAST_LINES:] if line.strip())
        raise Failed(f"{' '.join(command)}: exit code {code}: {last}")
    return Run(seconds, tuple(lines))


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
