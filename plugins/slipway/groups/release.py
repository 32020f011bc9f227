"""The phases of a release as task groups; what each does is in `slipway.flow`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task_group

from slipway.groups.guide import GUIDE
from slipway.operators.approval import ReleaseApproval
from slipway.operators.ending import UntilSettled, step
from slipway.sensors.canary import CanarySensor

RELEASE_ID = "{{ ti.xcom_pull(task_ids='configure.plan') }}"


@task_group(tooltip="Nothing starts on a bad input; what is refused says what to mend.")
def configure() -> Any:
    """Check, plan, approve, and take the lock."""
    planned = plan(check())
    agreed = ReleaseApproval(
        task_id="approve",
        doc_md=GUIDE["configure.approve"],
        environment="{{ params.environment }}",
        release_id=RELEASE_ID,
        subject="Release {{ params.application }} {{ params.version }} to {{ params.environment }}?",
        body="{{ params.summary }}"
        "{% if params.supersede_reason %}\n\nEnds the bake before it: {{ params.supersede_reason }}{% endif %}",
    )
    locked = acquire(planned).as_setup()
    planned >> agreed >> locked
    return locked


@step(doc_md=GUIDE["configure.check"])
def check() -> dict[str, Any]:
    """Look at everything that can be wrong."""
    from slipway.flow import configure as flow

    parameters = _parameters()
    flow.check(parameters)
    return parameters.model_dump(mode="json")


@step(doc_md=GUIDE["configure.plan"])
def plan(parameters: dict[str, Any]) -> str:
    """Write the release down and tell people that it begins."""
    from slipway.flow import configure as flow
    from slipway.flow import notify
    from slipway.flow.site import Site
    from slipway.spec.parameters import ReleaseParameters

    context = get_current_context()
    run = context["dag_run"]
    asked = ReleaseParameters.model_validate(parameters)
    site = Site.open(asked.application, asked.environment)
    actor = str(run.triggering_user_name or run.run_type)
    release = flow.plan(site, asked, run.run_id, actor=actor, link=_link(site.environment.airflow_url, run.run_id))
    store = site.ledger()
    current = store.last_promoted(asked.application, asked.environment)
    notify.started(
        site, store, release, actor=actor, summary=asked.summary, previous=current.version if current else None
    )
    return release.id


@step(doc_md=GUIDE["configure.acquire"])
def acquire(release_id: str) -> str:
    """Take the lock."""
    from slipway.flow import configure as flow
    from slipway.flow.site import Site, ledger

    release = ledger().release(release_id)
    flow.acquire(Site.open(release.application, release.environment), release_id, release.run_id)
    return release_id


@task_group(tooltip="An image is built or recognised, held against its gates and pushed; only its digest goes on.")
def build(release_id: Any) -> Any:
    """Make every image of the release."""
    made = image.partial(release_id=release_id).expand(name=images(release_id))
    return images_done(release_id, made)


@step(doc_md=GUIDE["build.images"])
def images(release_id: str) -> list[str]:
    """List the images of the release."""
    step = _step(release_id)
    return [one.name for one in step.site.spec.images]


@step(
    doc_md=GUIDE["build.image"],
    map_index_template="{{ task.op_kwargs['name'] }}",
    max_active_tis_per_dagrun=1,
)
def image(release_id: str, name: str) -> str:
    """Make one image."""
    from slipway.flow import build as flow

    return flow.image(_step(release_id, within_s=flow.LONGEST_S), name)


@step(doc_md=GUIDE["build.images_done"])
def images_done(release_id: str, references: list[str]) -> str:
    """Write down that every image is there."""
    from slipway.flow import build as flow

    flow.finish(_step(release_id))
    del references
    return release_id


@task_group(tooltip="The cluster accepts the new version, and runs no pod of it.")
def deploy(release_id: Any) -> Any:
    """Check the chart, and upgrade."""
    checked = chart(release_id)
    deployed = upgrade(release_id)
    checked >> deployed
    return deployed


@step(doc_md=GUIDE["deploy.chart"])
def chart(release_id: str) -> None:
    """Lint, render, ask the API server, and hold the difference against what may change."""
    from slipway.flow import deploy as flow

    flow.check(_step(release_id))


@step(doc_md=GUIDE["deploy.upgrade"])
def upgrade(release_id: str) -> str:
    """Upgrade by Helm; the Rollout stops before its first pod."""
    from slipway.flow import deploy as flow

    flow.upgrade(_step(release_id))
    return release_id


@task_group(tooltip="A backup that was restored and compared, then the new schema, while the old version serves.")
def migrate(release_id: Any) -> Any:
    """Back up, verify, migrate."""
    taken = backup(release_id)
    verified = verify_backup(release_id)
    migrated = run_migration(release_id)
    taken >> verified >> migrated
    return migrated


@step(doc_md=GUIDE["migrate.backup"])
def backup(release_id: str) -> str | None:
    """Back the database up."""
    from slipway.flow import migrate as flow

    return flow.backup(_step(release_id, within_s=3600))


@step(doc_md=GUIDE["migrate.verify_backup"])
def verify_backup(release_id: str) -> None:
    """Restore the backup beside the database and compare every row."""
    from slipway.flow import migrate as flow

    flow.verify_backup(_step(release_id, within_s=3600))


@step(task_id="migrate", doc_md=GUIDE["migrate.migrate"])
def run_migration(release_id: str) -> str:
    """Bring the schema to the new version by a Job of the new image."""
    from slipway.flow import migrate as flow

    flow.migrate(_step(release_id, within_s=3600))
    return release_id


@task_group(tooltip="A release without eyes gets no traffic.")
def monitoring(release_id: Any) -> Any:
    """Prove that the version that serves is seen."""
    return targets(release_id)


@step(doc_md=GUIDE["monitoring.targets"])
def targets(release_id: str) -> str:
    """Ask Prometheus for what the judge will ask for."""
    from slipway.flow import monitoring as flow

    flow.prove(_step(release_id))
    return release_id


@task_group(tooltip="10 %, 50 %, 100 %, followers, bake; a worse version goes back by itself.")
def canary(release_id: Any) -> Any:
    """Carry the new version to all of the traffic."""
    tested = smoke_test(release_id)
    at_10 = CanarySensor(task_id="watch_10", doc_md=GUIDE["canary.watch_10"], release_id=RELEASE_ID, stage="weight-10")
    at_50 = CanarySensor(task_id="watch_50", doc_md=GUIDE["canary.watch_50"], release_id=RELEASE_ID, stage="weight-50")
    to_all = all_traffic(release_id)
    followed = followers(release_id)
    baked = CanarySensor(task_id="bake", doc_md=GUIDE["canary.bake"], release_id=RELEASE_ID, stage="weight-100")
    promoted = promote(release_id)
    tested >> at_10 >> at_50 >> to_all >> followed >> baked >> promoted
    return promoted


@step(doc_md=GUIDE["canary.smoke_test"])
def smoke_test(release_id: str) -> None:
    """Start the first pod, without traffic, and ask it directly."""
    from slipway.flow import canary as flow

    flow.start_pods(_step(release_id))


@step(doc_md=GUIDE["canary.all_traffic"])
def all_traffic(release_id: str) -> None:
    """Give the new version all of the traffic, the old one standing by."""
    from slipway.canary.plan import Stage
    from slipway.flow import canary as flow

    flow.raise_weight(_step(release_id), Stage.WEIGHT_100)


@step(doc_md=GUIDE["canary.followers"])
def followers(release_id: str) -> None:
    """Bring worker, scheduler and page to the new version."""
    from slipway.flow import followers as flow

    flow.upgrade_all(_step(release_id, within_s=1800))


@step(doc_md=GUIDE["canary.promote"])
def promote(release_id: str) -> str:
    """Make the new version the stable one: the last act."""
    from slipway.flow import canary as flow

    flow.promote(_step(release_id))
    return release_id


@step(task_id="announce", doc_md=GUIDE["announce"])
def announce(release_id: str) -> None:
    """Tell people."""
    from slipway.flow import finish
    from slipway.flow.facts import facts_of
    from slipway.flow.site import Site, ledger
    from slipway.flow.step import Step

    store = ledger()
    release = store.release(release_id)
    facts = facts_of(store.events(release_id))
    finish.announce(Step(Site.of(facts), store, release, facts))


@step(
    task_id="settle",
    retries=5,
    retry_delay=timedelta(seconds=10),
    retry_policy=UntilSettled(),
    doc_md=GUIDE["settle"],
)
def settle() -> None:
    """Give the release its end, and the run its true colour."""
    from slipway.errors import LedgerError
    from slipway.flow import finish, without_ledger
    from slipway.flow.site import Site, ledger

    context = get_current_context()
    release_id = context["ti"].xcom_pull(task_ids="configure.plan")
    if release_id is None:
        return
    failed = _what_failed(context)
    store = ledger()
    try:
        try:
            finish.settle(release_id, store, failed=failed)
        finally:
            finish.dossier(release_id, store)
    except LedgerError:
        # The users do not wait for a database; the rest is tried again, and then the watchdog's.
        asked = _parameters()
        site = Site.open(asked.application, asked.environment)
        without_ledger.stop_traffic(site, actor="settle", reason=failed or "the run is over", release_id=release_id)
        raise


def settles(dag: DAG, setup: Any) -> None:
    """Let settle follow every task that works under the lock, so that it comes last, and comes whatever happens.

    Each is a direct upstream: behind a single leaf, a teardown starts too early when that leaf hangs.

    :param setup: the task that takes the lock.
    """
    ending = settle()
    work = [one for one in dag.tasks if not one.task_id.startswith(("configure.", "settle"))]
    work >> ending
    ending.as_teardown(setups=setup, on_failure_fail_dagrun=True)


def _what_failed(context: Any) -> str:
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    failed = [name for name, state in sorted(states.get(run.run_id, {}).items()) if state == "failed"]
    return f"failed: {', '.join(failed[:5])}" if failed else ""


def _parameters() -> Any:
    from slipway.spec.parameters import ReleaseParameters, parse_parameters

    context = get_current_context()
    # `params` has the defaults; `conf` is what was really typed, unknown keys included.
    typed = {**dict(context["params"]), **(context["dag_run"].conf or {})}
    return parse_parameters(ReleaseParameters, typed)


def _step(release_id: str, *, within_s: float = 600) -> Any:
    from slipway.flow.step import Step

    return Step.open(release_id, within_s=within_s)


def _link(airflow_url: str | None, run_id: str) -> str:
    from urllib.parse import quote

    return f"{airflow_url.rstrip('/')}/dags/release/runs/{quote(run_id, safe='')}" if airflow_url else ""
