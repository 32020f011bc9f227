"""Lets the cluster know that a canary is attended: renewed while users are on it, ended when it is over.

It is a comfort and not a duty: a sign of life that could not be given is a warning, and the release goes on. What
happens in the cluster when none comes any more is the chart's business (the dead-man's switch).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from slipway.errors import FencedError, SlipwayError
from slipway.hooks.heartbeat import Heartbeat

if TYPE_CHECKING:
    from lightkube import Client

    from slipway.flow.site import Site
    from slipway.flow.step import Step

log = logging.getLogger(__name__)
EVERY_S = 10.0


class Pulse:
    """Renews a release's sign of life, every `EVERY_S` at most, however often it is called; it never raises.

    :param client: of the application's namespace.
    """

    def __init__(self, step: Step, client: Client) -> None:
        self._step = step
        self._heartbeat = heartbeat(step.site, client, step.release.id)
        self._wanted = is_wanted(step.site) and not step.facts.base.is_first
        self._due = 0.0

    def beat(self) -> None:
        """Give a sign of life, if one is due.

        One that belongs to somebody else is taken over only after the ledger has said that this release is still the
        one to act: a watch that outlives its release must not keep a dead one alive.
        """
        if not self._wanted or time.monotonic() < self._due:
            return
        try:
            if not self._heartbeat.renew():
                self._step.require()
                self._heartbeat.renew(take=True)
        except FencedError as error:
            log.warning("no sign of life for %s: %s", self._step.release.id, error.what)
        except SlipwayError as error:
            log.warning("the sign of life was not renewed: %s", error)
        self._due = time.monotonic() + EVERY_S  # after a failure, too: the cluster is asked no more often for that


def end(site: Site, release_id: str) -> None:
    """End a release's signs of life; it never raises, and changes nothing that is another release's."""
    if not is_wanted(site):
        return
    try:
        with site.cluster() as client:
            if heartbeat(site, client, release_id).end():
                log.info("the cluster waits for no sign of life any more")
    except SlipwayError as error:
        log.warning("the sign of life was not ended, and an alert will say that it is old: %s", error)


def is_wanted(site: Site) -> bool:
    """Say whether the application's chart has a switch that looks at it."""
    return site.spec.chart.values.unattended_max is not None


def heartbeat(site: Site, client: Client, release_id: str) -> Heartbeat:
    """Return the sign of life of a release."""
    lasts_s = round(site.environment.canary.unattended_max_s)
    return Heartbeat(client, site.spec.chart.release_name, release_id, lasts_s)
