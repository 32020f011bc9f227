"""What one rule has found, and the case that all rules look at. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from slipway.canary.latency import Exceedance, exceedance, quantile
from slipway.canary.wording import seconds
from slipway.names import Verdict

if TYPE_CHECKING:
    from slipway.canary.buckets import Histogram
    from slipway.canary.evidence import Evidence, Observed
    from slipway.canary.policy import Policy
    from slipway.names import Rule


@dataclass(frozen=True)
class Finding:
    """Something that stands against a PASS.

    :param until_s: a HOLD until that second of the window, then a FAIL; None is a FAIL now, and infinity a HOLD whose
        rule keeps its own time.
    """

    rule: Rule
    reason: str
    until_s: float | None = None

    def at(self, elapsed_s: float) -> tuple[Verdict, Rule, str]:
        """Return what it means at a moment of the window."""
        if self.until_s is None:
            return Verdict.FAIL, self.rule, self.reason
        if math.isinf(self.until_s):
            return Verdict.HOLD, self.rule, self.reason
        if elapsed_s >= self.until_s:
            waited = f"not cleared up within {seconds(self.until_s)}, so the canary goes back: the safe end"
            return Verdict.FAIL, self.rule, f"{self.reason}; {waited}"
        return Verdict.HOLD, self.rule, f"{self.reason}; waiting until second {self.until_s:,.0f} at most"


@dataclass(frozen=True)
class Stretch:
    """A part of the window that the sequential tests look at, with its share of the error level."""

    canary: Observed
    stable: Observed
    level: float
    name: str


@dataclass(frozen=True)
class Case:
    """Evidence, policy and time, with what several rules need of them."""

    evidence: Evidence
    policy: Policy
    elapsed_s: float

    @property
    def give_up_s(self) -> float:
        """When waiting for data or for certainty ends."""
        return self.evidence.hold_s + self.policy.no_data_deadline_s

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """The whole window, and its end where there is one."""
        evidence, policy = self.evidence, self.policy
        whole = Stretch(evidence.canary, evidence.stable, policy.level(evidence.hold_s, recent=False), "")
        if evidence.recent is None or not policy.restarts_in(evidence.hold_s):
            return (whole,)
        level = policy.level(evidence.hold_s, recent=True)
        name = f"since {evidence.recent.start:%H:%M:%S}: "
        return whole, Stretch(evidence.recent.canary, evidence.recent.stable, level, name)

    def baseline(self, stable: Observed) -> Histogram | None:
        """Return the latency to compare with: stable's now, or at weight 100 the one it had while it was used.

        Another time of the day is a worse measure than the same minutes, but the only one when nobody uses the stable
        version any more. Error rates have an absolute limit, so they need none.
        """
        reference = self.evidence.reference
        if self.evidence.weight == 100 and reference is not None:
            return reference.latency
        return stable.latency

    @cached_property
    def p95(self) -> tuple[float | None, float | None]:
        """P95 of canary and stable in seconds, over the whole window."""
        both = self.evidence.canary.latency, self.baseline(self.evidence.stable)
        canary_s, stable_s = (None if item is None else quantile(item, 0.95) for item in both)
        return canary_s, stable_s

    @property
    def latency_ratio(self) -> float | None:
        """P95 of the canary over P95 of stable; None when one of them is unknown."""
        canary_s, stable_s = self.p95
        if canary_s is None or not stable_s or stable_s < 0:
            return None
        ratio = canary_s / stable_s
        return ratio if math.isfinite(ratio) else None

    @property
    def measured(self) -> tuple[float, float]:
        """Durations known of canary and stable."""
        both = self.evidence.canary.latency, self.baseline(self.evidence.stable)
        canary, stable = (0.0 if item is None else item.count for item in both)
        return canary, stable

    def slower(self, stretch: Stretch) -> Exceedance | None:
        """Count the canary's slow requests in a stretch."""
        baseline = self.baseline(stretch.stable)
        if stretch.canary.latency is None or baseline is None:
            return None
        policy = self.policy
        return exceedance(stretch.canary.latency, baseline, policy.max_latency_ratio, policy.latency_floor_s)
