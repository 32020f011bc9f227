"""What is known of a canary at one moment: numbers of both versions over the same window. Frozen, JSON both ways.

A trigger carries evidence between processes and the ledger keeps it, so nothing here is a dict with float keys
(JSON would turn them into strings), and nothing is infinite or NaN (JSON has neither).
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation when the class is made
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from slipway.canary.buckets import MOST, Histogram
from slipway.names import AbortedBy

Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
"""A count or a number of seconds. Float, because Prometheus has nothing else."""


class Source(StrEnum):
    """Who can be asked about a canary."""

    METRICS = "metrics"  # the pods' own series, through Prometheus
    ROUTER = "router"  # the router's series, through Prometheus
    PODS = "pods"  # the state of pods and Rollout, from the API server


class Closed(BaseModel):
    """The base of all values here: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Closed):
    """Requests of one version in the window, and how many of them failed (or tasks, for followers)."""

    requests: Amount = 0
    errors: Amount = 0

    @property
    def trials(self) -> float:
        """Requests, but never fewer than errors: the two series may come from different scrapes."""
        return max(self.requests, self.errors)

    @property
    def rate(self) -> float | None:
        """Errors over requests, 0 to 1; None when there were no requests, which is not the same as 0."""
        return self.errors / self.trials if self.trials else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(requests=min(self.requests + other.requests, MOST), errors=min(self.errors + other.errors, MOST))


class PodState(Closed):
    """One pod.

    :param restarts: of its containers since the window began, or since its birth if that was later.
    :param oom: a container was killed for its memory in that time.
    :param unready_s: for how long it has not been ready, 0 when it is.
    :param ready_s: for how long it has been ready without a break, 0 when it is not.
    :param reason: what Kubernetes says when it is not well (``CrashLoopBackOff``, ``OOMKilled``), else "".
    """

    name: str
    ready: bool
    unready_s: Amount = 0
    ready_s: Amount = 0
    restarts: Annotated[int, Field(ge=0)] = 0
    oom: bool = False
    reason: str = ""


class RouterCounts(Closed):
    """What the router saw of one version's Service in the window.

    :param requests: all that it sent or tried to send there; the observed share is made of these.
    :param errors: answers that the router made itself (502, 503, 504, its own 404): requests that reached no
        pod, so no series of a pod knows them. They count as requests and as errors of the version. Not the 5xx
        that a pod answered: those would count twice.
    """

    requests: Amount = 0
    errors: Amount = 0


class Observed(Closed):
    """One version in one stretch of time.

    :param counts: by the pods' own series.
    :param latency: durations of the same requests in seconds, None when no histogram was found.
    :param router: None when the router was not asked or did not answer.
    :param pods: empty when there are none, or in a stretch within the window.
    """

    counts: Counts = Counts()
    latency: Histogram | None = None
    router: RouterCounts | None = None
    pods: tuple[PodState, ...] = ()

    @property
    def total(self) -> Counts:
        """What users met: the pods' counts, and the requests that the router could not deliver."""
        if self.router is None:
            return self.counts
        lost = self.router.errors
        return self.counts + Counts(requests=lost, errors=lost)


class Abort(Closed):
    """An abort that was found in the cluster, so that no judge takes it for its own finding.

    :param by: the dead-man's switch where the cluster's own analysis says so, else Argo Rollouts, which does not tell
        who sent a patch.
    :param why: in Argo's words.
    """

    by: AbortedBy
    why: str

    @property
    def said(self) -> str:
        """The abort in a sentence."""
        if self.by is AbortedBy.DEAD_MAN_SWITCH:
            return f"the dead-man's switch in the cluster took the canary back: {self.why}"
        return (
            "the canary was aborted in the cluster, and not by this watch: by hand, or by a rollback that is under way "
            f"(Argo Rollouts says: {self.why or 'nothing'})"
        )


class Recent(Closed):
    """The end of a long window, so that a fault which begins late is not diluted by hours of health.

    :param start: one of the fixed moments of `Policy.recent_start`; a stretch that slides would look more often
        than the error level was paid for.
    """

    start: AwareDatetime
    canary: Observed
    stable: Observed


class Evidence(Closed):
    """Canary and stable version over the same window, and how far that can be trusted.

    :param start: when the weight of this step was reached; counters are differences to their values then.
    :param now: when the last value was read; a moment before `start` where the clocks of two machines differ.
    :param hold_s: how long the step is to be watched, at least.
    :param weight: intended share of the canary, percent.
    :param weight_set: the weight that Argo Rollouts says it has set; None when it was not asked. 0 while `weight`
        is above 0 means that Argo took the canary out, because its pods are gone.
    :param abort: the canary's abort, when there was one; None also when it was not asked for.
    :param share: observed share of the canary's requests, 0 to 1; None where it means nothing. See `observed_share`.
    :param sample_age_s: age of the canary's newest sample, None when there is none.
    :param asked: the sources this step needs.
    :param answered: those that answered now.
    :param silent_s: for how long now not all of them have answered, 0 when they have.
    :param recent: see `Recent`; None in a window that is not longer than `Policy.restart_s`.
    :param alone: a first install: no stable version exists, so only absolute rules apply and latency has no measure.
    :param reference: the stable version in the last window in which it had traffic, for a step at weight 100.
    :param load_trouble: why the requests that slipway sends itself do not get through, in words; "" when they do, or
        when it sends none. It explains missing data, and nothing else: who cannot reach a canary knows nothing of it.
    """

    start: AwareDatetime
    now: AwareDatetime
    hold_s: Amount
    canary: Observed
    stable: Observed
    weight: Annotated[int, Field(ge=0, le=100)]
    weight_set: Annotated[int, Field(ge=0, le=100)] | None = None
    abort: Abort | None = None
    share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    sample_age_s: Amount | None = None
    asked: tuple[Source, ...] = (Source.METRICS, Source.ROUTER, Source.PODS)
    answered: tuple[Source, ...] = ()
    silent_s: Amount = 0
    recent: Recent | None = None
    alone: bool = False
    reference: Observed | None = None
    load_trouble: str = ""

    @property
    def silent(self) -> tuple[Source, ...]:
        """The sources that were asked and did not answer."""
        return tuple(source for source in self.asked if source not in self.answered)

    def to_json(self) -> str:
        """Return it as JSON text, for a trigger's argument or the ledger."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        :raises pydantic.ValidationError: it is something else.
        """
        return cls.model_validate_json(text)


def observed_share(canary: RouterCounts, stable: RouterCounts) -> float | None:
    """Return the canary's share of the requests that the router sent, 0 to 1; None when there were none."""
    total = canary.requests + stable.requests
    return canary.requests / total if total else None


def window_s(start: datetime, now: datetime) -> float:
    """Return the length of a window in seconds; for a caller without a monotonic clock of its own."""
    return max(0.0, (now - start).total_seconds())
