"""A waived load: pods that were ready all the time stand for requests, and nothing else is forgiven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.canary import Counts, Evidence, Judgement, Observed, PodState, Policy, RouterCounts, Source, judge
from slipway.names import Rule, Verdict

from tests.unit.slipway.canary.conftest import after, durations, seen

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = Policy()
WAIVED = Policy(requests_waived=True)
HOLD_S = 60.0


def pod(**changes: Any) -> PodState:
    return PodState(**{"name": "pod-1", "ready": True, "ready_s": 600.0, **changes})


def quiet(*pods: PodState) -> Observed:
    """A version that nobody asks for anything."""
    return Observed(router=RouterCounts(), pods=pods)


@pytest.fixture
def at() -> Callable[..., Judgement]:
    """Judge a canary without a request, so many seconds into its hold of 60 s."""

    def look(elapsed_s: float, canary: Observed | None = None, **more: Any) -> Judgement:
        policy = more.pop("policy", WAIVED)
        found = after(elapsed_s, canary or quiet(pod()), quiet(pod()), **{"share": None, **more})
        return judge(found, policy, elapsed_s=elapsed_s)

    return look


def said(judgement: Judgement) -> tuple[Verdict, Rule | None]:
    return judgement.verdict, judgement.rule


def test_no_request_is_no_reason_to_go_back(at: Callable[..., Judgement]) -> None:
    assert said(at(360, policy=ASKED)) == (Verdict.FAIL, Rule.NOT_ENOUGH_DATA)
    assert said(at(59)) == (Verdict.HOLD, None)
    found = at(60)
    assert said(found) == (Verdict.PASS, None)
    assert found.reasons[0].endswith("; no requests are asked for, 1 of the canary's 1 pods are ready")


def test_a_first_install_is_judged_the_same_way(at: Callable[..., Judgement]) -> None:
    alone = {"alone": True, "weight": 100, "weight_set": None}
    assert at(60, **alone).verdict is Verdict.PASS
    assert said(at(60, quiet(), **alone)) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


def test_a_pod_that_was_not_ready_for_a_moment_makes_the_hold_longer(at: Callable[..., Judgement]) -> None:
    found = at(60, quiet(pod(), pod(ready_s=12)))
    assert said(found) == (Verdict.HOLD, Rule.CANARY_UNAVAILABLE)
    assert found.reasons[0].startswith(
        "no requests are asked for, so its pods have to be ready for 60 s without a break: 1 of the canary's 2 "
        "have been for 12 s"
    )
    assert at(108, quiet(pod(), pod(ready_s=60))).verdict is Verdict.PASS


def test_pods_that_never_stay_ready_end_it(at: Callable[..., Judgement]) -> None:
    assert said(at(360, quiet(pod(ready_s=12)))) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


def test_a_pod_that_is_as_old_as_the_window_is_no_news(at: Callable[..., Judgement]) -> None:
    assert said(at(5, quiet(pod(ready_s=6)))) == (Verdict.HOLD, None)


@pytest.mark.parametrize(
    ("canary", "rule"),
    [
        (quiet(), Rule.CANARY_UNAVAILABLE),
        (quiet(pod(ready=False, ready_s=0)), Rule.CANARY_UNAVAILABLE),
        (quiet(pod(), pod(ready=False, ready_s=0, unready_s=61)), Rule.CANARY_UNAVAILABLE),
        (quiet(pod(restarts=1)), Rule.POD_RESTARTS),
        (seen(10, 6, pods=(pod(),)), Rule.GROSS_FAILURE),
        (seen(40, 16, pods=(pod(),)), Rule.ERROR_RATE),
        (seen(0, 0, lost=40, pods=(pod(),)), Rule.GROSS_FAILURE),
    ],
)
def test_what_is_bad_is_bad(at: Callable[..., Judgement], canary: Observed, rule: Rule) -> None:
    assert said(at(10, canary)) == (Verdict.FAIL, rule)


def test_slow_requests_are_slow_requests(at: Callable[..., Judgement]) -> None:
    slow = seen(300, latency=durations(300, slow=0.2), pods=(pod(),))
    found = after(30, slow, seen(2700))
    assert said(judge(found, WAIVED, elapsed_s=30)) == (Verdict.FAIL, Rule.LATENCY_P95)


def test_a_handful_of_requests_is_enough_for_a_doubt(at: Callable[..., Judgement]) -> None:
    """Two failures of ten are no proof, and more requests may never come: nobody would see the rate otherwise."""
    assert said(at(60, seen(9, 2, pods=(pod(),)))) == (Verdict.PASS, None)
    assert said(at(60, seen(10, 2, pods=(pod(),)))) == (Verdict.HOLD, Rule.ERROR_RATE)
    assert said(at(360, seen(10, 2, pods=(pod(),)))) == (Verdict.FAIL, Rule.ERROR_RATE)


@pytest.mark.parametrize("source", list(Source))
def test_a_waiver_is_not_for_the_eyes(at: Callable[..., Judgement], source: Source) -> None:
    answered = tuple(other for other in Source if other is not source)
    assert said(at(60, answered=answered, silent_s=1)) == (Verdict.HOLD, Rule.NO_METRICS)
    assert said(at(400, answered=answered, silent_s=300)) == (Verdict.FAIL, Rule.NO_METRICS)


def test_pods_that_nobody_reads_are_no_proof(at: Callable[..., Judgement]) -> None:
    assert said(at(60, sample_age_s=None)) == (Verdict.HOLD, Rule.NO_METRICS)
    assert said(at(360, sample_age_s=None)) == (Verdict.FAIL, Rule.NO_METRICS)


def test_a_load_that_does_not_get_through_is_named_where_data_are_missing(at: Callable[..., Judgement]) -> None:
    trouble = "slipway's own load does not get through: ConnectError"
    for verdict, elapsed_s in ((Verdict.HOLD, 60), (Verdict.FAIL, 360)):
        found = at(elapsed_s, policy=ASKED, load_trouble=trouble)
        assert said(found) == (verdict, Rule.NOT_ENOUGH_DATA)
        assert found.reasons[0].startswith(f"the canary has had 0 requests of the 50 that a verdict needs; {trouble}; ")


def test_the_senders_trouble_alone_says_nothing_of_the_canary() -> None:
    healthy = after(60, seen(600, 3, pods=(pod(),)), seen(5400, 27), load_trouble="no answer at all")
    assert said(judge(healthy, ASKED, elapsed_s=60)) == (Verdict.PASS, None)


# Whatever the numbers

AMOUNTS = st.integers(0, 500)
PODS = st.lists(
    st.builds(
        PodState, name=st.just("pod"), ready=st.booleans(), ready_s=st.floats(0, 900), unready_s=st.floats(0, 900),
        restarts=st.integers(0, 1), oom=st.booleans(),
    ),
    max_size=3,
).map(tuple)  # fmt: skip


@st.composite
def found(draw: st.DrawFn) -> Evidence:
    def side() -> Observed:
        requests = draw(AMOUNTS)
        counts = Counts(requests=requests, errors=draw(st.integers(0, requests)))
        latency = durations(requests, slow=draw(st.sampled_from((0.0, 0.04, 0.3)))) if draw(st.booleans()) else None
        return Observed(counts=counts, latency=latency, pods=draw(PODS))

    return after(
        1, side(), side(), weight=draw(st.integers(1, 100)), share=draw(st.none() | st.floats(0, 1)),
        answered=tuple(draw(st.sets(st.sampled_from(Source), min_size=2))), silent_s=draw(st.floats(0, 400)),
        sample_age_s=draw(st.none() | st.floats(0, 400)),
    )  # fmt: skip


@given(found(), st.floats(0, 900))
def test_a_pass_needs_pods_that_were_well_for_the_whole_hold(evidence: Evidence, elapsed_s: float) -> None:
    judgement = judge(evidence, WAIVED, elapsed_s=elapsed_s)
    if judgement.verdict is Verdict.PASS:
        assert elapsed_s >= HOLD_S
        assert evidence.canary.pods
        for one in evidence.canary.pods:
            assert (one.ready, one.restarts, one.oom) == (True, 0, False)
            assert one.ready_s >= HOLD_S
        assert set(evidence.answered) == set(Source)
        assert evidence.sample_age_s is not None
        if evidence.canary.total.trials >= WAIVED.gross_min_requests:
            assert (evidence.canary.total.rate or 0) <= WAIVED.max_error_rate


@given(found(), st.floats(0, 900))
def test_nothing_but_missing_requests_is_forgiven(evidence: Evidence, elapsed_s: float) -> None:
    asked, waived = (judge(evidence, policy, elapsed_s=elapsed_s) for policy in (ASKED, WAIVED))
    assert waived.rule is not Rule.NOT_ENOUGH_DATA
    if asked.verdict is Verdict.FAIL and asked.rule is not Rule.NOT_ENOUGH_DATA:
        assert waived.verdict is Verdict.FAIL
    if waived.verdict is Verdict.PASS:
        assert asked.verdict is Verdict.PASS or asked.rule is Rule.NOT_ENOUGH_DATA
