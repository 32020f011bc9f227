"""A verified backup, then the schema of the new version: by a Job of the new image, while the old version serves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.chart import diff
from slipway.errors import ClusterError, RefusedError
from slipway.flow import credentials, deploy
from slipway.hooks.backup import Backup, Backups, read_manifest
from slipway.hooks.jobs import Jobs
from slipway.names import EventKind, ReleaseState
from slipway.spec.values import put

if TYPE_CHECKING:
    from slipway.flow.step import Step

log = logging.getLogger(__name__)
ATTEMPTS = 20


def backup(step: Step) -> str | None:
    """Back the database up and return the backup's folder; None when there is nothing to migrate."""
    if (backups := _backups(step)) is None:
        log.info("nothing to migrate, so nothing to back up")
        return None
    step.require()
    made = backups.take(_folder(step))
    _note(step, "backup", {
        "what": "backup", "folder": str(made.folder), "size_bytes": made.size_bytes, "seconds": made.seconds,
        "rows": sum(table.rows for table in made.tables.values()), "tables": len(made.tables),
    })  # fmt: skip
    return str(made.folder)


def verify_backup(step: Step) -> None:
    """Restore the backup beside the database and compare it.

    :raises DatabaseError: it does not restore to what was there; nothing was migrated.
    """
    if (backups := _backups(step)) is None:
        return
    made: Backup = read_manifest(_folder(step))
    seconds = backups.verify(made)
    _note(step, "backup-verified", {"what": "backup restored and compared", "seconds": round(seconds, 2)})


def migrate(step: Step) -> None:
    """Run the migration's Job; one that has succeeded is not run again.

    :raises ClusterError: it failed; the old version goes on with the schema as it is.
    """
    spec = step.site.spec.migration
    if spec is None:
        log.info("nothing to migrate")
        step.advance(ReleaseState.MIGRATED, {"migration": "none"})
        return
    with step.site.cluster() as client:
        jobs = Jobs(client, log.info)
        job, attempt = _next_attempt(step, jobs)
        step.require()
        log.info("Job %s, attempt %d, at most %.0f s", job["metadata"]["name"], attempt, spec.timeout_s)
        end = jobs.run(job, within_s=spec.timeout_s)
        end.require(
            f"the migration to {step.release.version} failed",
            mend="the schema is usable by the version that serves; mend the migration, then clear this task",
        )
    payload = {"job": end.name, "attempt": attempt, "last_line": end.lines[-1] if end.lines else ""}
    step.advance(ReleaseState.MIGRATED, payload)


def _next_attempt(step: Step, jobs: Jobs) -> tuple[dict[str, Any], int]:
    """Return the first attempt that has not failed: a running or a succeeded one is joined."""
    for attempt in range(1, ATTEMPTS + 1):
        job = _job(step, attempt)
        found = jobs.find(job["metadata"]["name"])
        conditions = ((found or {}).get("status") or {}).get("conditions") or []
        if not any(item["type"] == "Failed" and item["status"] == "True" for item in conditions):
            return job, attempt
    raise ClusterError(f"{ATTEMPTS} attempts of the migration have failed", mend="mend it and release a new version")


def _job(step: Step, attempt: int) -> dict[str, Any]:
    site, spec = step.site, step.site.spec.migration
    if spec is None:
        raise RefusedError(f"{site.spec.application} has no migration")
    layer = deploy.values(step, all_components=False)
    put(layer, spec.values.enabled, True)
    put(layer, spec.values.attempt, attempt)
    if spec.values.pg_options is not None:
        put(layer, spec.values.pg_options, "-c lock_timeout=2s")
    rendered = site.helm().render(site.chart, site.overlays, layer, f"--show-only={spec.template}")
    return next(body for key, body in diff.objects(rendered).items() if key.kind == "Job")


def _backups(step: Step) -> Backups | None:
    database = step.site.here.database
    if step.site.spec.migration is None or database is None:
        return None
    login = credentials.login(database.connection)
    if (login.host, login.schema) != (database.host, database.name):
        raise RefusedError(
            f"{database.connection} leads to another database than the environment names",
            found=f"{login.host}/{login.schema}", mend=f"it has to be {database.host}/{database.name}",
        )  # fmt: skip
    return Backups(login, address=step.site.environment.network.addresses.get(database.host), log=log.info)


def _folder(step: Step) -> Path:
    database = step.site.here.database
    if database is None or not database.backups.directory.startswith("file://"):
        raise RefusedError("backups go to a folder for now", mend="write backups.directory as file:///PATH")
    return Path(database.backups.directory.removeprefix("file://")) / step.release.id


def _note(step: Step, key: str, payload: dict[str, Any]) -> None:
    step.store.append(step.release.id, EventKind.NOTED, payload, key=key, epoch=step.release.epoch)
