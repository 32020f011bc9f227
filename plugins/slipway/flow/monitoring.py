"""A release without eyes gets no traffic: Prometheus answers, and it sees the version that serves now."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from slipway.errors import MetricsError
from slipway.names import ReleaseState
from slipway.spec.release import fill

if TYPE_CHECKING:
    from slipway.flow.step import Step

log = logging.getLogger(__name__)
SCRAPES = 6
"""A series that was not read for so many scrapes is not watched."""


def prove(step: Step) -> None:
    """Make sure that what the judge will ask for is there.

    :raises MetricsError: Prometheus is silent, or does not see the stable version.
    """
    site, base = step.site, step.facts.base
    with site.prometheus() as prometheus:
        targets = prometheus.scalar("count(up)") or 0
        log.info("Prometheus answers: %d targets", targets)
        numbers: dict[str, float] = {"targets": targets}
        if not base.is_first:
            query = fill(site.spec.workload.metrics.requests, namespace=site.namespace, pod_hash=base.hash)
            age_s = prometheus.scalar(f"time() - max(timestamp({query}))")
            pods = prometheus.scalar(f"count(count by (pod) ({query}))") or 0
            limit_s = SCRAPES * site.environment.monitoring.scrape_interval_s
            if age_s is None or age_s > limit_s:
                raise MetricsError(
                    f"Prometheus does not see the stable version {base.hash} of {site.place}",
                    found="no series" if age_s is None else f"the newest sample is {age_s:.0f} s old",
                    mend=f"look at its PodMonitor; a sample within {limit_s:g} s is wanted, or no canary can be judged",
                )
            log.info("the stable version is seen: %d pods, newest sample %.1f s old", pods, age_s)
            numbers |= {"stable_pods": pods, "sample_age_s": round(age_s, 1)}
    step.advance(ReleaseState.MONITORED, numbers)
