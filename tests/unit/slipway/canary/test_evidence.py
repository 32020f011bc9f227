from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from slipway.canary import (
    Counts,
    Evidence,
    Histogram,
    Judgement,
    Observed,
    PodState,
    Policy,
    Recent,
    RouterCounts,
    Source,
    observed_share,
    window_s,
)
from slipway.names import Rule, Verdict

AMOUNTS = st.floats(0, 1e12)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
HISTOGRAMS = st.builds(
    lambda bounds, counted: Histogram.raised(zip(sorted(bounds), counted, strict=False)),
    st.sets(st.floats(allow_nan=False, allow_infinity=False), max_size=8),
    st.lists(AMOUNTS, min_size=8, max_size=8),
)
PODS = st.builds(
    PodState, name=st.text(), ready=st.booleans(), unready_s=AMOUNTS, restarts=st.integers(0, 9), oom=st.booleans(),
    reason=st.text(),
)  # fmt: skip
COUNTS = st.builds(Counts, requests=AMOUNTS, errors=AMOUNTS)
OBSERVED = st.builds(
    Observed,
    counts=COUNTS,
    latency=st.none() | HISTOGRAMS,
    router=st.none() | st.builds(RouterCounts, requests=AMOUNTS, errors=AMOUNTS),
    pods=st.lists(PODS, max_size=3).map(tuple),
)
SOURCES = st.lists(st.sampled_from(Source), unique=True).map(tuple)
EVIDENCE = st.builds(
    Evidence,
    start=MOMENTS,
    now=MOMENTS.map(lambda moment: moment + timedelta(days=400)),
    hold_s=AMOUNTS,
    canary=OBSERVED,
    stable=OBSERVED,
    weight=st.integers(0, 100),
    weight_set=st.none() | st.integers(0, 100),
    share=st.none() | st.floats(0, 1),
    sample_age_s=st.none() | AMOUNTS,
    asked=SOURCES,
    answered=SOURCES,
    silent_s=AMOUNTS,
    recent=st.none() | st.builds(Recent, start=MOMENTS, canary=OBSERVED, stable=OBSERVED),
    reference=st.none() | OBSERVED,
)


@given(EVIDENCE)
def test_evidence_survives_json(evidence: Evidence) -> None:
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_judgement_survives_json() -> None:
    judgement = Judgement(verdict=Verdict.FAIL, rule=Rule.ERROR_RATE, reasons=("so",), numbers={"canary_errors": 3.0})
    assert Judgement.from_json(judgement.to_json()) == judgement


def test_a_key_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Counts.model_validate({"requests": 1, "error": 1})


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_count_is_a_count(value: float) -> None:
    with pytest.raises(ValidationError):
        Counts(requests=value)


def test_no_requests_have_no_rate() -> None:
    assert Counts().rate is None


def test_more_errors_than_requests_are_a_rate_of_one() -> None:
    # The two series may come from different scrapes.
    assert Counts(requests=3, errors=5).rate == 1


def test_requests_that_reached_no_pod_are_errors_of_the_version() -> None:
    side = Observed(counts=Counts(requests=90, errors=1), router=RouterCounts(requests=100, errors=10))
    assert side.total == Counts(requests=100, errors=11)


def test_the_share_is_what_the_router_sent() -> None:
    assert observed_share(RouterCounts(requests=10), RouterCounts(requests=90)) == 0.1
    assert observed_share(RouterCounts(), RouterCounts()) is None


def test_a_window_has_seconds() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert window_s(start, start + timedelta(seconds=61)) == 61
    assert window_s(start, start - timedelta(seconds=0.1)) == 0  # another machine's clock


def test_gross_failure_is_more_than_the_limit() -> None:
    with pytest.raises(ValidationError, match=r"gross_error_rate \(0.05\) must be above max_error_rate \(0.2\)"):
        Policy(max_error_rate=0.2, gross_error_rate=0.05)


@pytest.mark.parametrize(("elapsed_s", "begins_s"), [(0, None), (119, None), (121, 60), (179, 60), (181, 120)])
def test_the_end_of_a_window_is_between_one_and_two_restarts_long(elapsed_s: float, begins_s: float | None) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    begins = Policy(restart_s=60).recent_start(start, start + timedelta(seconds=elapsed_s))
    assert begins == (None if begins_s is None else start + timedelta(seconds=begins_s))


@pytest.mark.parametrize("hold_s", [0, 30, 60, 61, 600, 7200])
def test_all_levels_together_are_alpha(hold_s: float) -> None:
    policy = Policy(alpha=1e-3, restart_s=60)
    stretches = policy.restarts_in(hold_s)
    spent = policy.level(hold_s, recent=False) + stretches * policy.level(hold_s, recent=True) * bool(stretches)
    assert 3 * spent == pytest.approx(1e-3)


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, slipway.canary, slipway.canary.plan, slipway.canary.power; "
        "print(sorted({'numpy', 'scipy', 'airflow', 'httpx', 'kubernetes', 'psycopg', 'lightkube'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
