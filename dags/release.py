"""
# Release

Carries a version of an application from configuration to 100 % of the traffic, and takes it back by itself when it is
worse than the one before.

1. **configure**: nothing starts on a bad input; what is refused says what to mend.
2. **build**: images are built or recognised, held against their gates, and pushed; only digests go on.
3. **deploy**: the cluster accepts the version and runs no pod of it.
4. **migrate**: a backup that was restored and compared, then the new schema, while the old version serves.
5. **monitoring**: a release without eyes gets no traffic.
6. **canary**: 10 %, 50 %, 100 %, followers, bake; promoted at last.
7. **announce** tells people, and **settle** runs whatever happened: no run ends green with a canary half way.

To stop a release, mark the run as failed: the traffic goes back at once, and settle proves the rest. To go back after
the promotion, trigger the DAG `rollback`.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param
from slipway.groups import release as phases
from slipway.spec.catalog import Catalog
from slipway.spec.parameters import ReleaseParameters, form

CATALOG = Catalog()

with DAG(
    dag_id="release",
    description="Carry a version to 100 % of the traffic, or take it back.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=8,
    default_args={"owner": "release engineering", "retries": 0},
    params={
        name: Param(**field)
        for name, field in form(ReleaseParameters, CATALOG.releases(), CATALOG.environments()).items()
    },
    tags=["release"],
    render_template_as_native_obj=False,
) as dag:
    locked = phases.configure()
    built = phases.build(locked)
    deployed = phases.deploy(built)
    migrated = phases.migrate(deployed)
    watched = phases.monitoring(migrated)
    promoted = phases.canary(watched)
    phases.announce(promoted)
    phases.settles(dag, locked)
