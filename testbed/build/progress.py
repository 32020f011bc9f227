"""Shows how a long piece of work goes on: one live line on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from testbed.build import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.console import Console


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds.

    :param seconds: the duration.
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Times:
    """The seconds that each step took the last time on this machine.

    :param path: the JSON file that remembers them.
    :param defaults: what to expect before the first time.
    """

    def __init__(self, path: Path, defaults: Mapping[str, float]) -> None:
        self._path = path
        self._defaults = defaults

    def expected(self, name: str) -> float:
        """Return what a step will take.

        :param name: its name.
        """
        remembered = files.read_json(self._path).get(name)
        return float(remembered) if isinstance(remembered, int | float) else self._defaults.get(name, 30.0)

    def remember(self, name: str, seconds: float) -> None:
        """Keep what a step took.

        :param name: its name.
        :param seconds: the measured time.
        """
        known = {**files.read_json(self._path), name: round(seconds, 1)}
        files.write(self._path, json.dumps(known, indent=1, sort_keys=True) + "\n")


class Progress:
    """The display of one list of steps.

    :param console: where to show it.
    :param kind: what is made, for the head of the line: ``programs``.
    :param expected: each step's name and expected seconds, in order.
    """

    def __init__(self, console: Console, kind: str, expected: Mapping[str, float]) -> None:
        self._console = console
        self._kind = kind
        self._expected = dict(expected)
        self._done = 0
        self._now = ""
        self._begin = self._step_begin = time.monotonic()

    def __rich__(self) -> Text:
        """Return the live line."""
        passed = time.monotonic() - self._step_begin
        line = Text(f"{self._kind} ")
        line.append(f"{self._done} of {len(self._expected)}", style="bold")
        if self._now:
            line.append(f"  {self._now}", style="cyan")
            line.append(f" {clock(passed)} of about {clock(self._expected[self._now])}")
        left = self._left() - min(passed, self._expected.get(self._now, 0))
        line.append(f"  {clock(time.monotonic() - self._begin)} so far, about {clock(left)} left", style="dim")
        return line

    @contextlib.contextmanager
    def shown(self) -> Iterator[Progress]:
        """Show the display while the steps run."""
        with contextlib.ExitStack() as stack:
            if self._console.is_terminal and self._expected:
                stack.enter_context(Live(self, console=self._console, refresh_per_second=4, transient=True))
            yield self

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show one step while it runs.

        :param name: one of the names given to the constructor.
        """
        self._now, self._step_begin = name, time.monotonic()
        if not self._console.is_terminal:
            self._say(
                f"{self._kind}: {name} begins ({self._done + 1} of {len(self._expected)}, "
                f"about {clock(self._expected[name])} of {clock(self._left())} that remain)"
            )
        yield
        self._done += 1
        self._now = ""
        took = time.monotonic() - self._step_begin
        self._say(f"{self._kind}: {name} done in {clock(took)} ({self._done} of {len(self._expected)})")

    def _left(self) -> float:
        return sum(list(self._expected.values())[self._done :])

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
