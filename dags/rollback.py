"""
# Rollback

Takes an application back to the version before: the release that is under way, or, when none is, the one that was
promoted last. Traffic first; then Helm release, Rollout and followers, and each of them is proved. A second run finds
less to do and changes nothing.

The time is measured and held against a budget of 60 seconds. Without Airflow: `slipway rollback --direct`; without
slipway: `scripts/release/rollback.sh`, which needs kubectl alone.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param
from slipway.groups import rollback as groups
from slipway.spec.catalog import Catalog
from slipway.spec.parameters import RollbackParameters, form

CATALOG = Catalog()

with DAG(
    dag_id="rollback",
    description="Take an application back to the version before.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    default_args={"owner": "release engineering"},
    params={
        name: Param(**field)
        for name, field in form(RollbackParameters, CATALOG.releases(), CATALOG.environments()).items()
    },
    tags=["release", "rollback"],
):
    groups.roll_back()
