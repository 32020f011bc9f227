"""Nothing starts on a bad input: specs, versions, secrets, cluster and lock, looked at before anything is touched."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from slipway.chart import diff
from slipway.errors import ClusterError, GateError, HelmError, RefusedError
from slipway.flow import load, supersede, watchdog
from slipway.flow.facts import BASE, SPECS, facts_of
from slipway.flow.site import Site
from slipway.hooks.cluster import NOT_FOUND, code_of, worded
from slipway.images.waiver import Waiver, admit
from slipway.ledger.redaction import masked
from slipway.names import EnvironmentKind, EventKind, ReleaseState
from slipway.report.words import duration
from slipway.rollouts.state import read
from slipway.spec.environment import WaivedLoad
from slipway.spec.values import image_refs, values_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Release
    from slipway.ledger.store import Store
    from slipway.spec.parameters import ReleaseParameters

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=15)
"""How long a step may be silent before the watchdog comes; long steps set their own."""
ALIVE_S = 180.0
"""A watchdog that was silent for longer is not there: its rounds are a minute apart, and a busy machine delays some."""
FIRST_ROUND_S = 90.0
"""So long after a start of Airflow, the watchdog has had its first round."""
LOOK_S = 1.0
NO_DIGEST = "sha256:" + "0" * 64


def check(
    parameters: ReleaseParameters, *, now: datetime | None = None, watchdog_within_s: float = FIRST_ROUND_S
) -> Site:
    """Look at everything that can be wrong before a release begins; nothing is touched.

    :param watchdog_within_s: how long to wait for the watchdog's next round when its last one is too long ago.
    :raises SpecError: specs or parameters.
    :raises RefusedError: a precondition, with all that do not hold.
    """
    site = Site.open(parameters.application, parameters.environment)
    refused = [problem for problem in _problems(site, parameters, now or datetime.now(UTC)) if problem]
    if absent := _watchdog(site.ledger(), 0 if refused else watchdog_within_s):
        refused.append(absent)
    if refused:
        raise RefusedError(
            f"{parameters.application} {parameters.version} cannot be released to {parameters.environment}",
            found="\n         ".join(refused),
            mend="mend what is listed; nothing was touched",
        )
    log.info("%s %s: specs, chart, cluster, secrets and ledger are in order", site.place, parameters.version)
    return site


def _problems(site: Site, parameters: ReleaseParameters, now: datetime) -> Iterator[str | None]:
    kind = site.environment.kind
    if parameters.drill_error_rate and kind is EnvironmentKind.PRODUCTION:
        yield "a version that fails on purpose is refused in production"
    yield _waived_load(site, now)
    freeze = site.environment.freeze_reason(now)
    if freeze and not parameters.ignore_freeze_reason.strip():
        yield f"no releases now: {freeze} (say ignore_freeze_reason if it has to be)"
    store = site.ledger()
    store.ensure()
    active = store.find(parameters.application, parameters.environment)
    yield from _in_ledger(store, parameters, active)
    yield _rendering(site)
    # What bakes is no settled Rollout; it is looked at again once the bake was ended, under the lock.
    yield from _in_cluster(site, bakes=_ends_bake(parameters, active))


def _waived_load(site: Site, now: datetime) -> str | None:
    asked = site.environment.canary.load
    if not isinstance(asked, WaivedLoad):
        return None
    try:
        admit(Waiver(asked.reason, asked.until), site.environment.kind, now.astimezone(UTC).date(), "canary.load")
    except GateError as error:
        return f"{error.what} ({error.found}): {error.mend}"
    return None


def _ends_bake(parameters: ReleaseParameters, active: Release | None) -> bool:
    return active is not None and bool(parameters.supersede_reason.strip()) and active.state is ReleaseState.BAKING


def _in_ledger(store: Store, parameters: ReleaseParameters, active: Release | None) -> Iterator[str]:
    current = store.last_promoted(parameters.application, parameters.environment)
    if current is not None and current.version == parameters.version:
        yield f"version {parameters.version} is released already, by {current.id}"
    if active is None:
        return
    if active.version == parameters.version:
        yield f"version {parameters.version} is under way already, by {active.id} ({active.state})"
    elif not _ends_bake(parameters, active):
        only = "; only a bake can be ended before its time" if parameters.supersede_reason.strip() else ""
        yield f"{active.id} is under way ({active.state}); one release at a time{only}"


def _watchdog(store: Store, within_s: float) -> str | None:
    """Say that nobody would finish a release whose run dies; a watchdog that has just been started gets its time."""
    deadline = time.monotonic() + within_s
    waits = False
    while (silence := store.silence(watchdog.NAME)) is None or silence.total_seconds() > ALIVE_S:
        if time.monotonic() >= deadline:
            last = (
                "never had a round"
                if silence is None
                else f"had its last round {duration(silence.total_seconds())} ago"
            )
            return (
                f"the watchdog {last}, so nobody would take back a release whose run dies; "
                "switch the DAG watchdog on in Airflow, and look at its last run"
            )
        if not waits:
            waits = True
            log.info("waiting for a round of the watchdog, %.0f s at most", within_s)
        time.sleep(LOOK_S)
    return None


def _rendering(site: Site) -> str | None:
    digests = {image.name: NO_DIGEST for image in site.spec.images}
    values = values_for(site.spec, site.environment, image_refs(site.spec, site.environment, digests))
    try:
        rendered = diff.objects(site.helm().render(site.chart, site.overlays, values))
    except HelmError as error:
        return f"{error.what}: {error.found}"
    name = site.spec.workload.rollout
    if not any(item.kind == "Rollout" and item.name == name for item in rendered):
        return f"the chart renders no Rollout {name}, which workload.rollout of the release spec names"
    return None


def _in_cluster(site: Site, *, bakes: bool = False) -> Iterator[str]:
    try:
        yield from _secrets(site)
        if not bakes:
            yield from _workload(site)
    except ClusterError as error:
        yield f"{error.what}: {error.found}"


def _secrets(site: Site) -> Iterator[str]:
    secrets = site.spec.secrets
    if secrets is None:
        return
    from lightkube.resources.core_v1 import Secret

    wanted = secrets.required(site.environment.kind)
    with site.cluster() as client:
        try:
            with worded(f"read Secret {site.namespace}/{secrets.name}"):
                there = client.get(Secret, secrets.name).data or {}
        except ClusterError as error:
            if code_of(error) != NOT_FOUND:
                raise
            yield f"Secret {site.namespace}/{secrets.name} does not exist (keys: {', '.join(wanted) or 'none'})"
            return
    missing = [key for key in wanted if not there.get(key)]
    if missing:
        yield f"Secret {site.namespace}/{secrets.name} lacks {', '.join(missing)}"


def _workload(site: Site) -> Iterator[str]:
    installed = site.helm().deployed()
    with site.rollout() as (rollout, _):
        found = rollout.object()
    if found is None:
        if installed is not None:
            yield (
                f"Helm has revision {installed.number} of {site.spec.chart.release_name}, but Rollout "
                f"{site.namespace}/{site.spec.workload.rollout} does not exist"
            )
        return
    state = read(found)
    if state.is_parked:
        return  # the safe end of a first install that was taken back
    if not state.is_settled:
        yield f"Rollout {site.namespace}/{state.name} is not healthy on one version: {state.describe()}"


def plan(site: Site, parameters: ReleaseParameters, run_id: str, *, actor: str, link: str = "") -> Release:
    """Write the release down, without the lock, and log what is going to happen.

    :param run_id: of the run that carries it; the same run gets the same release.
    """
    details: dict[str, Any] = {"requested_by": actor}
    if parameters.summary:
        details["change_summary"] = parameters.summary
    if link:
        details["link"] = link
    if parameters.ignore_freeze_reason:
        details["ignore_freeze_reason"] = parameters.ignore_freeze_reason
    if parameters.supersede_reason:
        details["supersede_reason"] = parameters.supersede_reason
    if parameters.drill_error_rate:
        details["drill_error_rate"] = parameters.drill_error_rate
    store = site.ledger()
    release = store.plan(
        parameters.application, parameters.environment, parameters.version, run_id, actor=actor, details=details
    )
    spec, environment = site.catalog.texts(parameters.application, parameters.environment)
    specs = {"what": "specs as they were", "release": spec, "environment": environment}
    store.append(release.id, EventKind.NOTED, specs, key=SPECS)
    load.record_waiver(site, store, release.id)
    log.info("release %s", release.id)
    for line in describe(site, parameters):
        log.info("%s", line)
    return release


def describe(site: Site, parameters: ReleaseParameters) -> Iterator[str]:
    """Yield what a release is going to do, a line a phase."""
    spec, environment = site.spec, site.environment
    yield f"build       {', '.join(image.name for image in spec.images)} {parameters.version}"
    yield f"deploy      chart {spec.chart.path} to {site.namespace}; the Rollout stops with no pod of the new version"
    yield "migrate     " + ("backup, restore check, Job from the new image" if spec.migration else "nothing to migrate")
    yield f"monitoring  targets up, {environment.monitoring.prometheus_url}"
    yield "canary      " + ", ".join(f"{step.weight} % for {step.hold_s:g} s" for step in environment.canary.steps[:-1])
    yield f"            100 %, then {', '.join(item.name for item in spec.followers) or 'no follower'}"
    yield f"bake        {environment.canary.retain_s:g} s with the version before it at full size; then promoted"
    yield f"load        {load.described(site)}"
    limits = environment.canary.limits
    yield (
        f"goes back   above {limits.max_error_rate:.1%} errors, above {limits.max_latency_ratio:g} x the stable P95, "
        "when its pods fail, or when it cannot be shown to be as good"
    )


def give_up(store: Store, release_id: str, actor: str, reason: str) -> None:
    """Cancel a release that will not begin; one that has begun, or has ended, is left as it is.

    :param reason: why, in a sentence; the dossier says it.
    """
    try:
        store.cancel(release_id, actor, masked(reason))
    except RefusedError as error:
        log.info("not cancelled: %s", error.what)
    else:
        log.info("%s is cancelled: %s", release_id, reason)


def acquire(site: Site, release_id: str, run_id: str) -> Release:
    """Take the lock, and record what stands there now: what this release goes back to.

    :raises RefusedError: another release is active, or the workload is not healthy; this one is cancelled then, as
        settle does not run before the lock was taken.
    """
    store = site.ledger()
    planned = store.release(release_id)
    try:
        release = _locked(site, store, planned, run_id)
    except RefusedError as error:
        if planned.state is ReleaseState.PLANNED:
            give_up(store, release_id, "slipway", error.what)
        raise
    installed = site.helm().deployed()
    with site.rollout() as (rollout, _):
        found = rollout.object()
    state = read(found) if found is not None else None
    if state is not None and state.is_parked:
        state = None  # nothing serves, so there is nothing to go back to
    previous = store.last_promoted(planned.application, planned.environment)
    payload = {
        "what": "what the release goes back to",
        "version": previous.version if previous is not None else None,
        "helm_revision": installed.number
        if installed is not None and state is not None and state.stable_hash
        else None,
        "pod_template_hash": state.stable_hash if state is not None else "",
    }
    event = store.append(release.id, EventKind.NOTED, payload, key=BASE, epoch=release.epoch)
    log.info(
        "lock taken, epoch %d, lease %.0f min; goes back to %s",
        release.epoch, LEASE.total_seconds() / 60,
        f"version {event.payload['version']}, Helm revision {event.payload['helm_revision']}"
        if event.payload["pod_template_hash"]
        else "nothing: this is the first install",
    )  # fmt: skip
    return release


def _locked(site: Site, store: Store, planned: Release, run_id: str) -> Release:
    reason = str(facts_of(store.events(planned.id)).details.get("supersede_reason") or "")
    if reason.strip() and planned.state is ReleaseState.PLANNED:
        supersede.end_bake(store, planned, reason)  # here, as nothing is asked for before a person has agreed
    release = store.acquire(
        planned.application, planned.environment, planned.version, run_id, LEASE, actor="slipway"
    )  # fmt: skip
    if release.state is ReleaseState.PLANNED:
        # An approval may have taken a day.
        problems = [problem for problem in (*_in_cluster(site), _watchdog(store, FIRST_ROUND_S)) if problem]
        if problems:
            raise RefusedError(f"{site.place} has changed since it was checked", found="; ".join(problems))
    return release
