"""A newer release ends the bake of the one before it: it asks, and the older one's own run does it.

The older release keeps lock, epoch and run: its watch, which alone knows how the bake goes, judges what it has seen so
far as if the time were over, and its own tasks promote it. So nobody is fenced off, what is bad still goes back, and
the run of the older one ends green. A request dies with the release that made it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from slipway.errors import RefusedError
from slipway.ledger.redaction import masked
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

log = logging.getLogger(__name__)
KEY = "supersede:"
"""Key of the events that ask for an early end; the id of the release that asks follows."""
WITHIN_S = 300.0
"""How long the older release gets: a look of its watch, its promotion, and on a busy machine the tasks between."""
LOOK_S = 1.0


def end_bake(store: Store, newer: Release, reason: str) -> None:
    """Ask the release that bakes to end it now, and return when it is promoted.

    Nothing happens where no release is active; one that does not bake yet is not asked.

    :param reason: why the bake is not waited for.
    :raises RefusedError: it bakes on, as it cannot be promoted yet, or it went back.
    """
    older = store.find(newer.application, newer.environment)
    if older is None or older.id == newer.id or older.state is not ReleaseState.BAKING:
        return
    what = f"{newer.title} ends this bake: {masked(reason)}"
    store.append(older.id, EventKind.NOTED, {"what": what, "by": newer.id}, key=f"{KEY}{newer.id}")
    log.info("asked %s to end its bake now", older.title)
    deadline = time.monotonic() + WITHIN_S
    while (seen := store.release(older.id)).state is ReleaseState.BAKING:
        if time.monotonic() > deadline:
            raise RefusedError(
                f"{older.id} still bakes {WITHIN_S:.0f} s after it was asked to end it",
                found=_last_verdict(store, older),
                mend="wait for its end, or take it back; then start a new run",
            )  # fmt: skip
        time.sleep(LOOK_S)
    if seen.state is not ReleaseState.PROMOTED:
        raise RefusedError(
            f"{older.id} was not promoted but is {seen.state}", found=_last_verdict(store, older),
            mend=f"read why: slipway report {older.id}; then start a new run",
        )  # fmt: skip
    log.info("%s is promoted, before its time", older.title)


def asked(store: Store, release_id: str) -> str:
    """Return who ends the bake of a release and why, "" when nobody does; a request of an ended release is none."""
    for event in reversed(store.events(release_id)):
        if event.key is None or not event.key.startswith(KEY):
            continue
        if store.release(str(event.payload["by"])).state is ReleaseState.PLANNED:
            return str(event.payload["what"])
    return ""


def _last_verdict(store: Store, release: Release) -> str | None:
    for event in reversed(store.events(release.id)):
        if event.kind is EventKind.VERDICT:
            return f"{event.payload['verdict']}: {'; '.join(event.payload['reasons'])}"
    return None
