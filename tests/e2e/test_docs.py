"""Every ```console block of the documentation is run as a reader would run it, and shows what it says it shows.

A block runs in one bash from the repository's root. A line ``$ COMMAND`` is run, ``> MORE`` continues it; the lines
below are what it prints: ``...`` on a line of its own stands for any lines, inside a line for any text, and runs of
blanks are equal. A command with nothing below it may print anything. ``<!-- not run: REASON -->`` before a block
leaves it out.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.cluster import HOME, network

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S(?:(?!-->).)*?) -->\s*\Z", re.DOTALL)
TIMEOUT_S = 120
WRITTEN_RANGE, WRITTEN_STATE = "10.200.", "/var/lib/slipway-testbed"
"""What the documentation takes for granted; the running testbed may be elsewhere."""


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it is shown to print."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One fenced block.

    :param place: file and line.
    :param reason: why it is not run, None when it is.
    """

    place: str
    steps: tuple[Step, ...]
    reason: str | None


def documents() -> list[Path]:
    """Every document that readers take commands from."""
    top = [path for name in ("README.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str, name: str) -> Iterator[Block]:
    """Find the blocks of one document."""
    for found in BLOCK.finditer(text):
        before = text[: found.start()]
        left_out = NOT_RUN.search(before)
        place = f"{name}:{before.count(chr(10)) + 1}"
        yield Block(place, steps(found["text"], place), left_out["reason"] if left_out else None)


def steps(text: str, place: str) -> tuple[Step, ...]:
    """Split a block into its commands."""
    commands: list[list[str]] = []
    shown: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append([line[2:]])
            shown.append([])
        elif not commands:
            raise ValueError(f"{place}: the block begins with output; a command begins with '$ '")
        elif line.startswith("> ") and not shown[-1]:
            commands[-1].append(line[2:])
        else:
            shown[-1].append(line)
    return tuple(Step("\n".join(more), tuple(lines)) for more, lines in zip(commands, shown, strict=True))


def matches(shown: tuple[str, ...], output: str) -> bool:
    """Compare what a document shows with what was printed."""
    if not any(line.strip() for line in shown):
        return True
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "..." else f"{_pattern(line)}\n" for line in _squeezed(shown))
    printed = "".join(f"{line}\n" for line in _squeezed(tuple(output.splitlines())))
    return re.fullmatch(pattern, printed) is not None


def _squeezed(lines: tuple[str, ...]) -> list[str]:
    """Make runs of blanks equal, and drop empty lines."""
    return [" ".join(line.split()) for line in lines if line.strip()]


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("..."))


def run(chosen: Block) -> tuple[int, list[str]]:
    """Run a block in one bash, and return its exit code and what each command printed."""
    mark = f"== {uuid.uuid4()}"
    script = "\n".join(f"printf '%s\\n' '{mark}'\n{_here(step.command)}" for step in chosen.steps)
    environment = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}", "COLUMNS": "200"}
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException:
            # Its children, too: one that lives on would hold the pipe, and the next block would meet it.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output.split(f"{mark}\n")[1:]


def _here(text: str) -> str:
    """Put the running testbed's addresses and folder in place of the written ones."""
    here = f"{str(network().range).split('.0.0/')[0]}."
    return text.replace(WRITTEN_RANGE, here).replace(WRITTEN_STATE, str(HOME.state))


FOUND = [block for path in documents() for block in blocks(path.read_text("utf-8"), str(path.relative_to(ROOT)))]


@pytest.mark.parametrize("block", [block for block in FOUND if not block.reason], ids=lambda block: block.place)
def test_a_block_does_what_it_shows(bed: None, block: Block) -> None:
    code, outputs = run(block)
    printed = "\n".join(f"$ {step.command}\n{output}" for step, output in zip(block.steps, outputs, strict=False))
    assert code == 0, f"{block.place}: exit code {code} after\n{printed}"
    for step, output in zip(block.steps, outputs, strict=True):
        shown = tuple(map(_here, step.shown))
        assert matches(shown, output), f"{block.place}: $ {step.command}\nshown:\n{shown}\nprinted:\n{output}"


def test_every_block_holds_a_command() -> None:
    assert FOUND, "no document has a console block: the pattern is blind"
    assert not [block.place for block in FOUND if not block.steps]


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        ((), "anything\n", True),
        (("NAME  STATE", "..."), "NAME STATE   \nredis ready\n", True),
        (("...", "redis ... ready"), "NAME\nredis   7.0  ready\n", True),
        (("redis ready",), "redis ready\nand more\n", False),
        (("...", "etcd ready", "..."), "redis ready\n", False),
        (("a.c",), "abc\n", False),
    ],
)
def test_shown_lines_are_compared_with_printed_ones(shown: tuple[str, ...], output: str, same: bool) -> None:
    assert matches(shown, output) is same


def test_a_block_is_split_and_its_reason_read() -> None:
    first_text = "# T\n\n<!-- not run: it ends\nthe testbed -->\n\n```console\n$ a \\\n> b\nout\n$ c\n```\n"
    text = f"{first_text}\n<!-- a note -->\n```console\n$ d\n```\n"
    first, second = blocks(text, "x.md")
    assert first == Block("x.md:6", (Step("a \\\nb", ("out",)), Step("c", ())), "it ends\nthe testbed")
    assert second == Block("x.md:14", (Step("d", ()),), None)
