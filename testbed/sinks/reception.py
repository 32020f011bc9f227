"""The desk where every channel hands over what arrived: faults, then the store and one line of log."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.sinks.faults import Fault, Faults
from testbed.sinks.message import first_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from testbed.sinks.message import Channel, Draft, Message
    from testbed.sinks.store import Store


def _print(line: str) -> None:
    print(line, flush=True)


@dataclass(frozen=True)
class Reception:
    """What the chat and the mail server share.

    :param store: where messages are kept.
    :param clock: seconds since the epoch.
    :param sleep: waits for a fault's delay.
    :param log: takes one line a message.
    """

    store: Store
    faults: Faults = field(default_factory=Faults)
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    log: Callable[[str], None] = _print

    async def fault(self, channel: Channel) -> Fault | None:
        """Wait as the channel's fault says, and return it."""
        fault = self.faults.take(channel)
        if fault is not None and fault.delay_s:
            await self.sleep(fault.delay_s)
        return fault

    def keep(self, draft: Draft) -> Message:
        """Keep a message and log it in one line.

        :raises OSError: the file cannot be written.
        """
        message = self.store.add(draft, self.clock())
        verdict = "accepted" if message.accepted else f"refused: {_quiet(message.reason or '')}"
        title = json.dumps(first_line(message.title), ensure_ascii=False)
        self.log(f"{message.channel} {verdict} {_quiet(title)} {message.size} bytes id={message.id}")
        return message


def _quiet(text: str) -> str:
    # A stranger's words must neither break the line nor colour the terminal.
    return "".join(letter if letter.isprintable() else "�" for letter in text)
