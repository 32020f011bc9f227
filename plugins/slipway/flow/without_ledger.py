"""Going back while the ledger is away: users first, by what the cluster itself says; the rest waits for the ledger.

Whose canary stands in the cluster is told by its sign of life. Helm, followers and the four truths need to know what
was there before, which only the ledger does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slipway.errors import LedgerError, RefusedError
from slipway.flow import finish, heartbeat, rollback
from slipway.flow.site import spool
from slipway.ledger.redaction import masked
from slipway.names import AbortedBy, EventKind

if TYPE_CHECKING:
    from lightkube import Client

    from slipway.flow.site import Site
    from slipway.ledger.models import Release
    from slipway.rollouts.state import RolloutState

log = logging.getLogger(__name__)


def take_back(site: Site, *, actor: str, reason: str) -> Release:
    """Take the active release back, or the promoted one, as a person has asked; without a ledger, the traffic alone.

    :raises RefusedError: nothing was ever released, or without a ledger nothing says whose canary it is.
    :raises LedgerError: the ledger is away; a canary's users were taken back all the same.
    """
    store = site.ledger()
    finish.replay(store)
    try:
        release = rollback.active_or_promoted(store, site.spec.application, site.environment.name)
        try:
            return rollback.take_back(release.id, store, actor=actor, reason=reason)
        finally:
            finish.dossier(release.id, store)
    except LedgerError as error:
        state = stop_traffic(site, actor=actor, reason=reason)
        raise LedgerError(
            f"{site.place}: "
            + ("users are on the stable version; the rest waits" if state else "there is no canary; nothing was done"),
            found=f"{error.what}: {error.found}",
            mend=f"repeat it when the ledger answers, or scripts/release/rollback.sh --namespace {site.namespace} "
            f"--rollout {site.spec.workload.rollout}",
        ) from None


def stop_traffic(site: Site, *, actor: str, reason: str, release_id: str = "") -> RolloutState | None:
    """Take the users off the canary that stands in the cluster.

    :param release_id: whose canary alone it may be; "" takes the one that is there, as a person does.
    :return: the Rollout after it, None when there was no canary.
    :raises RefusedError: nothing says whose canary it is.
    """
    with site.rollout() as (rollout, _):
        state = rollout.state()
        if not state.is_canary:
            log.info("no canary to take users from: %s", state.describe())
            return None
        carried = _carried(site, rollout.client, release_id)
        log.warning("the ledger is away; taking users off the canary of %s", carried or "a release that nobody names")
        state = rollout.abort(state.current_hash)
    log.warning("users are on the stable version: %s", state.describe())
    if carried:
        by = AbortedBy.SLIPWAY if release_id else AbortedBy.PERSON
        payload = {"by": str(by), "rule": None, "reason": masked(reason)}
        spool().write(carried, EventKind.ABORTED, payload, actor, key="aborted")
    return state


def _carried(site: Site, client: Client, release_id: str) -> str:
    """Return whose canary it is, "" where no chart has a switch and a person vouches for it.

    :raises RefusedError: it may be another one's, or the way back of an older release, which is a canary to Argo, too.
    """
    wanted = heartbeat.is_wanted(site)
    carried = heartbeat.heartbeat(site, client, release_id).seen() if wanted else ""
    known = carried == release_id if release_id else bool(carried) or not wanted
    if known:
        return carried
    raise RefusedError(
        f"{site.place}: the canary there is left alone, as the ledger is away and does not say whose it is",
        found=f"sign of life of {carried or 'nobody'}",
        mend=f"look at it: scripts/release/rollback.sh --namespace {site.namespace} "
        f"--rollout {site.spec.workload.rollout}",
    )
