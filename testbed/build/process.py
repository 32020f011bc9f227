"""Runs a program of the build: an argument list, a time limit, an error that shows the last words."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from testbed.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LAST_LINES = 12


class Finished(NamedTuple):
    """What a program left behind: its exit code, its output, and what it said about errors."""

    code: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last lines of the error output, or of the output if there is nothing else."""
        lines = [line for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return "\n".join(lines[-LAST_LINES:]) or f"no output, exit code {self.code}"


def call(
    command: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """Run a program to its end, whatever its exit code.

    :param command: the program and its arguments.
    :param timeout: seconds after which it is ended together with everything that it started.
    :param env: its whole environment; ours when left out.
    :param cwd: the folder to run in.
    :raises BuildError: the program is not installed, or it did not end in time.
    """
    try:
        process = subprocess.Popen(
            list(command),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # a group of its own, so that compilers end with the go that started them
        )
    except FileNotFoundError as error:
        raise BuildError(
            f"{command[0]} is not installed",
            found=str(error),
            do=f"install it, or add its folder to PATH: {command[0]}",
        ) from error
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise BuildError(
                f"{command[0]} did not end within {timeout:.0f} s and was stopped",
                found=" ".join(command),
                do="look at the load of the machine and at its network, then try again",
            ) from error
        except BaseException:
            _end(process)
            raise
    return Finished(process.returncode, out, err)


def run(
    command: Sequence[str],
    *,
    what: str,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    advise: Callable[[str], str] | None = None,
) -> str:
    """Run a program that must succeed, and return its output.

    :param command: the program and its arguments.
    :param what: what does not exist when it fails: the first line of the error.
    :param timeout: see :func:`call`.
    :param env: see :func:`call`.
    :param cwd: see :func:`call`.
    :param advise: makes the next step out of what the program said; else it is to try the command by hand.
    :raises BuildError: it failed.
    """
    finished = call(command, timeout=timeout, env=env, cwd=cwd)
    if finished.code != 0:
        by_hand = f"try it by hand: {' '.join(command)}"
        said = f"{finished.out}\n{finished.err}"
        raise BuildError(what, found=finished.last_words, do=(advise(said) if advise else "") or by_hand)
    return finished.out


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
