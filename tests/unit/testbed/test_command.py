"""A command that is asked: what it says, and that nothing of it is left when it is too slow."""

from __future__ import annotations

import asyncio
import sys

import psutil
import pytest

from testbed.command import ask

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_says_how_it_ended_and_what_it_printed() -> None:
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    answer = asyncio.run(ask([sys.executable, "-u", "-c", program], timeout_s=20))
    assert (answer.code, answer.output, answer.last_line) == (3, "one\ntwo\n", "two")


def test_what_does_not_end_in_time_is_gone_afterwards() -> None:
    before = children()
    with pytest.raises(TimeoutError):
        asyncio.run(ask(SLEEPS, timeout_s=0.05))
    assert children() == before


def test_what_is_not_waited_for_any_more_is_gone_afterwards() -> None:
    before = children()

    async def give_up() -> None:
        question = asyncio.create_task(ask(SLEEPS, timeout_s=60))
        while children() == before:  # noqa: ASYNC110 - what it waits for is a process, which sets no event
            await asyncio.sleep(0)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question

    asyncio.run(give_up())
    assert children() == before


def children() -> set[int]:
    """Return the children of this process, the dead and unreaped ones included."""
    return {one.pid for one in psutil.Process().children()}
