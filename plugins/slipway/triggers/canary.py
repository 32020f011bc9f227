"""Watches one stage of a canary in the triggerer. It may abort and never promotes, as two triggerers may run it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from slipway.flow.facts import Facts
    from slipway.flow.site import Site

log = logging.getLogger(__name__)
AFTER_AN_ERROR_S = 2.0
FIRST_EVENT_S = 3.0
"""Airflow 3.3 fails a task that resumes before its executor has reported the end of the first half. An abort does not
wait for this."""


class CanaryTrigger(BaseTrigger):
    """Looks until there is a verdict.

    The window of the stage is in the ledger, so a trigger that moves to another triggerer goes on where it was.

    :param release_id: of the release.
    :param stage: a `slipway.canary.plan.Stage`.
    """

    def __init__(self, *, release_id: str, stage: str) -> None:
        super().__init__()
        self.release_id = release_id
        self.stage = stage
        self._known: tuple[Site, Facts] | None = None
        """What taking the traffic back needs, since a watch was open: by then, the ledger may be away."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class and arguments, as Airflow stores them."""
        return "slipway.triggers.canary.CanaryTrigger", {"release_id": self.release_id, "stage": self.stage}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the verdict, or that somebody else has taken the release over."""
        from slipway.errors import FencedError, RefusedError, SlipwayError

        started = time.monotonic()
        while True:
            try:
                found = await self._watch()
            except (FencedError, RefusedError) as error:
                found = {"verdict": "FENCED", "reasons": [str(error)]}
            except SlipwayError as error:
                # Ledger or API server are away, which says nothing about the canary. The judge's own deadline for
                # silence, and the dead-man's switch in the cluster, end a silence that lasts.
                log.warning("the watch of %s could not go on, trying again: %s", self.stage, error)
                await asyncio.sleep(AFTER_AN_ERROR_S)
                continue
            await asyncio.sleep(max(started + FIRST_EVENT_S - time.monotonic(), 0.0))
            yield TriggerEvent(found)
            return

    async def _watch(self) -> dict[str, Any]:
        from slipway.canary.plan import Stage
        from slipway.flow.watch import watching
        from slipway.names import Verdict

        # Clients and driver block, so they run in a thread: one implementation for triggers and command line.
        watch_context = watching(self.release_id, Stage(self.stage))
        watch = await asyncio.to_thread(watch_context.__enter__)
        self._known = watch.site_and_facts
        try:
            while True:
                found = await asyncio.to_thread(watch.look)
                if found.judgement.verdict is not Verdict.HOLD:
                    return {
                        "verdict": str(found.judgement.verdict),
                        "rule": str(found.judgement.rule or ""),
                        "reasons": list(found.judgement.reasons),
                        "elapsed_s": round(found.elapsed_s, 1),
                    }
                await asyncio.sleep(watch.poll_s)
        finally:
            await asyncio.to_thread(watch_context.__exit__, None, None, None)

    async def on_kill(self) -> None:
        """Take the traffic back when a person marks the task or the run failed; settle does the rest."""
        await asyncio.to_thread(_stop_traffic, self.release_id, self._known)


def _stop_traffic(release_id: str, known: tuple[Site, Facts] | None) -> None:
    """Take the traffic back; the ledger is asked only where no watch was open yet."""
    from slipway.errors import SlipwayError
    from slipway.flow import rollback
    from slipway.flow.facts import facts_of
    from slipway.flow.site import Site, ledger

    try:
        if known is None:
            facts = facts_of(ledger().events(release_id))
            known = Site.of(facts), facts
        rollback.stop_traffic(*known)
    except SlipwayError as error:
        log.error("the traffic was not taken back here; settle and the watchdog do it: %s", error)  # noqa: TRY400
