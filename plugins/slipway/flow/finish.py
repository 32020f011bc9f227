"""The end of a release: it is announced, and whatever happened before, it is settled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slipway.errors import LedgerError, RefusedError, VerdictError
from slipway.flow import notify, rollback
from slipway.flow.site import spool, state_folder
from slipway.ledger import states
from slipway.names import AbortedBy, EventKind, ReleaseState

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.flow.step import Step
    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

log = logging.getLogger(__name__)


def announce(step: Step) -> None:
    """Tell people that the release has all the traffic."""
    served = failed = 0.0
    last: dict[str, tuple[float, float]] = {}
    for sample in step.store.samples(step.release.id):
        requests, errors = sample.numbers.get("canary_requests") or 0, sample.numbers.get("canary_errors") or 0
        last[sample.stage] = (float(requests), float(errors))
    for requests, errors in last.values():
        served, failed = served + requests, failed + errors
    notify.promoted(step, requests=round(served), errors=round(failed))


def settle(release_id: str, store: Store, *, failed: str) -> Release:
    """Give a release its end: promoted, or taken back completely, or cancelled where nothing was touched.

    :param failed: what failed, in a sentence; "" when nothing did.
    :raises VerdictError: the release is not promoted: the run that carried it must not be green.
    """
    replay(store)
    release = store.release(release_id)
    if release.state is ReleaseState.PROMOTED:
        log.info("%s is promoted; the lock is free", release.title)
        return release
    if not states.is_terminal(release.state):
        release = _end(release, store, failed or "the run ended before the promotion")
    raise VerdictError(
        f"{release.title} was not promoted: {release.state}", found=failed or _reason(store, release),
        mend=f"slipway report {release.id} tells the whole story",
    )  # fmt: skip


def _end(release: Release, store: Store, reason: str) -> Release:
    if release.state in states.CANCELLABLE:
        try:
            return store.cancel(release.id, "settle", reason)
        except RefusedError as error:
            log.info("cannot be cancelled any more: %s", error.what)
    aborted = _reason(store, release)
    return rollback.take_back(
        release.id, store, actor="settle", reason=aborted or reason, by=AbortedBy.SLIPWAY
    )  # fmt: skip


def _reason(store: Store, release: Release) -> str:
    for event in reversed(store.events(release.id)):
        if event.kind in (EventKind.ABORTED, EventKind.ROLLBACK_STARTED) and event.payload.get("reason"):
            return str(event.payload["reason"])
    return ""


def dossier(release_id: str, store: Store) -> Path:
    """Write the dossier and return its HTML file."""
    from slipway.report import dossier as dossiers
    from slipway.report import files

    folder = state_folder() / "releases" / release_id
    written = files.save(dossiers.assemble(store.record(release_id)), folder)
    log.info("dossier: %s", written.html)
    return written.html


def replay(store: Store) -> None:
    """Bring what was spooled while the ledger was away into it."""
    try:
        done = spool().replay(store)
    except LedgerError as error:
        log.warning("the spool could not be replayed: %s", error)
        return
    if done.recorded or done.refused:
        log.info("replayed %d spooled events, %d refused", done.recorded, done.refused)
