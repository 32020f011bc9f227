"""The requests that slipway sends itself, for as long as somebody watches what they meet.

The sender is a process under `warden.py`: it goes when whoever watches goes, by whatever death. Nothing here waits for
an answer of the application, so a watch is not held up by what it watches. Two triggerers may run one watch for a
moment; then twice as much is sent, which is harmless.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.hooks import process
from slipway.hooks.sender import Order, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLUGINS = Path(__file__).parents[2]
STOP_S = 2.0
AGAIN_S = 5.0
"""Pause before a sender that has ended by itself is started again."""
SILENT_S = 5.0
"""No answer for so long is trouble."""
LAST_LINES = 3


class Load:
    """Requests under way; use `sending`."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._before = Report()
        self._process: _Process | None = None
        self._again_at = 0.0
        self._failed = ""

    def keep_up(self) -> str:
        """Start the sender again if it has ended, and return why its requests do not get through; "" when they do.

        It neither waits nor raises.
        """
        self._start()
        if self._process is None:
            return f"slipway's own load is not sent: {self._failed}"
        report = self._process.report
        if report.silent_s < SILENT_S or not report.in_vain:
            return ""
        return (
            f"slipway's own load does not get through to {self._order.url}: {report.unanswered:,} of "
            f"{report.sent:,} requests without an answer, the last for {report.problem}"
        )

    def stop(self) -> Report:
        """Send no more, and return what became of everything."""
        if self._process is not None:
            self._before += self._process.stop()
            self._process = None
        return self._before

    def _start(self) -> None:
        if self._process is not None:
            if self._process.is_alive:
                return
            self._failed = self._process.last_words
            self._before += self._process.stop()
            self._process = None
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + AGAIN_S
        try:
            self._process = _Process(self._order)
        except OSError as error:
            self._failed = f"the sender could not be started: {error}"


class _Process:
    """One sender, and what it says."""

    def __init__(self, order: Order) -> None:
        self.report = Report()
        self._words: deque[str] = deque(maxlen=LAST_LINES)
        path = os.pathsep.join(filter(None, (str(PLUGINS), os.environ.get("PYTHONPATH"))))
        self._process, self._alive = process.start(
            [sys.executable, "-P", "-m", "slipway.hooks.sender", order.to_json()],
            env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """What it said at its end."""
        code = self._process.poll()
        return f"the sender has ended with {code}: {' / '.join(self._words) or 'no word'}"

    def stop(self) -> Report:
        """End it, politely first, and return its last report."""
        process.end(self._process, grace_s=STOP_S)
        os.close(self._alive)
        self._reader.join(STOP_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
        return self.report

    def _read(self) -> None:
        for line in self._process.stdout or ():
            text = line.decode("utf-8", errors="replace").strip()
            try:
                self.report = Report.from_json(text)
            except ValueError:
                self._words.append(text[:200])


@contextmanager
def sending(order: Order, log: Callable[[str], object]) -> Iterator[Load]:
    """Send requests while the block lasts.

    :param log: takes one line at the start and one at the end.
    """
    log(
        f"slipway sends {order.requests_per_s:g} GETs a second to {order.url} itself ({', '.join(order.paths)}), as "
        f"{order.agent}"
    )
    load = Load(order)
    load.keep_up()
    try:
        yield load
    finally:
        found = load.stop()
        log(
            f"slipway's own load has ended: {found.sent:,} sent, {found.answered:,} answered ({found.errors:,} with a "
            f"5xx), {found.unanswered:,} without an answer{f', the last for {found.problem}' if found.problem else ''}"
            + (f"; {found.left_out:,} left out, as too many were under way" if found.left_out else "")
        )
