"""Going back by hand, and the watchdog that finishes what nobody else did."""

from __future__ import annotations

from airflow.sdk import get_current_context

from slipway.operators.ending import step


@step(task_id="roll_back", retries=2, doc_md="Traffic first, then Helm, Rollout and followers; each truth is proved.")
def roll_back() -> str:
    """Take the active release back, or the promoted one when none is active."""
    from slipway.flow import without_ledger
    from slipway.flow.site import Site
    from slipway.spec.parameters import RollbackParameters, parse_parameters

    context = get_current_context()
    run = context["dag_run"]
    asked = parse_parameters(RollbackParameters, {**dict(context["params"]), **(run.conf or {})})
    site = Site.open(asked.application, asked.environment)
    actor = str(run.triggering_user_name or run.run_type)
    return without_ledger.take_back(site, actor=actor, reason=asked.reason).id


@step(task_id="watch", retries=0, doc_md="Finishes releases whose run is over, or that nobody carries any more.")
def watch() -> int:
    """Finish what a dead scheduler, a deleted run or a killed task left; one log line when there is nothing."""
    from slipway.flow import watchdog
    from slipway.flow.site import ledger

    context = get_current_context()
    task_instance = context["ti"]

    def run_state(run_id: str) -> str | None:
        # None for a run that was deleted; else an enum, whose text is not its value.
        state = task_instance.get_dagrun_state(dag_id="release", run_id=run_id)
        return None if state is None else str(getattr(state, "value", state))

    return watchdog.round_(ledger(), run_state)
