"""Finishes releases that nobody carries any more: their run is over or gone, or their lease has run out.

A planned one that waits for an approval has no lease; its run alone speaks for it, and nothing was touched.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.flow import finish, rollback
from slipway.ledger import states
from slipway.names import AbortedBy, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

log = logging.getLogger(__name__)
NAME = "watchdog"
"""Its name among the signs of life in the ledger; a release begins only while there is one."""
OVER = frozenset({"success", "failed"})
QUIET = timedelta(seconds=30)
"""A release that was written to since then is not left alone, whatever its run says."""


def round_(store: Store, run_state: Callable[[str], str | None]) -> int:
    """Look once, and return how many releases were finished.

    :param run_state: state of a run by its id, None when it is gone.
    :raises SlipwayError: the last of those that could not be finished; the others were.
    """
    store.ensure()
    store.beat(NAME)
    finish.replay(store)
    active = store.active()
    waiting = store.planned()
    expired = {release.id for release in store.orphans()}
    left = [
        (release, why)
        for release in [*active, *waiting]
        if release.state is not ReleaseState.ROLLBACK_FAILED and (why := _why(release, expired, run_state))
    ]
    if not left:
        log.info("%d active releases, %d waiting, none left alone", len(active), len(waiting))
        return 0
    failed: SlipwayError | None = None
    for release, why in left:
        log.warning("%s (%s) is left alone: %s", release.id, release.state, why)
        try:
            _finish(release, store, why)
        except SlipwayError as error:
            log.error("%s could not be finished: %s", release.id, error)  # noqa: TRY400 - its sentence says it all
            failed = error
        store.beat(NAME)  # a rollback takes minutes, and others may begin a release meanwhile
    if failed is not None:
        raise failed
    return len(left)


def _why(release: Release, expired: set[str], run_state: Callable[[str], str | None]) -> str:
    if release.id in expired:
        return "its lease has run out"
    if release.state is ReleaseState.ROLLING_BACK:
        return ""  # whoever takes it back has a lease; two at once would meet in Helm
    if datetime.now(UTC) - release.updated_at < QUIET:
        return ""  # settle may be on its way
    if not release.run_id.startswith(OTHER_RUNS):
        state = run_state(release.run_id)
        if state is None:
            return f"its run {release.run_id} is gone"
        if state in OVER:
            return f"its run {release.run_id} ended as {state}"
    return ""


OTHER_RUNS = "cli:"
"""Runs of the command line, which Airflow does not know; their lease alone speaks for them."""


def _finish(release: Release, store: Store, why: str) -> None:
    if release.state in states.CANCELLABLE:
        try:
            store.cancel(release.id, "watchdog", why)
        except SlipwayError as error:
            log.info("cannot be cancelled any more: %s", error)
        else:
            return
    rollback.take_back(release.id, store, actor="watchdog", reason=why, by=AbortedBy.WATCHDOG)
    finish.dossier(release.id, store)
