"""Raises the canary's weight and waits, without a worker, for the verdict on it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.operators.ending import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

SLACK_S = 900.0
"""Beside hold and deadlines: what raising the weight, a triggerer's restart and a look may take."""


class CanarySensor(BaseOperator):
    """One watched stage of a canary.

    :param release_id: of the release (templated).
    :param stage: a `slipway.canary.plan.Stage`.
    :param raises: whether to raise the weight first; False where it is raised already.
    """

    template_fields: Sequence[str] = ("release_id",)
    ui_color = "#fde9b8"

    def __init__(self, *, release_id: str, stage: str, raises: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release_id = release_id
        self.stage = stage
        self.raises = raises

    @told()
    def execute(self, context: Context) -> Any:
        """Raise the weight, and hand the watch over to the triggerer."""
        del context
        from slipway.canary.plan import Stage
        from slipway.flow import canary
        from slipway.flow.step import Step
        from slipway.triggers.canary import CanaryTrigger

        stage = Stage(self.stage)
        step = Step.open(self.release_id)
        if step.facts.base.is_first and stage is not Stage.WEIGHT_100:
            self.log.info("first install: there is no version to share the traffic with; nothing to watch at %s", stage)
            return None
        window = canary.raise_weight(step, stage)
        policy = step.site.policy(stage)
        longest_s = window.hold_s + policy.no_data_deadline_s + policy.no_metrics_deadline_s + SLACK_S
        self.defer(
            trigger=CanaryTrigger(release_id=self.release_id, stage=self.stage),
            method_name="execute_complete",
            timeout=timedelta(seconds=longest_s),
        )

    @told()
    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Read the verdict.

        :raises VerdictError: the canary failed; its traffic was taken back before this runs.
        :raises FencedError: somebody else has taken the release over.
        """
        del context
        from slipway.errors import FencedError, VerdictError
        from slipway.names import Verdict

        words = "\n         ".join(event["reasons"])
        if event["verdict"] == Verdict.PASS:
            self.log.info("PASS after %s s: %s", event.get("elapsed_s"), words)
            return event
        if event["verdict"] == Verdict.FAIL:
            raise VerdictError(
                f"the canary failed at {self.stage} ({event['rule']})", found=words,
                mend="nothing tonight: the traffic is back on the stable version, and settle proves the rest",
            )  # fmt: skip
        raise FencedError(f"the watch of {self.stage} was ended", found=words)
