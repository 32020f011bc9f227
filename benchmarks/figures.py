"""A measured figure beside its limit, and the Markdown that shows it. Pure: measures and reads nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEAD = ("Figure", "Limit", "Measured", "Verdict", "Command", "Date")
MARKER = "<!-- Below this line everything is written by: python -m benchmarks.testbed --write -->"
READY = re.compile(r"^ *(?P<said>\d+\.\d+) s  (?P<name>\S+) ready\b")


@dataclass(frozen=True)
class Target:
    """What is measured, and how much is allowed.

    :param most: the limit, None where there is none.
    :param command: what a person types to see the same.
    :param by_median: whether the limit is one of the median, and not of the worst run.
    """

    what: str
    unit: str
    most: float | None
    command: str
    by_median: bool = False


@dataclass(frozen=True)
class Figure:
    """The values of one target.

    :param values: one a run; empty when it could not be measured.
    :param failure: why not, else "".
    """

    target: Target
    values: tuple[float, ...]
    date: str
    failure: str = ""

    @property
    def verdict(self) -> str:
        """PASS when even the worst run (or the median) is within the limit, else MISS; a dash where there is none."""
        if self.failure or not self.values:
            return "MISS"
        if self.target.most is None:
            return "-"
        held = median(self.values) if self.target.by_median else max(self.values)
        return "PASS" if held <= self.target.most else "MISS"

    @property
    def measured(self) -> str:
        """The one value, or minimum, median and maximum of several."""
        if self.failure or not self.values:
            return f"failed: {self.failure or 'no value'}"
        unit = self.target.unit
        if len(self.values) == 1:
            return f"{number(self.values[0])} {unit}"
        low, middle, high = (number(item) for item in (min(self.values), median(self.values), max(self.values)))
        return f"min {low}, median {middle}, max {high} {unit} (n={len(self.values)})"

    @property
    def limit(self) -> str:
        """The limit as people read it."""
        if self.target.most is None:
            return "-"
        return f"{'median ' if self.target.by_median else ''}<= {self.target.most:g} {self.target.unit}"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        return (self.target.what, self.limit, self.measured, self.verdict, f"`{self.target.command}`", self.date)


def number(value: float) -> str:
    """Write three digits at most, as no figure here is more exact: ``0.84``, ``12.3``, ``745``."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ready_name(line: str) -> str | None:
    """Return the component that a line of ``up`` reports ready, None for any other line."""
    found = READY.match(line)
    return found["name"] if found else None


def nodes_ready(arrivals: Iterable[tuple[float, str]], nodes: int) -> float:
    """Return when the last of the nodes was Ready.

    :param arrivals: lines of ``up``, each with the seconds from the start of the command until it was printed.
    :raises ValueError: a node did not become Ready.
    """
    times = {name: seconds for seconds, line in arrivals if (name := ready_name(line))}
    wanted = [f"kubelet@node-{index}" for index in range(1, nodes + 1)]
    if missing := [name for name in wanted if name not in times]:
        raise ValueError(f"`up` printed no line for {', '.join(missing)}")
    return max(times[name] for name in wanted)


def pss_kib(rollup: str) -> int:
    """Read the proportional set size out of ``/proc/PID/smaps_rollup``; 0 when a process has no memory of its own."""
    found = re.search(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)
    return int(found[1]) if found else 0


def table(rows: Sequence[Sequence[str]]) -> str:
    """Draw rows under the head, as a Markdown table."""
    cells = [HEAD, tuple("---" for _ in HEAD), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells)


def rows_of(document: str) -> list[tuple[str, ...]]:
    """Read the rows back out of a written document."""
    lines = [line for line in document.partition(MARKER)[2].splitlines() if line.startswith("| ")]
    split = (tuple(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]) for line in lines)
    return [row for row in split if row != HEAD and set(row) != {"---"}]


def merged(
    old: Sequence[tuple[str, ...]], new: Sequence[tuple[str, ...]], order: Sequence[str]
) -> list[tuple[str, ...]]:
    """Put new rows over old ones of the same figure; one that was not measured again stays, with its date.

    :param order: every figure that there is; an old row of another name is dropped.
    """
    rows = {row[0]: row for row in (*old, *new)}
    return [rows[what] for what in order if what in rows]


def written(document: str, machine: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Return a document with its results replaced.

    :raises ValueError: it lacks the marker, so where the introduction ends is unknown.
    """
    head, marker, _ = document.partition(MARKER)
    if not marker:
        raise ValueError(f"the document lacks the line {MARKER!r}")
    return f"{head}{MARKER}\n\n{machine}\n\n{table(rows)}\n"
