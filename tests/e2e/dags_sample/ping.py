"""Two DAGs for the tests of the runtime: work in a process, and a wait in the triggerer."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.sensors.time_delta import WaitSensor
from airflow.sdk import Param, dag, get_current_context, task

log = logging.getLogger(__name__)


@dag(params={"seconds": Param(0.0, type="number")}, max_active_runs=10, tags=["sample"])
def ping() -> None:
    @task
    def answer(params: dict[str, float] | None = None) -> str:
        import slipway.names

        seconds = (params or {})["seconds"]
        log.info("pong after %s s by %s", seconds, slipway.names.EnvironmentKind.LOCAL)
        time.sleep(seconds)
        return "pong"

    answer()


@dag(tags=["sample"])
def wait() -> None:
    WaitSensor(task_id="wait", time_to_wait=timedelta(seconds=8), deferrable=True)


@dag(tags=["sample"])
def ask() -> None:
    question = HITLOperator(task_id="question", subject="Go on?", options=["Yes", "No"])

    @task
    def reply() -> str:
        context = get_current_context()
        return str(context["ti"].xcom_pull(task_ids="question")["chosen_options"][0])

    question >> reply()


ping()
wait()
ask()
