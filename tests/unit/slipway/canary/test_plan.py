from __future__ import annotations

import pytest
from pydantic import ValidationError
from slipway.canary.plan import WATCHED, Plan, Stage, argo_steps, pause_index, stage_at


def test_the_steps_are_those_of_the_rollout() -> None:
    assert argo_steps() == [
        {"setCanaryScale": {"replicas": 0}},
        {"pause": {}},
        {"setCanaryScale": {"weight": 10}},
        {"pause": {}},
        {"setWeight": 10},
        {"setCanaryScale": {"matchTrafficWeight": True}},
        {"pause": {}},
        {"setWeight": 50},
        {"pause": {}},
        {"setWeight": 100},
        {"pause": {}},
    ]


def test_each_caller_gets_steps_of_its_own() -> None:
    argo_steps()[0]["setCanaryScale"]["replicas"] = 9
    assert argo_steps()[0] == {"setCanaryScale": {"replicas": 0}}


@pytest.mark.parametrize(("stage", "index"), list(zip(Stage, (1, 3, 6, 8, 10), strict=True)))
def test_a_stage_pauses_at_its_index(stage: Stage, index: int) -> None:
    assert pause_index(stage) == index
    assert stage_at(index) is stage
    assert argo_steps()[index] == {"pause": {}}


@pytest.mark.parametrize("index", [None, -1, 0, 4, 5, 7, 11, 99])
def test_between_the_pauses_there_is_no_stage(index: int | None) -> None:
    assert stage_at(index) is None


def test_a_stage_has_the_weight_that_was_set_before_it() -> None:
    weight = 0
    for index, step in enumerate(argo_steps()):
        weight = step.get("setWeight", weight)
        if stage := stage_at(index):
            assert stage.weight == weight


def test_a_plan_knows_its_holds() -> None:
    plan = Plan.of(30, 20, 60)
    assert [(step.stage, step.weight, step.index, step.hold_s) for step in plan.steps] == [
        (Stage.WEIGHT_10, 10, 6, 30),
        (Stage.WEIGHT_50, 50, 8, 20),
        (Stage.WEIGHT_100, 100, 10, 60),
    ]
    assert plan.hold_s == 110
    assert plan.step(Stage.WEIGHT_50).hold_s == 20
    with pytest.raises(KeyError):
        plan.step(Stage.SMOKE)


def test_no_step_with_traffic_may_be_left_out() -> None:
    with pytest.raises(ValidationError, match="must be weight-10, weight-50, weight-100, and are weight-10, weight-50"):
        Plan(steps=Plan.of(1, 1, 1).steps[:2])
    assert len(WATCHED) == 3
