"""Collects what is known of a canary and of the stable version beside it, from metrics, router and pods.

Values at the start of the window are asked from Prometheus by time, not kept in memory: a trigger that moves to another
triggerer goes on with the same window.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from slipway.canary import counters
from slipway.canary.buckets import Histogram
from slipway.canary.evidence import Abort, Counts, Evidence, Observed, Recent, RouterCounts, Source, observed_share
from slipway.errors import ExternalError
from slipway.hooks.scrapes import Scrapes
from slipway.names import AbortedBy
from slipway.spec.release import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from slipway.canary.policy import Policy
    from slipway.hooks.pods import Pods
    from slipway.hooks.prometheus import Prometheus, Sample
    from slipway.hooks.rollouts import Rollout
    from slipway.rollouts.state import RolloutState
    from slipway.spec.release import Workload

Labels = tuple[tuple[str, str], ...]
Found = TypeVar("Found")
FAILED = "5"
"""First digit of the status codes that count as errors."""
UNDELIVERED = frozenset({"502", "503", "504"})
"""Codes that a router answers itself when no pod does."""


@dataclass(frozen=True)
class Window:
    """What is watched.

    :param start: when the weight was reached, aware.
    :param hold_s: shortest time to watch, in seconds.
    :param weight: intended share of the canary in percent.
    :param canary: pod-template hash of the new version.
    :param stable: of the old one, "" on a first install.
    :param restarts: restarts of each of the canary's pods when the window began.
    """

    start: datetime
    hold_s: float
    weight: int
    canary: str
    stable: str
    restarts: Mapping[str, int] = field(default_factory=dict)


class Collector:
    """Looks at one window again and again."""

    def __init__(
        self, prometheus: Prometheus, workload: Workload, rollout: Rollout, pods: Pods, window: Window, policy: Policy
    ) -> None:
        self._prometheus = prometheus
        self._workload = workload
        self._metrics = workload.metrics
        self._rollout = rollout
        self._pods = pods
        self._window = window
        self._policy = policy
        self._namespace = rollout.client.namespace
        self._scrapes = Scrapes(prometheus, str(self._namespace), workload.metrics.pod_hash_label)
        self._earlier: dict[tuple[str, datetime], list[Sample]] = {}
        self._silent_since: float | None = None

    def look(self, now: datetime, *, reference: Observed | None = None) -> Evidence:
        """Return what is known now. A source that is silent raises nothing: it is missing from `answered`.

        :param reference: the stable version in the last window in which it had traffic, for a step at weight 100.
        """
        window = self._window
        asked = (Source.METRICS, *((Source.ROUTER,) if self._metrics.router else ()), Source.PODS)
        answered: list[Source] = []

        def ask(source: Source, question: Callable[[], Found]) -> Found | None:
            try:
                found = question()
            except ExternalError:
                return None
            answered.append(source)
            return found

        canary, stable = Observed(), Observed()
        recent, age_s, share, weight_set, abort = None, None, None, None, None
        if measured := ask(Source.METRICS, lambda: self._measure(now)):
            canary, stable, recent, age_s = measured
        if self._metrics.router and (routed := ask(Source.ROUTER, lambda: self._routed(window.start, now))):
            canary = canary.model_copy(update={"router": routed[0]})
            stable = stable.model_copy(update={"router": routed[1]})
            share = observed_share(*routed) if window.stable else None
        if seen := ask(Source.PODS, lambda: (self._pods.of(window.canary, window.restarts), self._rollout.state())):
            canary = canary.model_copy(update={"pods": seen[0]})
            weight_set = seen[1].weight if window.stable else None
            abort = abort_of(seen[1], window.canary) if window.stable else None
        return Evidence(
            start=window.start, now=now, hold_s=window.hold_s, canary=canary, stable=stable, weight=window.weight,
            weight_set=weight_set, abort=abort, share=share, sample_age_s=age_s, asked=asked, answered=tuple(answered),
            silent_s=self._silence(complete=len(answered) == len(asked)), recent=recent,
            alone=not window.stable, reference=reference,
        )  # fmt: skip

    def _silence(self, *, complete: bool) -> float:
        if complete:
            self._silent_since = None
            return 0.0
        self._silent_since = self._silent_since or time.monotonic()
        return time.monotonic() - self._silent_since

    def _measure(self, now: datetime) -> tuple[Observed, Observed, Recent | None, float | None]:
        window = self._window
        canary, stable = self._both(window.start, now)
        recent = None
        if (begun := self._policy.recent_start(window.start, now)) is not None:
            end_of_canary, end_of_stable = self._both(begun, now)
            recent = Recent(start=begun, canary=end_of_canary, stable=end_of_stable)
        newest = max(self._scrapes.of(window.canary).values(), default=None)
        return canary, stable, recent, None if newest is None else max(now.timestamp() - newest, 0.0)

    def _both(self, start: datetime, now: datetime) -> tuple[Observed, Observed]:
        return self._observed(self._window.canary, start, now), self._observed(self._window.stable, start, now)

    def _observed(self, hash_: str, start: datetime, now: datetime) -> Observed:
        if not hash_:
            return Observed()
        query = self._query(self._metrics.requests, hash_)
        grown = self._grown(query, start, now)
        failed = {
            labels: value
            for labels, value in grown.items()
            if dict(labels).get(self._metrics.status_label, "").startswith(FAILED)
        }
        buckets = self._query(self._metrics.latency, hash_)
        latency = counters.histogram_delta(
            _histograms(self._at(buckets, start)), _histograms(self._prometheus.ask(buckets, at=now))
        )
        counts = Counts(requests=counters.total(grown), errors=counters.total(failed))
        return Observed(counts=counts, latency=latency)

    def _routed(self, start: datetime, now: datetime) -> tuple[RouterCounts, RouterCounts]:
        grown = self._grown(self._query(self._metrics.router or "", ""), start, now)
        return self._through(self._workload.canary_service, grown), self._through(self._workload.stable_service, grown)

    def _through(self, service: str, grown: Mapping[Labels, float]) -> RouterCounts:
        # Traefik and Argo name a Service NAMESPACE-NAME-PORT@PROVIDER, so a name is followed by a dash and digits.
        begin = f"{self._namespace}-{service}-"
        mine = {labels: value for labels, value in grown.items() if _is_port(dict(labels).get("service", ""), begin)}
        lost = {
            labels: v for labels, v in mine.items() if dict(labels).get(self._metrics.router_code_label) in UNDELIVERED
        }
        return RouterCounts(requests=counters.total(mine), errors=counters.total(lost))

    def _grown(self, query: str, start: datetime, now: datetime) -> dict[Labels, float]:
        before = {item.labels: item.value for item in self._at(query, start)}
        return counters.delta(before, {item.labels: item.value for item in self._prometheus.ask(query, at=now)})

    def _at(self, query: str, moment: datetime) -> list[Sample]:
        """Ask for values of the past once; they do not change any more."""
        key = (query, moment)
        if key not in self._earlier:
            self._earlier[key] = self._prometheus.ask(query, at=moment)
        return self._earlier[key]

    def _query(self, query: str, hash_: str) -> str:
        return fill(query, namespace=self._namespace, pod_hash=hash_)


def abort_of(state: RolloutState, hash_: str) -> Abort | None:
    """Return the abort of a version's canary, None when it was not aborted or the Rollout is on another version."""
    if not state.aborted or state.current_hash != hash_:
        return None
    if state.failed_metric:
        return Abort(by=AbortedBy.DEAD_MAN_SWITCH, why=state.failed_metric)
    return Abort(by=AbortedBy.ARGO, why=state.message)


def _is_port(service: str, begin: str) -> bool:
    return service.startswith(begin) and service.removeprefix(begin).partition("@")[0].isdigit()


def _histograms(samples: list[Sample]) -> dict[Labels, Histogram]:
    by_series: dict[Labels, dict[str, float]] = {}
    for item in samples:
        by_series.setdefault(item.without("le"), {})[item.label("le")] = item.value
    return {key: Histogram.from_prometheus(values) for key, values in by_series.items()}
