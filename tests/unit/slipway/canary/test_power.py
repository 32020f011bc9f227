from __future__ import annotations

import math

import pytest
from slipway.canary import Histogram, Policy
from slipway.canary.plan import Plan, Stage
from slipway.canary.power import Load, Severity, check, errors_hold_s, latency_hold_s, power_of

POLICY = Policy()
FINE = tuple(0.01 * 1.1**step for step in range(70))
COARSE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def lognormal(bounds: tuple[float, ...]) -> Histogram:
    """Return 10,000 durations around 80 ms, sigma 0.6."""

    def share(bound: float) -> float:
        return (1 + math.erf(math.log(bound / 0.08) / 0.6 / math.sqrt(2))) / 2

    return Histogram.raised([*((bound, 10_000 * share(bound)) for bound in bounds), (math.inf, 10_000)])


USUAL = Load(requests_per_s=100, latency=lognormal(FINE))


def test_a_good_plan_has_nothing_wrong() -> None:
    powers, findings = check(Plan.of(60, 30, 60), USUAL, POLICY)
    assert findings == ()
    assert [power.stage for power in powers] == [Stage.WEIGHT_10, Stage.WEIGHT_50, Stage.WEIGHT_100]
    assert powers[0].canary_requests == 600
    assert powers[0].least_s == 20


@pytest.mark.parametrize("weight", [10, 50, 100])
def test_more_traffic_needs_less_time(weight: int) -> None:
    holds = [errors_hold_s(weight, Load(requests_per_s=rate), POLICY, 0.1) for rate in (5, 20, 100, 1000)]
    assert holds == sorted(holds, reverse=True)
    assert holds[0] > holds[-1]


def test_a_stricter_level_needs_more_time() -> None:
    strict = POLICY.model_copy(update={"alpha": 1e-6})
    assert errors_hold_s(10, USUAL, strict, 0.05) > errors_hold_s(10, USUAL, POLICY, 0.05)


def test_what_is_on_the_limit_cannot_be_found_without_a_stable_version() -> None:
    assert errors_hold_s(100, USUAL, POLICY, 0.05) == math.inf
    assert errors_hold_s(100, USUAL, POLICY, 0.10) < 60


def test_nothing_is_found_without_traffic() -> None:
    power = power_of(Plan.of(60, 60, 60).steps[0], Load(requests_per_s=0, latency=lognormal(FINE)), POLICY)
    assert (power.least_s, power.errors_s, power.latency_s) == (math.inf, math.inf, math.inf)


def test_coarse_buckets_hide_a_slow_canary() -> None:
    fine = latency_hold_s(10, USUAL, POLICY, 2.0)
    coarse = latency_hold_s(10, Load(requests_per_s=100, latency=lognormal(COARSE)), POLICY, 2.0)
    assert fine < 60
    assert coarse > 10 * fine


def test_coarse_buckets_are_named() -> None:
    _, findings = check(Plan.of(600, 600, 600), Load(requests_per_s=100, latency=lognormal(COARSE)), POLICY)
    assert findings[0].what == "the histogram's buckets near 240 ms and 360 ms are too wide to tell 1.5 x from less"


def test_unknown_durations_are_named() -> None:
    _, findings = check(Plan.of(60, 60, 60), Load(requests_per_s=100), POLICY)
    assert [finding.what for finding in findings] == [
        "the durations of the stable version are unknown, so nobody can say whether P95 can be judged"
    ]


def test_a_hold_that_is_a_little_short_is_a_warning() -> None:
    _, findings = check(Plan.of(15, 30, 60), USUAL, POLICY)
    assert {(finding.severity, finding.stage) for finding in findings} == {(Severity.WARN, Stage.WEIGHT_10)}
    assert findings[0].what == (
        "the minimum of 50 requests (200 for P95) takes 20 s, the hold is 15 s, so it will be extended"
    )


def test_a_hold_that_can_never_end_well_is_refused() -> None:
    _, findings = check(Plan.of(30, 30, 30), Load(requests_per_s=2, latency=lognormal(FINE)), POLICY)
    found = next(finding for finding in findings if finding.stage is Stage.WEIGHT_10)
    assert found.severity is Severity.REFUSE
    assert found.what == (
        "the minimum of 50 requests (200 for P95) takes 1,000 s, the hold is 30 s and the judge gives up at 330 s"
    )
    assert found.mend == "hold it for 1,000 s, lower the minimum, or send synthetic load"


def test_a_plan_that_is_blind_everywhere_is_refused() -> None:
    few = POLICY.model_copy(update={"min_requests": 1, "min_requests_latency": 1})
    _, findings = check(Plan.of(30, 30, 30), Load(requests_per_s=0.1, latency=lognormal(FINE)), few)
    assert (findings[0].severity, findings[0].stage) == (Severity.REFUSE, None)
    assert findings[0].what.startswith("no step can find an error rate of")
