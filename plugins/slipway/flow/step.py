"""One step of a release under way: who may act, what is known, and a lease while it works."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from slipway.errors import FencedError
from slipway.flow.facts import Facts, facts_of
from slipway.flow.site import Site, ledger
from slipway.ledger import states
from slipway.names import ReleaseState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

log = logging.getLogger(__name__)
MARGIN = timedelta(minutes=5)


def refuse_when_going_back(release: Release) -> None:
    """Keep a step from taking the epoch of a rollback for its own.

    :raises FencedError: somebody has decided against the release.
    """
    if release.state in states.GOING_BACK:
        raise FencedError(
            f"{release.title} is {release.state}; nothing carries it forward any more",
            mend="nothing: settle, the watchdog or a person finish the way back",
        )


@dataclass(frozen=True)
class Step:
    """A step that holds its release's epoch; it reads again, immediately before it acts, whether it still may."""

    site: Site
    store: Store
    release: Release
    facts: Facts

    @classmethod
    def open(cls, release_id: str, *, within_s: float = 600) -> Step:
        """Begin a step.

        :param within_s: how long it may take; the lease is made longer than that.
        :raises FencedError: the release is being taken back, or has lost its lock.
        """
        store = ledger()
        found = store.release(release_id)
        refuse_when_going_back(found)
        facts = facts_of(store.events(release_id))
        release = store.renew(release_id, found.epoch, timedelta(seconds=within_s) + MARGIN)
        return cls(Site.of(facts), store, release, facts)

    def require(self) -> None:
        """Make sure, immediately before acting, that nobody has taken the release over.

        :raises FencedError: somebody has.
        """
        self.store.check(self.release.id, self.release.epoch)

    def reached(self, state: ReleaseState) -> bool:
        """Say whether the release has got as far already."""
        order = list(ReleaseState)
        return order.index(self.release.state) >= order.index(state)

    def advance(self, state: ReleaseState, payload: Mapping[str, Any] | None = None) -> None:
        """Write down that a phase is over; a release that is further on stays there."""
        if not self.reached(state):
            self.store.advance(self.release.id, self.release.epoch, state, payload=payload)
            log.info("%s is %s", self.release.title, state)
