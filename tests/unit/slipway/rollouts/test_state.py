"""A Rollout's status is read for what it means, whatever part of it is missing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from slipway.rollouts.state import Phase, read


def rollout(generation: int = 3, steps: int = 11, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "shop", "namespace": "eu", "generation": generation, "resourceVersion": "7"},
        "spec": {"replicas": 3, "strategy": {"canary": {"steps": [{}] * steps}}},
        "status": {"observedGeneration": "3", "currentPodHash": "new", "stableRS": "old", **status},
    }


def test_a_canary_that_waits_says_where_and_with_which_version() -> None:
    state = read(rollout(phase="Paused", currentStepIndex=6, pauseConditions=[{}],
                         canary={"weights": {"canary": {"weight": 10}}}))  # fmt: skip
    assert state.waits_at(6, "new")
    assert not state.waits_at(6, "old")
    assert not state.waits_at(8, "new")
    assert state.is_canary
    assert state.describe() == (
        "Paused, step 6 of 11, canary weight 10 %, newest new, stable old, 0 of 3 pods available"
    )


def test_a_status_of_an_older_template_is_not_believed() -> None:
    state = read(rollout(generation=4, phase="Healthy", currentPodHash="old"))
    assert not state.fresh
    assert not state.is_settled
    assert "status is old" in state.describe()


def test_a_rollout_without_a_status_is_a_first_one_and_unknown() -> None:
    found = rollout()
    del found["status"]
    state = read(found)
    assert state.is_first
    assert state.phase is Phase.UNKNOWN
    assert not state.fresh


def test_an_aborted_canary_does_not_wait() -> None:
    state = read(rollout(phase="Degraded", currentStepIndex=0, abort=True, pauseConditions=[{}]))
    assert state.aborted
    assert not state.waits_at(0, "new")


def test_whose_abort_it_was_stands_in_the_message() -> None:
    """The first as Argo Rollouts 1.9 wrote it on the testbed; an abort by patch ends after the number."""
    failed = 'Metric "unattended" assessed Failed due to failed (1) > failureLimit (0)'
    said = f"RolloutAborted: Rollout aborted update to revision 2: {failed}"
    assert read(rollout(abort=True, message=said)).failed_metric == failed
    by_patch = "RolloutAborted: Rollout aborted update to revision 2"
    assert read(rollout(abort=True, message=by_patch)).failed_metric == ""
    assert read(rollout(message=said)).failed_metric == "", "a message that an earlier abort left"


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "phase": st.sampled_from([*(phase.value for phase in Phase), "Errored"]),
            "currentStepIndex": st.none() | st.integers(0, 20),
            "pauseConditions": st.none() | st.just([{"reason": "CanaryPauseStep"}]),
            "canary": st.none() | st.just({}) | st.just({"weights": None}),
            "availableReplicas": st.none() | st.integers(0, 5),
            "message": st.none() | st.text(),
        },
    )
)
def test_any_status_can_be_read_and_described(status: dict[str, Any]) -> None:
    assert read(rollout(**status)).describe()
