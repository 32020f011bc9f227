from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.canary import (
    Counts,
    Evidence,
    Histogram,
    Judgement,
    Observed,
    PodState,
    Policy,
    Recent,
    Source,
    judge,
    judge_tasks,
)
from slipway.canary.evidence import Abort
from slipway.names import AbortedBy, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = Policy()
Side = tuple[float, float] | Observed
WITHOUT = tuple(source for source in Source if source is not Source.METRICS)


def said(judgement: Judgement) -> tuple[Verdict, Rule | None]:
    return judgement.verdict, judgement.rule


@pytest.fixture
def at(evidence: Callable[..., Evidence], observed: Callable[..., Observed]) -> Callable[..., Judgement]:
    """Judge a canary so many seconds into its hold of 60 s; a version is (requests, errors) or all of it."""

    def look(elapsed_s: float, canary: Side = (600, 3), stable: Side = (5400, 27), **more: Any) -> Judgement:
        sides = (side if isinstance(side, Observed) else observed(*side) for side in (canary, stable))
        return judge(evidence(elapsed_s, *sides, **more), POLICY, elapsed_s=elapsed_s)

    return look


# What everything is for


def test_passes_a_healthy_canary_when_its_hold_is_over(at: Callable[..., Judgement]) -> None:
    found = at(60)
    assert said(found) == (Verdict.PASS, None)
    assert found.reasons == (
        "nothing found against the canary in 60 s: error rate 0.5 % (3 of 600 requests), stable 0.5 % (27 of 5,400); "
        "P95 50.3 ms, stable 50.3 ms",
    )


def test_holds_a_healthy_canary_until_then(at: Callable[..., Judgement]) -> None:
    found = at(59.9)
    assert said(found) == (Verdict.HOLD, None)
    assert found.reasons[0].startswith("watching until second 60; so far error rate 0.5 %")


def test_takes_back_a_canary_above_the_users_limit(at: Callable[..., Judgement]) -> None:
    found = at(5, (192, 38), (1730, 0))
    assert said(found) == (Verdict.FAIL, Rule.ERROR_RATE)
    assert found.reasons == ("error rate 19.8 % (38 of 192 requests), stable 0.0 % (0 of 1,730); limit 5.0 %",)
    assert found.numbers["canary_error_rate"] == pytest.approx(38 / 192)
    assert found.numbers["evidence_versus_stable_log10"] > found.numbers["evidence_needed_log10"]


def test_takes_back_a_canary_that_is_worse_below_the_limit(at: Callable[..., Judgement]) -> None:
    found = at(20, (2000, 40), (18000, 90))
    assert said(found) == (Verdict.FAIL, Rule.ERROR_RATE_VS_STABLE)
    assert found.reasons == (
        "error rate 2.0 % (40 of 2,000 requests), stable 0.5 % (90 of 18,000): so much worse than stable comes by "
        "chance less often than once in 3,000 releases",
    )


def test_a_handful_is_enough_for_a_gross_failure(at: Callable[..., Judgement]) -> None:
    found = at(2, (10, 6), (10, 0))
    assert said(found) == (Verdict.FAIL, Rule.GROSS_FAILURE)
    assert found.reasons[0].endswith("limit for gross failure 50.0 %")


def test_nine_requests_are_no_handful(at: Callable[..., Judgement]) -> None:
    assert at(2, (9, 5), (9, 0)).verdict is Verdict.HOLD


def test_one_error_in_ten_requests_takes_nobody_back(at: Callable[..., Judgement]) -> None:
    # 10 % > 5 %: what a plain rule on a thin canary falls for.
    assert at(20, (10, 1), (90, 0)).verdict is Verdict.HOLD


def test_requests_that_reached_no_pod_count(at: Callable[..., Judgement], observed: Callable[..., Observed]) -> None:
    assert said(at(10, canary=observed(150, 0, lost=40))) == (Verdict.FAIL, Rule.ERROR_RATE)


def test_few_requests_are_enough_when_they_prove_it(at: Callable[..., Judgement]) -> None:
    assert said(at(3, (30, 7), (270, 1))) == (Verdict.FAIL, Rule.ERROR_RATE)


# Both are bad


def test_an_outage_of_a_dependency_is_not_the_canarys_fault(at: Callable[..., Judgement]) -> None:
    found = at(30, (300, 60), (2700, 540))
    assert said(found) == (Verdict.HOLD, Rule.ERROR_RATE)
    assert "both are bad, so it is not the canary alone; waiting until second 360 at most" in found.reasons[0]


def test_an_outage_that_does_not_end_takes_the_canary_back(at: Callable[..., Judgement]) -> None:
    found = at(360, (300, 60), (2700, 540))
    assert said(found) == (Verdict.FAIL, Rule.ERROR_RATE)
    assert found.reasons[0].endswith("not cleared up within 360 s, so the canary goes back: the safe end")


def test_a_total_outage_is_no_gross_failure_of_the_canary(at: Callable[..., Judgement]) -> None:
    assert said(at(5, (50, 50), (450, 450))) == (Verdict.HOLD, Rule.GROSS_FAILURE)


def test_a_canary_far_worse_than_a_bad_stable_goes_back(at: Callable[..., Judgement]) -> None:
    assert said(at(30, (300, 120), (2700, 270))) == (Verdict.FAIL, Rule.ERROR_RATE)


# Latency


def test_takes_back_a_slow_canary(at: Callable[..., Judgement], observed: Callable[..., Observed],
                                  histogram: Callable[..., Histogram]) -> None:  # fmt: skip
    found = at(30, canary=observed(300, latency=histogram(300, slow=0.2)))
    assert said(found) == (Verdict.FAIL, Rule.LATENCY_P95)
    assert found.reasons[0].startswith(
        "20.0 % of the canary's 300 requests are slower than 75.4 ms, 1.5 x stable's P95"
    )


def test_slow_as_stable_is_not_slow(at: Callable[..., Judgement], observed: Callable[..., Observed],
                                    histogram: Callable[..., Histogram]) -> None:  # fmt: skip
    slow = histogram(600, slow=0.2), histogram(5400, slow=0.2)
    assert at(60, canary=observed(600, latency=slow[0]), stable=observed(5400, latency=slow[1])).verdict is Verdict.PASS


def test_a_p95_above_the_limit_by_chance_is_watched_on(at: Callable[..., Judgement], observed: Callable[..., Observed],
                                                       histogram: Callable[..., Histogram]) -> None:  # fmt: skip
    sides = {"canary": observed(250, latency=histogram(250, slow=0.06)), "stable": observed(2250)}
    found = at(60, **sides)
    assert said(found) == (Verdict.HOLD, Rule.LATENCY_P95)
    assert "x stable's 50.3 ms; limit 1.5 x, but this may still be chance" in found.reasons[0]
    assert said(at(360, **sides)) == (Verdict.FAIL, Rule.LATENCY_P95)


def test_p95_of_few_requests_is_no_p95(at: Callable[..., Judgement]) -> None:
    found = at(60, (199, 0), (1800, 0))
    assert said(found) == (Verdict.HOLD, Rule.NOT_ENOUGH_DATA)
    assert found.reasons[0].startswith("durations are known of 199 canary and 1,800 stable requests; P95 needs 200 of")


def test_at_full_weight_the_reference_is_the_measure(
    at: Callable[..., Judgement], observed: Callable[..., Observed], histogram: Callable[..., Histogram]
) -> None:
    full = {"weight": 100, "weight_set": 100, "share": 1.0, "stable": observed(0)}
    assert said(at(60, **full)) == (Verdict.HOLD, Rule.NOT_ENOUGH_DATA)
    assert at(60, **full, reference=observed(3000)).verdict is Verdict.PASS
    slow = at(60, **full, reference=observed(3000), canary=observed(3000, latency=histogram(3000, slow=0.2)))
    assert said(slow) == (Verdict.FAIL, Rule.LATENCY_P95)
    assert "stable's before this step 50.3 ms" in slow.reasons[0]


def test_at_full_weight_the_absolute_rule_decides_alone(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    found = at(30, (600, 120), weight=100, weight_set=100, share=1.0, stable=observed(0))
    assert said(found) == (Verdict.FAIL, Rule.ERROR_RATE)
    assert found.reasons[0] == (
        "error rate 20.0 % (120 of 600 requests), stable has no requests to compare with; limit 5.0 %"
    )


def test_a_first_install_needs_no_stable_version(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    first = {"weight": 100, "weight_set": 100, "share": None, "stable": Observed(), "alone": True}
    assert at(60, **first).verdict is Verdict.PASS
    assert said(at(30, (600, 120), **first)) == (Verdict.FAIL, Rule.ERROR_RATE)
    assert said(at(60, (49, 0), **first)) == (Verdict.HOLD, Rule.NOT_ENOUGH_DATA)


@pytest.mark.parametrize(
    ("floor_s", "slow_s", "expected"),
    [
        (0.0, 0.1, (Verdict.FAIL, Rule.LATENCY_P95)),
        (0.2, 0.1, (Verdict.PASS, None)),
        (0.2, 0.5, (Verdict.FAIL, Rule.LATENCY_P95)),
    ],
)
def test_below_the_floor_nothing_is_slow(
    evidence: Callable[..., Evidence],
    observed: Callable[..., Observed],
    histogram: Callable[..., Histogram],
    floor_s: float,
    slow_s: float,
    expected: tuple[Verdict, Rule | None],
) -> None:
    policy = POLICY.model_copy(update={"latency_floor_s": floor_s})
    slow = observed(600, latency=histogram(600, slow=0.3, slow_s=slow_s))
    found = judge(evidence(60, slow, observed(5400)), policy, elapsed_s=60)
    assert said(found) == expected
    assert ("below which nothing counts as slow" in found.reasons[0]) is (floor_s == 0.2 and slow_s == 0.5)


# Pods


def pod(**changes: Any) -> PodState:
    return PodState(**{"name": "pod", "ready": True, **changes})


def test_a_canary_without_a_ready_pod_is_down(at: Callable[..., Judgement], observed: Callable[..., Observed]) -> None:
    found = at(5, canary=observed(50, pods=(pod(ready=False, reason="CrashLoopBackOff"),)))
    assert said(found) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)
    assert found.reasons[0] == "none of the canary's 1 pods is ready (CrashLoopBackOff)"


def test_a_canary_without_any_pod_is_down(at: Callable[..., Judgement], observed: Callable[..., Observed]) -> None:
    assert said(at(5, canary=observed(50, pods=()))) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


def test_argo_taking_the_canary_out_is_a_failure(at: Callable[..., Judgement]) -> None:
    found = at(5, weight_set=0)
    assert said(found) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)
    assert found.reasons[0] == (
        "Argo Rollouts has set the canary's weight to 0 instead of 10 %: it has no available pod"
    )


SWITCH = Abort(by=AbortedBy.DEAD_MAN_SWITCH, why='Metric "unattended" assessed Failed')
PATCH = Abort(by=AbortedBy.ARGO, why="RolloutAborted: Rollout aborted update to revision 2")


def test_the_dead_man_s_switch_is_named_whatever_else_is_wrong(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    found = at(5, canary=observed(500, 400, pods=()), weight_set=0, abort=SWITCH)
    assert said(found) == (Verdict.FAIL, Rule.TAKEN_BACK)
    assert found.reasons[0] == (
        'the dead-man\'s switch in the cluster took the canary back: Metric "unattended" assessed Failed'
    )
    assert "limit for gross failure" in found.reasons[1]


def test_an_abort_by_somebody_else_is_not_taken_for_a_fault_of_the_pods(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    found = at(5, canary=observed(50, pods=()), weight_set=0, abort=PATCH)
    assert said(found) == (Verdict.FAIL, Rule.TAKEN_BACK)
    assert found.reasons == (PATCH.said,)
    assert "RolloutAborted: Rollout aborted update to revision 2" in PATCH.said


def test_an_abort_that_was_not_recorded_is_still_for_the_fault_behind_it(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    """A watch that was killed after its abort finds the same fault when it goes on."""
    found = at(5, canary=observed(500, 400), weight_set=0, abort=PATCH)
    assert said(found) == (Verdict.FAIL, Rule.GROSS_FAILURE)


def test_when_no_pod_at_all_is_ready_it_is_the_cluster(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    down = {"canary": observed(50, pods=(pod(ready=False),)), "stable": observed(450, pods=(pod(ready=False),))}
    assert said(at(5, **down)) == (Verdict.HOLD, Rule.CANARY_UNAVAILABLE)


@pytest.mark.parametrize(("unready_s", "verdict"), [(59, Verdict.HOLD), (60, Verdict.FAIL)])
def test_a_part_of_the_pods_may_be_unready_for_a_while(
    at: Callable[..., Judgement], observed: Callable[..., Observed], unready_s: float, verdict: Verdict
) -> None:
    found = at(61, canary=observed(600, pods=(pod(), pod(ready=False, unready_s=unready_s))))
    assert said(found) == (verdict, Rule.CANARY_UNAVAILABLE)


@pytest.mark.parametrize("changes", [{"restarts": 1}, {"oom": True, "reason": "OOMKilled"}])
def test_a_canary_pod_that_died_is_a_failure(
    at: Callable[..., Judgement], observed: Callable[..., Observed], changes: dict[str, Any]
) -> None:
    assert said(at(5, canary=observed(50, pods=(pod(**changes),)))) == (Verdict.FAIL, Rule.POD_RESTARTS)


def test_when_stable_pods_died_too_it_is_a_node(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    both = {"canary": observed(50, pods=(pod(restarts=1),)), "stable": observed(450, pods=(pod(restarts=1),))}
    assert said(at(5, **both)) == (Verdict.HOLD, Rule.POD_RESTARTS)


def test_a_canary_of_which_more_pods_died_than_of_stable_goes_back(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    both = {"canary": observed(50, pods=(pod(restarts=1),)), "stable": observed(450, pods=(pod(restarts=1), pod()))}
    assert said(at(5, **both)) == (Verdict.FAIL, Rule.POD_RESTARTS)


# What is not known


def test_a_silent_prometheus_is_not_a_bad_canary(at: Callable[..., Judgement]) -> None:
    found = at(90, answered=WITHOUT, silent_s=70, sample_age_s=70)
    assert said(found) == (Verdict.HOLD, Rule.NO_METRICS)
    assert found.reasons[0] == (
        "Prometheus (the pods' series) gave no answer for 70 s; this says nothing about the canary; holding for 300 s "
        "of silence at most"
    )


def test_a_prometheus_that_stays_silent_ends_it_without_blame(at: Callable[..., Judgement]) -> None:
    found = at(400, answered=WITHOUT, silent_s=300, sample_age_s=300)
    assert said(found) == (Verdict.FAIL, Rule.NO_METRICS)
    assert found.reasons[0].endswith(
        "this says nothing about the canary, but nobody has seen it for 300 s, so it goes back: the safe end"
    )


def test_a_dead_canary_is_found_without_prometheus(
    at: Callable[..., Judgement], observed: Callable[..., Observed]
) -> None:
    found = at(5, answered=WITHOUT, silent_s=20, canary=observed(0, pods=(pod(ready=False),)))
    assert said(found) == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


@pytest.mark.parametrize("source", list(Source))
def test_no_pass_while_a_source_is_silent(at: Callable[..., Judgement], source: Source) -> None:
    answered = tuple(other for other in Source if other is not source)
    assert said(at(60, answered=answered, silent_s=1)) == (Verdict.HOLD, Rule.NO_METRICS)


def test_a_source_that_is_not_needed_may_be_silent(at: Callable[..., Judgement]) -> None:
    answered = (Source.METRICS, Source.PODS)
    assert at(60, asked=answered, answered=answered).verdict is Verdict.PASS


def test_old_samples_are_no_samples(at: Callable[..., Judgement]) -> None:
    found = at(60, sample_age_s=31)
    assert said(found) == (Verdict.HOLD, Rule.NO_METRICS)
    assert found.reasons[0].startswith("the canary's newest sample is 31 s old; this says nothing about the canary")


def test_too_few_requests_are_waited_for_and_then_it_goes_back(at: Callable[..., Judgement]) -> None:
    assert said(at(60, (49, 0))) == (Verdict.HOLD, Rule.NOT_ENOUGH_DATA)
    found = at(360, (49, 0))
    assert said(found) == (Verdict.FAIL, Rule.NOT_ENOUGH_DATA)
    assert found.reasons[0].startswith("the canary has had 49 requests of the 50 that a verdict needs; not cleared up")


def test_a_rate_above_the_limit_by_chance_is_watched_on(at: Callable[..., Judgement]) -> None:
    assert said(at(60, (200, 11), (1800, 40))) == (Verdict.HOLD, Rule.ERROR_RATE)
    assert said(at(360, (200, 11), (1800, 40))) == (Verdict.FAIL, Rule.ERROR_RATE)


# Traffic share


def test_a_router_that_does_not_follow_is_waited_for_and_then_it_goes_back(at: Callable[..., Judgement]) -> None:
    assert said(at(59, share=0.5)) == (Verdict.HOLD, Rule.TRAFFIC_SHARE)
    found = at(60, share=0.5)
    assert said(found) == (Verdict.FAIL, Rule.TRAFFIC_SHARE)
    assert found.reasons[0].startswith(
        "the canary gets 50.0 % of 6,000 requests instead of 10 % (tolerance 6.5 %): the"
    )


@pytest.mark.parametrize("share", [None, 0.05, 0.1, 0.15])
def test_a_share_within_chance_is_fine(at: Callable[..., Judgement], share: float | None) -> None:
    assert at(60, share=share).verdict is Verdict.PASS


# The end of a long window


def test_a_fault_that_begins_late_is_not_diluted(
    evidence: Callable[..., Evidence], observed: Callable[..., Observed]
) -> None:
    hour, full = 3600, {"weight": 100, "weight_set": 100, "share": 1.0, "hold_s": 7200, "reference": observed(9000)}
    long = evidence(hour, observed(360_000, 3000), observed(0), **full)
    assert judge(long, POLICY, elapsed_s=hour).verdict is Verdict.HOLD
    start = POLICY.recent_start(long.start, long.now)
    assert start is not None
    recent = Recent(start=start, canary=observed(6000, 1200), stable=observed(0))
    found = judge(long.model_copy(update={"recent": recent}), POLICY, elapsed_s=hour)
    assert said(found) == (Verdict.FAIL, Rule.ERROR_RATE)
    assert found.reasons[0].startswith(f"since {start:%H:%M:%S}: error rate 20.0 % (1,200 of 6,000 requests)")


# Followers


@pytest.mark.parametrize(
    ("canary", "stable", "elapsed_s", "expected"),
    [
        ((20, 0), (0, 0), 30, (Verdict.PASS, None)),
        ((20, 0), (0, 0), 29, (Verdict.HOLD, None)),
        ((19, 0), (0, 0), 30, (Verdict.HOLD, Rule.NOT_ENOUGH_DATA)),
        ((19, 0), (0, 0), 330, (Verdict.FAIL, Rule.NOT_ENOUGH_DATA)),
        ((10, 10), (0, 0), 1, (Verdict.FAIL, Rule.FOLLOWER_TASKS)),
        ((20, 2), (80, 0), 30, (Verdict.HOLD, Rule.FOLLOWER_TASKS)),
        ((20, 2), (80, 0), 330, (Verdict.FAIL, Rule.FOLLOWER_TASKS)),
        ((40, 40), (160, 160), 30, (Verdict.HOLD, Rule.FOLLOWER_TASKS)),
        ((1000, 45), (9000, 90), 30, (Verdict.FAIL, Rule.FOLLOWER_TASKS)),
    ],
)
def test_a_follower_is_judged_by_its_tasks(
    canary: tuple[float, float],
    stable: tuple[float, float],
    elapsed_s: float,
    expected: tuple[Verdict, Rule | None],
) -> None:
    new, old = (Counts(requests=side[0], errors=side[1]) for side in (canary, stable))
    assert said(judge_tasks(new, old, POLICY, elapsed_s=elapsed_s, hold_s=30)) == expected


def test_the_tasks_are_in_the_reason() -> None:
    found = judge_tasks(Counts(requests=10, errors=9), Counts(requests=40, errors=0), POLICY)
    assert found.reasons == (
        "failed tasks: new version 90.0 % (9 of 10 tasks), stable 0.0 % (0 of 40 tasks); limit 5.0 %",
    )


# Whatever the numbers

AMOUNTS = st.integers(0, 3000) | st.floats(0, 1e12)
ANY = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def sides(draw: st.DrawFn) -> Observed:
    counts = Counts(requests=draw(AMOUNTS), errors=draw(AMOUNTS))
    bounds = sorted(draw(st.sets(st.floats(allow_nan=False, allow_infinity=False), max_size=6)))
    buckets = Histogram.raised((bound, draw(AMOUNTS)) for bound in [*bounds, math.inf])
    ready = tuple(PodState(name="pod", ready=draw(st.booleans()), restarts=draw(st.integers(0, 1))) for _ in range(2))
    return Observed(counts=counts, latency=draw(st.none() | st.just(buckets)), pods=ready)


@given(sides(), sides(), ANY, st.integers(0, 100), st.none() | st.floats(0, 1), st.sets(st.sampled_from(Source)))
def test_any_evidence_has_a_judgement_that_can_be_written_down(
    canary: Observed, stable: Observed, elapsed_s: float, weight: int, share: float | None, answered: set[Source]
) -> None:
    from tests.unit.slipway.canary.conftest import after

    found = after(1, canary, stable, weight=weight, share=share, answered=tuple(answered), reference=stable)
    recent = Recent(start=found.start, canary=canary, stable=stable)
    for item in (found, found.model_copy(update={"recent": recent, "hold_s": 7200.0})):
        judgement = judge(item, POLICY, elapsed_s=elapsed_s)
        assert Judgement.from_json(judgement.to_json()) == judgement
        if judgement.verdict is Verdict.PASS:
            assert canary.total.trials >= POLICY.min_requests
            assert (canary.total.rate or 0) <= POLICY.max_error_rate
            assert set(answered) == set(Source)
            assert elapsed_s >= item.hold_s


@given(st.integers(0, 400), st.integers(0, 200), st.integers(0, 4000), st.integers(0, 400), st.floats(0, 500))
def test_more_errors_of_the_canary_never_turn_a_fail_into_anything_else(
    requests: int, errors: int, others: int, stable: int, elapsed_s: float
) -> None:
    from tests.unit.slipway.canary.conftest import after, seen

    few, more = (
        judge(
            after(elapsed_s, seen(requests + errors + 40, errors + extra), seen(others, min(stable, others))),
            POLICY,
            elapsed_s=elapsed_s,
        )
        for extra in (0, 40)
    )
    if few.verdict is Verdict.FAIL:
        assert more.verdict is Verdict.FAIL
    if more.verdict is Verdict.PASS:
        assert few.verdict is not Verdict.FAIL


@given(st.floats(0, 1e6), st.integers(0, 1_000_000))
def test_no_request_no_pass(elapsed_s: float, others: int) -> None:
    from tests.unit.slipway.canary.conftest import after, seen

    assert judge(after(0, seen(0), seen(others)), POLICY, elapsed_s=elapsed_s).verdict is not Verdict.PASS


def test_the_same_evidence_gets_the_same_judgement_after_json(
    evidence: Callable[..., Evidence], observed: Callable[..., Observed]
) -> None:
    item = evidence(20, observed(192, 38), observed(1730))
    assert judge(Evidence.from_json(item.to_json()), POLICY, elapsed_s=20) == judge(item, POLICY, elapsed_s=20)


def test_the_order_of_pods_does_not_matter(at: Callable[..., Judgement], observed: Callable[..., Observed]) -> None:
    pods = tuple(pod(name=str(index), ready=index > 1, unready_s=index, reason=str(index)) for index in range(4))
    assert at(5, canary=observed(50, pods=pods)) == at(5, canary=observed(50, pods=pods[::-1]))


def test_a_verdict_takes_no_time(evidence: Callable[..., Evidence], observed: Callable[..., Observed]) -> None:
    item = evidence(20, observed(1000, 3), observed(9000, 30))
    judge(item, POLICY, elapsed_s=20)  # imports scipy
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        judge(item, POLICY, elapsed_s=20)
        times.append(time.perf_counter() - begun)
    assert sorted(times)[25] < 0.002


def test_the_longest_wait_is_that_of_the_policy(
    evidence: Callable[..., Evidence], observed: Callable[..., Observed]
) -> None:
    patient = POLICY.model_copy(update={"no_data_deadline_s": 900.0})
    item = evidence(60, observed(5), observed(45))
    assert judge(item, patient, elapsed_s=959).verdict is Verdict.HOLD
    assert judge(item, patient, elapsed_s=960).verdict is Verdict.FAIL
