"""The trigger in the moment in which a person marks its run as failed."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import LedgerError
from slipway.flow import rollback, site, watch
from slipway.names import Verdict
from slipway.triggers.canary import CanaryTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE, FACTS = object(), object()


@pytest.fixture
def aborted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, object]]:
    """What was aborted, while there is no ledger."""
    found: list[tuple[object, object]] = []

    def away() -> Any:
        raise LedgerError("The ledger could not read events.")

    monkeypatch.setattr(site, "ledger", away)
    monkeypatch.setattr(rollback, "stop_traffic", lambda *known: found.append(known))
    return found


async def kill(trigger: CanaryTrigger, open_: asyncio.Event) -> None:
    """End a trigger as Airflow does: cancelled first, and then told that it was a person."""

    async def run() -> None:
        async for _ in trigger.run():
            pass

    running = asyncio.create_task(run())
    await asyncio.wait_for(open_.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await trigger.on_kill()


def test_the_traffic_goes_back_without_a_ledger_once_a_watch_was_open(
    monkeypatch: pytest.MonkeyPatch, aborted: list[tuple[object, object]]
) -> None:
    async def story() -> None:
        loop, looked = asyncio.get_running_loop(), asyncio.Event()

        def look() -> Any:
            loop.call_soon_threadsafe(looked.set)
            return SimpleNamespace(judgement=SimpleNamespace(verdict=Verdict.HOLD))

        @contextmanager
        def watching(*_: object) -> Iterator[Any]:
            yield SimpleNamespace(look=look, poll_s=60, site_and_facts=(HERE, FACTS))

        monkeypatch.setattr(watch, "watching", watching)
        await kill(CanaryTrigger(release_id="r", stage="weight-10"), looked)

    asyncio.run(story())
    assert aborted == [(HERE, FACTS)]


def test_without_a_watch_and_without_a_ledger_it_says_who_does_it(
    aborted: list[tuple[object, object]], caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(CanaryTrigger(release_id="r", stage="weight-10").on_kill())

    assert aborted == []
    assert "settle and the watchdog do it: The ledger could not read events." in caplog.text
