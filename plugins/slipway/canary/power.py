"""Before a release: can these holds find what the policy forbids, with this traffic and these buckets? Pure.

A hold that is too short does not make a canary safe, it makes the judge blind: it would wait for data until its
deadline and take every release back, or pass what it could not have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from slipway.canary.buckets import Histogram
from slipway.canary.evidence import Counts
from slipway.canary.latency import P95, exceedance, is_narrow, quantile, slower_than
from slipway.canary.sequential import log_e_rate, log_e_slower, log_e_versus, needed
from slipway.canary.wording import number, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slipway.canary.plan import Plan, Stage, Step
    from slipway.canary.policy import Policy

LONGEST_S = 7 * 24 * 3600
"""A hold that would have to be longer than a week counts as "never"."""
FULL_FACTOR = 2.0
"""At weight 100 there is no stable traffic to compare with, and the absolute rule cannot tell a rate *at* its limit
from one below it: there, twice the limit must be found."""
LATENCY_FACTOR = 4 / 3
"""Likewise for latency at any weight: with a limit of 1.5, a true ratio of 2.0 must be found."""


class Load(BaseModel):
    """The traffic that is expected during the canary.

    :param requests_per_s: of both versions together.
    :param error_rate: of the stable version on a usual day, 0 to 1.
    :param latency: durations of the stable version, for example of the last hour; None when unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_s: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    error_rate: Annotated[float, Field(ge=0, lt=1)] = 0.005
    latency: Histogram | None = None


class Severity(StrEnum):
    """What a finding means for a release."""

    REFUSE = "refuse"  # it could not end well; the release does not start
    WARN = "warn"  # it can, but later than the plan says, or with less sight


@dataclass(frozen=True)
class PlanFinding:
    """What is wrong with a plan.

    :param stage: None when it is the plan as a whole.
    """

    severity: Severity
    stage: Stage | None
    what: str
    mend: str


@dataclass(frozen=True)
class StepPower:
    """What one step can see.

    :param canary_requests: expected in the hold.
    :param least_s: hold that brings the minimum of requests for a verdict, for both error rate and P95.
    :param errors_s: hold in which an error rate of `error_rate` is found with `Policy.power`; infinite for never.
    :param latency_s: the same for a P95 of `latency_ratio` x stable's; None when the load's durations are unknown.
    """

    stage: Stage
    weight: int
    hold_s: float
    canary_requests: float
    least_s: float
    error_rate: float
    errors_s: float
    latency_ratio: float
    latency_s: float | None


def power_of(step: Step, load: Load, policy: Policy) -> StepPower:
    """Compute what a step can see."""
    part = step.weight / 100
    error_rate = min(policy.max_error_rate * (FULL_FACTOR if step.weight == 100 else 1), 0.99)
    latency_ratio = policy.max_latency_ratio * LATENCY_FACTOR
    # At weight 100 the canary's P95 is held against the reference, which an earlier step has measured.
    slowest = load.requests_per_s * (part if step.weight == 100 else min(part, 1 - part))
    least = max(policy.min_requests / (load.requests_per_s * part), policy.min_requests_latency / slowest) if (
        load.requests_per_s
    ) else math.inf  # fmt: skip
    return StepPower(
        stage=step.stage,
        weight=step.weight,
        hold_s=step.hold_s,
        canary_requests=load.requests_per_s * part * step.hold_s,
        least_s=least,
        error_rate=error_rate,
        errors_s=errors_hold_s(step.weight, load, policy, error_rate),
        latency_ratio=latency_ratio,
        latency_s=None if load.latency is None else latency_hold_s(step.weight, load, policy, latency_ratio),
    )


def errors_hold_s(weight: int, load: Load, policy: Policy, error_rate: float) -> float:
    """Return the hold in which an error rate of the canary is found with `Policy.power`, in whole seconds.

    The canary has fewer errors than the (1 - power) quantile of its binomial distribution only with that probability;
    so the hold is the shortest in which that many are enough for one of the tests, with stable at its usual rate.
    """

    def found(hold_s: float) -> bool:
        requests, others = _requests(weight, load, hold_s)
        canary = Counts(requests=requests, errors=_few(requests, error_rate, policy.power))
        stable = Counts(requests=others, errors=others * load.error_rate)
        log_e = max(
            log_e_versus(canary, stable, policy.max_error_ratio),
            log_e_rate(canary.errors, canary.requests, policy.max_error_rate),
        )
        return log_e >= needed(policy.level(hold_s, recent=False))

    return _shortest(found)


def latency_hold_s(weight: int, load: Load, policy: Policy, ratio: float) -> float:
    """Return the hold in which a P95 of `ratio` x stable's is found with `Policy.power`, in whole seconds.

    The canary's durations are taken as stable's, each times `ratio`, and sorted into stable's buckets, so a layout too
    coarse to show the difference gives a long hold, or never.
    """
    usual = load.latency or Histogram()
    slow = _slowed(usual, ratio)

    def found(hold_s: float) -> bool:
        requests, others = _requests(weight, load, hold_s)
        expected = exceedance(slow, usual, policy.max_latency_ratio, policy.latency_floor_s)
        if expected is None or not requests:
            return False
        slower = _few(requests, expected.slower / expected.requests, policy.power)
        # At weight 100 the threshold comes from the reference: about as many requests as an equal hold at 50 % has.
        sample = others or load.requests_per_s * hold_s / 2
        actual = type(expected)(requests, slower, expected.threshold_s, sample, expected.interpolated)
        return log_e_slower(actual, 1 - P95) >= needed(policy.level(hold_s, recent=False))

    return _shortest(found)


def check(plan: Plan, load: Load, policy: Policy) -> tuple[tuple[StepPower, ...], tuple[PlanFinding, ...]]:
    """Check a plan against the traffic it will meet.

    :returns: a row a step, and what is wrong, the worst first; empty findings mean a plan that can see.
    """
    powers = tuple(power_of(step, load, policy) for step in plan.steps)
    findings = [*_whole(powers, policy), *_buckets(load, policy)]
    for power in powers:
        findings.extend(_step(power, policy))
    return powers, tuple(sorted(findings, key=lambda finding: finding.severity is Severity.WARN))


def _whole(powers: tuple[StepPower, ...], policy: Policy) -> Iterator[PlanFinding]:
    """Ask whether any step, its waiting time included, can find a broken canary."""
    ends = [power.hold_s + policy.no_data_deadline_s for power in powers]
    if all(power.errors_s > end for power, end in zip(powers, ends, strict=True)):
        best = min(powers, key=lambda power: power.errors_s)
        yield PlanFinding(
            Severity.REFUSE,
            None,
            f"no step can find an error rate of {percent(best.error_rate)} with a power of {percent(policy.power)}",
            f"hold {best.stage} for at least {seconds(best.errors_s)}, or send synthetic load",
        )


def _buckets(load: Load, policy: Policy) -> Iterator[PlanFinding]:
    if load.latency is None or (p95_s := quantile(load.latency, P95)) is None:
        what = "the durations of the stable version are unknown, so nobody can say whether P95 can be judged"
        yield PlanFinding(Severity.WARN, None, what, "let the application export a histogram of its durations")
        return
    wide = [value for value in (p95_s, p95_s * policy.max_latency_ratio) if not is_narrow(load.latency, value)]
    if wide:
        near = " and ".join(seconds(value) for value in wide)
        what = f"the histogram's buckets near {near} are too wide to tell {policy.max_latency_ratio:g} x from less"
        yield PlanFinding(Severity.WARN, None, what, "use buckets that grow by 25 % at most there; 10 % is good")


def _step(power: StepPower, policy: Policy) -> Iterator[PlanFinding]:
    end_s = power.hold_s + policy.no_data_deadline_s
    if power.least_s > power.hold_s:
        never = power.least_s > end_s
        yield PlanFinding(
            Severity.REFUSE if never else Severity.WARN,
            power.stage,
            f"the minimum of {number(policy.min_requests)} requests ({number(policy.min_requests_latency)} for P95) "
            f"takes {seconds(power.least_s)}, the hold is {seconds(power.hold_s)}"
            + (f" and the judge gives up at {seconds(end_s)}" if never else ", so it will be extended"),
            f"hold it for {seconds(power.least_s)}, lower the minimum, or send synthetic load",
        )
    sights = [(power.errors_s, f"an error rate of {percent(power.error_rate)}")]
    if power.latency_s is not None:
        sights.append((power.latency_s, f"a P95 of {power.latency_ratio:.2g} x stable's"))
    for needed_s, what in sights:
        if needed_s > power.hold_s:
            yield PlanFinding(
                Severity.WARN,
                power.stage,
                f"{what} is found with a power of {percent(policy.power)} in {seconds(needed_s)}, "
                f"the hold is {seconds(power.hold_s)}",
                f"hold it for {seconds(needed_s)}, or send more load" if math.isfinite(needed_s) else "send more load",
            )


def _requests(weight: int, load: Load, hold_s: float) -> tuple[float, float]:
    total = load.requests_per_s * hold_s
    return total * weight / 100, total * (100 - weight) / 100


def _few(requests: float, rate: float, power: float) -> float:
    """Return a number of events that is reached with this power: a lower quantile of the binomial distribution."""
    from scipy.special import bdtr  # type: ignore[import-untyped]

    trials = math.floor(requests)
    spread = math.sqrt(trials * rate * (1 - rate))
    few = max(0, math.floor(trials * rate - 6 * spread) - 1)
    while few < trials and float(bdtr(few, trials, rate)) <= 1 - power:
        few += 1
    return float(few)


def _slowed(histogram: Histogram, ratio: float) -> Histogram:
    """Return the histogram in the same buckets, had every duration been `ratio` times as long."""
    pairs = [
        (bound, histogram.count - slower_than(histogram, bound / ratio).estimate) for bound, _ in histogram.buckets
    ]
    return Histogram.raised([*pairs, (math.inf, histogram.count)])


def _shortest(found: Callable[[float], bool]) -> float:
    """Return the least whole number of seconds for which a predicate holds and goes on to hold, else infinity."""
    high = 1
    while not found(high):
        if high >= LONGEST_S:
            return math.inf
        high = min(2 * high, LONGEST_S)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return float(high)
