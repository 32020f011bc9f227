"""A command that is asked and answers, beside everything else that the supervisor does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Answer(NamedTuple):
    """How a command ended, and what it printed on both outputs."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line of what it printed, "" when it printed nothing."""
        return "".join(self.output.strip().splitlines()[-1:])


async def ask(command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None) -> Answer:
    """Run a command to its end.

    :param timeout_s: after this it is killed.
    :param environment: all of it; ours when left out.
    :raises OSError: it cannot be started; a TimeoutError, which is one too, when it does not end in time.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except BaseException:  # a cancelled question, too, leaves no program behind
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    return Answer(process.returncode or 0, output.decode(errors="replace"))
