"""Sends requests at a constant rate until it is told to stop: ``python -m slipway.hooks.sender ORDER``.

A process of its own, because what watches a canary must not share its interpreter with hundreds of requests. It says
once a second, in a line of JSON, what became of them so far; nothing else is kept, however long it runs.

Requests are sent at their moment whether answers come or not: a sender that waits for answers sends less to a canary
that hangs, and so hides it. What is too much to have under way at once is left out and counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from slipway.hooks.web import many

if TYPE_CHECKING:
    import httpx

ANSWER_S = 10.0
MOST_OPEN = 500
"""Requests under way at once."""
REPORT_S = 1.0
NEW_CONNECTIONS = 0.1
"""Share of the requests that come over a connection of their own, as somebody who was not there before."""
LATE_S = 1.0
"""What is later than this is not sent any more: after a pause of the process there is no burst."""
PROBLEM_CHARACTERS = 200


@dataclass(frozen=True)
class Order:
    """What is to be sent. Only GETs, and only to paths that the release spec calls safe to repeat.

    :param url: of the application, as users know it.
    :param requests_per_s: all together.
    :param agent: the User-Agent, by which logs tell them from the users' requests.
    :param ca: path of the certificate authority's file, the system's when None.
    :param address: IP address to connect to in place of the name's own.
    """

    url: str
    paths: tuple[str, ...]
    requests_per_s: float
    agent: str
    ca: str | None = None
    address: str | None = None

    def to_json(self) -> str:
        """Return it as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(**{**found, "paths": tuple(found["paths"])})


@dataclass
class Report:
    """What became of the requests so far.

    :param sent: written or tried to be.
    :param answered: with whatever status.
    :param errors: of these, with a 5xx.
    :param unanswered: refused, cut off, too late, or no connection at all.
    :param left_out: not sent, because too many were under way or the machine had no time.
    :param silent_s: seconds since the last answer, or since the start.
    :param in_vain: requests without an answer since then.
    :param problem: why the last of all has none.
    """

    sent: int = 0
    answered: int = 0
    errors: int = 0
    unanswered: int = 0
    left_out: int = 0
    silent_s: float = 0.0
    in_vain: int = 0
    problem: str = ""

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote.

        :raises ValueError: it is something else.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from None

    def __add__(self, other: Report) -> Report:
        """Add what a second sender did after a first one."""
        return Report(
            self.sent + other.sent, self.answered + other.answered, self.errors + other.errors,
            self.unanswered + other.unanswered, self.left_out + other.left_out, other.silent_s,
            other.in_vain, other.problem or self.problem,
        )  # fmt: skip


class Sender:
    """Sends what an order says."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.report = Report()
        self._answered_at = time.monotonic()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Send no more; what is under way is given up."""
        self._stop.set()

    async def run(self) -> None:
        """Send until `stop`."""
        order = self._order
        async with many(
            order.url, ca=order.ca, address=order.address, answer_s=ANSWER_S, most=MOST_OPEN
        ) as client:  # fmt: skip
            client.headers["User-Agent"] = order.agent
            reports = asyncio.create_task(self._tell())
            under_way: set[asyncio.Task[None]] = set()
            begun, number = time.monotonic(), 0
            while not await self._stopped_by(due := begun + number / order.requests_per_s):
                number += 1
                if len(under_way) >= MOST_OPEN or time.monotonic() - due > LATE_S:
                    self.report.left_out += 1
                    continue
                task = asyncio.create_task(self._one(client))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            for task in (reports, *under_way):
                task.cancel()
            await asyncio.gather(reports, *under_way, return_exceptions=True)
        self._say()

    async def _stopped_by(self, moment: float) -> bool:
        wait_s = moment - time.monotonic()
        if wait_s <= 0:
            await asyncio.sleep(0)
            return self._stop.is_set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), wait_s)
        return self._stop.is_set()

    async def _one(self, client: httpx.AsyncClient) -> None:
        import httpx

        # By chance and not in turn: a router that deals every tenth request to the canary would always deal it the
        # same path, or all the new connections.
        path = random.choice(self._order.paths)  # noqa: S311 - no secret depends on it
        headers = {"Connection": "close"} if random.random() < NEW_CONNECTIONS else {}  # noqa: S311
        self.report.sent += 1
        try:
            async with asyncio.timeout(ANSWER_S), client.stream("GET", path, headers=headers) as answer:
                async for _ in answer.aiter_raw():
                    pass  # read, so that the connection can be kept, and not remembered
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            self.report.unanswered += 1
            self.report.in_vain += 1
            self.report.problem = f"{path}: {type(error).__name__} {error}".strip()[:PROBLEM_CHARACTERS]
            return
        self.report.answered += 1
        self.report.errors += answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
        self.report.in_vain = 0
        self._answered_at = time.monotonic()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            self._say()

    def _say(self) -> None:
        self.report.silent_s = round(time.monotonic() - self._answered_at, 1)
        print(self.report.to_json(), flush=True)


async def _main(order: Order) -> None:
    sender = Sender(order)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sender.stop)
    await sender.run()


if __name__ == "__main__":
    asyncio.run(_main(Order.from_json(sys.argv[1])))
    os._exit(0)  # a name service that hangs holds a thread; nobody waits for that
