from __future__ import annotations

import math
import random

import pytest
from slipway.canary import Histogram, quantile
from slipway.canary.latency import Exceedance, Span, exceedance, is_narrow, quantile_span, slower_than

SIMPLE = Histogram(buckets=((0.1, 50), (0.2, 90), (0.4, 100)), count=100)
COARSE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
FINE = tuple(0.01 * 1.1**step for step in range(70))


def sampled(seed: int, count: int, scale: float, bounds: tuple[float, ...]) -> Histogram:
    values = random.Random(seed)  # noqa: S311 - data, not secrets
    drawn = sorted(scale * values.lognormvariate(math.log(0.08), 0.6) for _ in range(count))
    return Histogram.raised([*((bound, sum(value <= bound for value in drawn)) for bound in bounds), (math.inf, count)])


@pytest.mark.parametrize(
    ("q", "expected"),
    # By hand from Prometheus' rule: rank 95 is 5 of the 10 in (0.2, 0.4]; 50 ends the first bucket; 25 is half of it.
    [(0.95, 0.3), (0.5, 0.1), (0.25, 0.05), (0.9, 0.2), (1.0, 0.4)],
)
def test_interpolates_like_prometheus(q: float, expected: float) -> None:
    assert quantile(SIMPLE, q) == pytest.approx(expected)


def test_a_quantile_above_all_bounds_is_the_highest_one_and_open_above() -> None:
    above = Histogram(buckets=((0.1, 50),), count=100)
    assert quantile(above, 0.95) == 0.1
    assert quantile_span(above, 0.95) == Span(0.1, 0.1, math.inf)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(Histogram(buckets=((0.1, 0),), count=0), 0.95) is None
    assert quantile(Histogram(count=5), 0.95) is None


def test_counts_what_is_certainly_slower_and_what_may_be() -> None:
    assert slower_than(SIMPLE, 0.15) == Span(10, pytest.approx(30), 50)


def test_a_bound_is_a_sharp_threshold() -> None:
    found = slower_than(SIMPLE, 0.2)
    assert (found.low, found.estimate) == (10, 10)


def test_above_the_highest_bound_nothing_is_known() -> None:
    assert slower_than(Histogram(buckets=((0.1, 50),), count=100), 0.15) == Span(0, 0, 50)


def test_narrow_buckets_are_interpolated() -> None:
    found = exceedance(sampled(1, 2000, 2.0, FINE), sampled(2, 2000, 1.0, FINE), 1.5)
    assert found is not None
    assert found.interpolated
    # Exactly: P(2 X > 1.5 q) with X lognormal, sigma 0.6 and q its P95, is 12.2 %.
    assert found.slower / found.requests == pytest.approx(0.122, abs=0.02)


def test_coarse_buckets_speak_for_the_canary() -> None:
    for seed in range(20):
        found = exceedance(sampled(seed, 500, 1.0, COARSE), sampled(seed + 100, 500, 1.0, COARSE), 1.5)
        assert found is not None
        assert not found.interpolated
        assert found.slower / found.requests < 0.05


def test_no_baseline_no_count() -> None:
    assert exceedance(SIMPLE, Histogram(), 1.5) is None
    assert exceedance(SIMPLE, Histogram(buckets=((0.1, 5),), count=100), 1.5) is None
    assert isinstance(exceedance(SIMPLE, SIMPLE, 1.5), Exceedance)


@pytest.mark.parametrize(("value_s", "narrow"), [(0.005, False), (0.011, True), (99.0, False)])
def test_the_first_bucket_and_the_last_are_wide(value_s: float, narrow: bool) -> None:
    assert is_narrow(Histogram(buckets=tuple((bound, 1) for bound in FINE), count=1), value_s) is narrow
