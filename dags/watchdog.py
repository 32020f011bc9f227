"""
# Watchdog

Every minute: finishes what a dead scheduler, a deleted run or a killed task left. A release is left alone when its run
is over or gone, or when its lease has run out. One log line when there is nothing to do.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG
from slipway.groups import rollback as groups

with DAG(
    dag_id="watchdog",
    description="Finish releases that nobody carries any more.",
    doc_md=__doc__,
    schedule="* * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "release engineering"},
    tags=["release", "watchdog"],
):
    groups.watch()
