"""A release without eyes gets no traffic: Prometheus answers, and it sees the version that serves now."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from slipway.errors import MetricsError
from slipway.flow import heartbeat
from slipway.hooks.scrapes import Scrapes
from slipway.names import ReleaseState
from slipway.spec.release import fill

if TYPE_CHECKING:
    from collections.abc import Collection

    from slipway.flow.step import Step
    from slipway.hooks.prometheus import Prometheus

log = logging.getLogger(__name__)
SCRAPES = 6
"""A series that was not read for so many scrapes is not watched."""
LOOK_S = 0.5
LEASE_AGE = "kube_lease_renew_time"
"""What kube-state-metrics calls it; every cluster has Leases, those of its nodes at least."""


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
            pods = prometheus.scalar(f"count(count by (pod) ({query}))") or 0
            limit_s = SCRAPES * site.environment.monitoring.scrape_interval_s
            age_s, read = _last_read(step, prometheus)
            if not pods and site.environment.canary.load.kind == "live":
                age_s = None
            elif not pods:
                # Most counters have no series before their first request, and no user is expected here.
                log.info("the stable version has had no request yet; its pods are read")
                pods = read
            if age_s is None or age_s > limit_s:
                raise MetricsError(
                    f"Prometheus does not see the stable version {base.hash} of {site.place}",
                    found="no series" if age_s is None else f"the newest sample is {age_s:.0f} s old",
                    mend=f"look at its PodMonitor; a sample within {limit_s:g} s is wanted, or no canary can be judged",
                )
            log.info("the stable version is seen: %d pods, newest sample %.1f s old", pods, age_s)
            numbers |= {"stable_pods": pods, "sample_age_s": round(age_s, 1)}
            if heartbeat.is_wanted(site):
                numbers["leases"] = _leases(prometheus)
    step.advance(ReleaseState.MONITORED, numbers)


def _last_read(step: Step, prometheus: Prometheus) -> tuple[float | None, float]:
    """Return how long ago the stable version's pods were read, the one left alone longest, and how many they are."""
    site, base = step.site, step.facts.base
    read = Scrapes(prometheus, site.namespace, site.spec.workload.metrics.pod_hash_label).of(base.hash)
    now = prometheus.scalar("vector(time())")
    if not read or now is None:
        return None, 0
    return max(now - min(read.values()), 0.0), len(read)


def await_sight(step: Step, pods: Collection[str]) -> bool:
    """Wait until Prometheus has read each of the new version's pods once, so that its first bad answer is counted soon.

    A new target is known to Prometheus only some seconds after its pod is Ready; until then users would be at a version
    that nobody sees. When it takes too long, the release goes on: the judge has deadlines of its own for silence.

    :param pods: names of those that are Ready.
    """
    site, hash_ = step.site, step.facts.require_hash()
    started = time.monotonic()
    limit_s = SCRAPES * site.environment.monitoring.scrape_interval_s
    missing = sorted(pods)
    with site.prometheus() as prometheus:
        scrapes = Scrapes(prometheus, site.namespace, site.spec.workload.metrics.pod_hash_label)
        while True:
            with suppress(MetricsError):
                missing = sorted(set(pods) - scrapes.of(hash_).keys())
            waited_s = time.monotonic() - started
            if not missing:
                log.info("Prometheus sees its %d pods, %.1f s after the smoke test", len(pods), waited_s)
                return True
            if waited_s > limit_s:
                log.warning(
                    "Prometheus has not read %s after %.0f s; look at the PodMonitor", ", ".join(missing), waited_s
                )
                return False
            time.sleep(LOOK_S)


def _leases(prometheus: Prometheus) -> float:
    """Return how many Leases Prometheus knows; with none, the dead-man's switch cannot see slipway's either."""
    seen = prometheus.scalar(f"count({LEASE_AGE})") or 0
    if seen:
        log.info(
            "the dead-man's switch can see slipway's sign of life: Prometheus has %s of %d Leases", LEASE_AGE, seen
        )
    else:
        log.error(
            "NOBODY TAKES THIS CANARY BACK WHEN SLIPWAY DIES: Prometheus has no %s, so the dead-man's switch cannot "
            "see slipway's sign of life; install kube-state-metrics with --resources=leases (or set "
            "deadManSwitch.heartbeat.ageQuery of the chart)", LEASE_AGE,
        )  # fmt: skip
    return seen
