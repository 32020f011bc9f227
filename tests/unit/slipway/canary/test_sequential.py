from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.canary import Counts
from slipway.canary.latency import Exceedance
from slipway.canary.sequential import NONE, log_e_rate, log_e_slower, log_e_versus, needed

LEVEL = 0.01
"""A level at which a few thousand runs can show a test that is not valid."""
RUNS = 2000


def integral(function: object, low: float, high: float, points: int = 200_000) -> float:
    """Integrate by the midpoint rule: slow and plain, to check closed forms against."""
    width = (high - low) / points
    assert callable(function)
    return math.fsum(function(low + (index + 0.5) * width) for index in range(points)) * width


def test_the_rate_test_is_the_mixture_it_says() -> None:
    limit, errors, requests = 0.05, 12, 100

    def density(rate: float) -> float:
        return 9 * (1 - rate) ** 8

    def ratio(rate: float) -> float:
        return math.exp(
            errors * math.log(rate / limit) + (requests - errors) * math.log((1 - rate) / (1 - limit))
        ) * density(rate)

    by_hand = integral(ratio, limit, 1) / integral(density, limit, 1)
    assert log_e_rate(errors, requests, limit) == pytest.approx(math.log(by_hand), abs=1e-5)


def test_the_test_against_stable_is_the_mean_of_three_mixtures() -> None:
    canary, stable = Counts(requests=100, errors=8), Counts(requests=900, errors=5)
    rho = 0.1

    def mixture(k: float) -> float:
        norm = math.gamma(k * rho) * math.gamma(k * (1 - rho)) / math.gamma(k)

        def ratio(share: float) -> float:
            density = share ** (k * rho - 1) * (1 - share) ** (k * (1 - rho) - 1) / norm
            return (share / rho) ** 8 * ((1 - share) / (1 - rho)) ** 5 * density

        return integral(ratio, 0, 1)

    by_hand = sum(mixture(k) for k in (1, 10, 100)) / 3
    assert log_e_versus(canary, stable) == pytest.approx(math.log(by_hand), abs=1e-3)


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        (Counts(requests=100, errors=0), Counts(requests=900, errors=90)),
        (Counts(requests=100, errors=10), Counts(requests=900, errors=90)),
        (Counts(requests=100, errors=50), Counts()),
        (Counts(), Counts(requests=900)),
    ],
    ids=["better", "equal", "no stable", "no canary"],
)
def test_only_a_canary_above_stable_has_something_against_it(canary: Counts, stable: Counts) -> None:
    assert log_e_versus(canary, stable) == NONE


def test_a_ratio_allows_that_many_times_the_rate() -> None:
    canary, stable = Counts(requests=10_000, errors=150), Counts(requests=90_000, errors=900)
    assert log_e_versus(canary, stable, 1.2) < log_e_versus(canary, stable, 1.0)
    assert log_e_versus(canary, stable, 1.0) > needed(2e-3)
    assert log_e_versus(canary, stable, 1.5) == NONE


def test_no_false_alarm_at_high_traffic() -> None:
    # Where `1 - betainc` leaves rounding noise, times a huge ratio: the alarm that was never there.
    for requests in (1e4, 1e5, 1e6, 1e8, 1e11):
        for rate in (0.0, 0.005, 0.03, 0.0499, 0.05):
            assert log_e_rate(requests * rate, requests, 0.05) < 0


def test_a_threshold_that_was_estimated_counts_for_less() -> None:
    certain = Exceedance(1000, 90, 0.1, 1e9, True)
    assert log_e_slower(certain, 0.05) == pytest.approx(log_e_rate(90, 1000, 0.05), abs=1e-3)
    estimated = Exceedance(1000, 90, 0.1, 1000, True)
    assert log_e_slower(estimated, 0.05) == pytest.approx(log_e_rate(45, 500, 0.05))
    assert log_e_slower(Exceedance(1000, 90, 0.1, 0, True), 0.05) == NONE


def events(source: random.Random, trials: int, rate: float) -> int:
    return sum(source.random() < rate for _ in range(trials))


def alarms(seed: int, canary_rate: float, stable_rate: float) -> tuple[float, float]:
    """Return how often each test ever said "worse" in 200 looks at one request each of canary and stable."""
    source = random.Random(seed)  # noqa: S311 - a simulation, and the same one each time
    versus = absolute = 0
    for _ in range(RUNS):
        canary_errors = stable_errors = 0
        by_versus = by_rate = False
        for look in range(1, 41):
            canary_errors += events(source, 5, canary_rate)
            stable_errors += events(source, 5, stable_rate)
            canary = Counts(requests=5 * look, errors=canary_errors)
            stable = Counts(requests=5 * look, errors=stable_errors)
            by_versus = by_versus or log_e_versus(canary, stable) >= needed(LEVEL)
            by_rate = by_rate or log_e_rate(canary_errors, 5 * look, 0.05) >= needed(LEVEL)
        versus += by_versus
        absolute += by_rate
    return versus / RUNS, absolute / RUNS


def test_looking_at_every_poll_keeps_the_level() -> None:
    # Rates on the very edge of "no worse", the worst case. 4 standard errors above 1 % is 1.9 %.
    versus, absolute = alarms(7, canary_rate=0.05, stable_rate=0.05)
    assert versus <= LEVEL + 4 * math.sqrt(LEVEL / RUNS)
    assert absolute <= LEVEL + 4 * math.sqrt(LEVEL / RUNS)


def test_a_bad_canary_is_found_in_the_same_simulation() -> None:
    versus, absolute = alarms(8, canary_rate=0.3, stable_rate=0.01)
    assert versus > 0.95
    assert absolute > 0.95


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1e12))
def test_any_counts_have_a_number_and_never_raise(first: float, second: float, third: float, fourth: float) -> None:
    canary, stable = Counts(requests=first, errors=second), Counts(requests=third, errors=fourth)
    for log_e in (log_e_versus(canary, stable), log_e_rate(second, first, 0.05)):
        assert log_e == NONE or math.isfinite(log_e)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 5000), st.integers(0, 100))
def test_more_errors_of_the_canary_never_speak_for_it(requests: int, errors: int, others: int, stable: int) -> None:
    few, more = (Counts(requests=requests + errors + 1, errors=errors + extra) for extra in (0, 1))
    other = Counts(requests=others, errors=min(stable, others))
    assert log_e_rate(more.errors, more.requests, 0.05) >= log_e_rate(few.errors, few.requests, 0.05)
    if log_e_versus(few, other) > 0:
        assert log_e_versus(more, other) >= log_e_versus(few, other) - 1e-9
