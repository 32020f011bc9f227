"""The steps of a canary: what stands in the Rollout, where each stage pauses, how long it is watched. Pure."""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Stage(StrEnum):
    """Where a Rollout stands still, in this order, until slipway promotes it to the next stage or aborts."""

    PARKED = "parked"  # the new template is known, no pod of it exists: migrations run now
    SMOKE = "smoke"  # canary pods run, without traffic: they are tested directly
    WEIGHT_10 = "weight-10"
    WEIGHT_50 = "weight-50"
    WEIGHT_100 = "weight-100"  # all traffic, the stable version still at full size: followers, then the bake

    @property
    def weight(self) -> int:
        """Percent of the traffic that the canary has at this stage."""
        return _WEIGHTS[self]


_WEIGHTS = {Stage.PARKED: 0, Stage.SMOKE: 0, Stage.WEIGHT_10: 10, Stage.WEIGHT_50: 50, Stage.WEIGHT_100: 100}
WATCHED = (Stage.WEIGHT_10, Stage.WEIGHT_50, Stage.WEIGHT_100)
"""The stages in which users meet the canary, so the judge watches."""

_STEPS: tuple[tuple[dict[str, Any], Stage | None], ...] = (
    ({"setCanaryScale": {"replicas": 0}}, None),
    ({"pause": {}}, Stage.PARKED),
    # Not `replicas: 1`: that would stick, and send all traffic to one pod later.
    ({"setCanaryScale": {"weight": 10}}, None),
    ({"pause": {}}, Stage.SMOKE),
    ({"setWeight": 10}, None),
    ({"setCanaryScale": {"matchTrafficWeight": True}}, None),
    ({"pause": {}}, Stage.WEIGHT_10),
    ({"setWeight": 50}, None),
    ({"pause": {}}, Stage.WEIGHT_50),
    ({"setWeight": 100}, None),
    ({"pause": {}}, Stage.WEIGHT_100),
)


def argo_steps() -> list[dict[str, Any]]:
    """Return `spec.strategy.canary.steps` of the Rollout; a fresh copy."""
    return [copy.deepcopy(step) for step, _ in _STEPS]


def pause_index(stage: Stage) -> int:
    """Return `status.currentStepIndex` of a Rollout that stands in a stage; a promotion from it expects just that."""
    return next(index for index, (_, pauses) in enumerate(_STEPS) if pauses is stage)


def stage_at(step_index: int | None) -> Stage | None:
    """Return the stage that pauses at an index of the steps.

    :param step_index: None as Argo Rollouts has it before it saw the Rollout.
    :returns: None when that step is no pause, or behind the last one: then it moves, or is promoted.
    """
    if step_index is None or not 0 <= step_index < len(_STEPS):
        return None
    return _STEPS[step_index][1]


class Step(BaseModel):
    """A stage that is watched, and for how long.

    :param hold_s: the shortest time from the weight being reached to a PASS; for the last stage that is the bake.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    hold_s: Seconds

    @property
    def weight(self) -> int:
        """Percent of the traffic."""
        return self.stage.weight

    @property
    def index(self) -> int:
        """Index of the pause in the Rollout's steps."""
        return pause_index(self.stage)


class Plan(BaseModel):
    """The watched steps, in order; every stage with traffic exactly once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (stages := tuple(step.stage for step in self.steps)) != WATCHED:
            raise ValueError(f"the steps must be {', '.join(WATCHED)}, and are {', '.join(stages) or 'none'}")
        return self

    @classmethod
    def of(cls, hold_10_s: float, hold_50_s: float, bake_s: float) -> Self:
        """Build the plan from its three holds in seconds."""
        holds = zip(WATCHED, (hold_10_s, hold_50_s, bake_s), strict=True)
        return cls(steps=tuple(Step(stage=stage, hold_s=hold_s) for stage, hold_s in holds))

    @property
    def hold_s(self) -> float:
        """All holds together: what a release takes at least, beside its work."""
        return sum(step.hold_s for step in self.steps)

    def step(self, stage: Stage) -> Step:
        """Return a watched step.

        :raises KeyError: no user meets the canary in this stage.
        """
        for step in self.steps:
            if step.stage is stage:
                return step
        raise KeyError(stage)
