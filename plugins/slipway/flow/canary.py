"""Moves a canary from stage to stage; each move is recorded with the moment from which the stage is judged."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slipway.canary.plan import Stage, pause_index
from slipway.errors import GateError
from slipway.flow import heartbeat, monitoring
from slipway.flow.heartbeat import Pulse
from slipway.hooks import smoke
from slipway.hooks.evidence import Window
from slipway.hooks.rollouts import walk
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.flow.step import Step
    from slipway.hooks.pods import Pods
    from slipway.hooks.rollouts import Rollout
    from slipway.ledger.models import Event

log = logging.getLogger(__name__)
READY_S = 180.0
BEFORE = {
    Stage.SMOKE: Stage.PARKED,
    Stage.WEIGHT_10: Stage.SMOKE,
    Stage.WEIGHT_50: Stage.WEIGHT_10,
    Stage.WEIGHT_100: Stage.WEIGHT_50,
}


def start_pods(step: Step) -> None:
    """Let the first pods of the new version start, without traffic, and ask them directly.

    :raises ClusterError: they do not get ready.
    :raises GateError: the smoke test failed.
    """
    version, workload = step.release.version, step.site.spec.workload
    step.require()
    with step.site.rollout() as (rollout, pods):
        # Before any user is there, so that the switch never meets what a release before this one left behind.
        pulse = Pulse(step, rollout.client)
        pulse.beat()
        _go(step, rollout, Stage.SMOKE, pulse)
        ready = [pod.name for pod in pods.of(step.facts.hash) if pod.ready]
        if not ready:
            raise GateError(f"no pod of version {version} is ready", mend="kubectl describe its pods")
        for name in ready:
            smoke.examine(rollout.client, name, workload.port, step.site.spec.smoke, version, log.info)
    log.info("smoke test passed on %d pods; no user has met version %s yet", len(ready), version)
    if not step.facts.base.is_first:
        monitoring.await_sight(step, ready)


def raise_weight(step: Step, stage: Stage) -> Window:
    """Give the canary a stage's share of the traffic and return what is to be watched.

    A repeated call returns the window of the first time: its start is in the ledger.
    """
    first = step.facts.base.is_first
    if not step.reached(ReleaseState.CANARY) and not first:
        step.advance(ReleaseState.CANARY)
    if stage is Stage.WEIGHT_100 and not step.reached(ReleaseState.BAKING):
        step.advance(ReleaseState.BAKING)
    step.require()
    with step.site.rollout() as (rollout, pods):
        if not first:
            pulse = Pulse(step, rollout.client)
            pulse.beat()
            _go(step, rollout, stage, pulse)
        return _window(step, stage, pods)


def window_of(step: Step, stage: Stage) -> Window | None:
    """Return the window of a stage that has begun."""
    return read_window(step.store.events(step.release.id), step, stage)


def read_window(events: Iterable[Event], step: Step, stage: Stage) -> Window | None:
    """Return the window that the events know of a stage."""
    found = next((event for event in events if event.key == f"stage:{stage}"), None)
    if found is None:
        return None
    base = step.facts.base
    return Window(
        start=datetime.fromisoformat(found.payload["start"]),
        hold_s=float(found.payload["hold_s"]),
        weight=int(found.payload["weight"]),
        canary=step.facts.require_hash(),
        stable=base.hash,
        restarts=found.payload.get("restarts") or {},
    )


def promote(step: Step) -> None:
    """Make the new version the stable one: the last act, written down after it was seen.

    Its intent is recorded first: without a ledger there is no promotion.
    """
    hash_ = step.facts.require_hash()
    intent = {"what": f"promote version {step.release.version} ({hash_})"}
    step.store.append(step.release.id, EventKind.INTENDED, intent, key="promote", epoch=step.release.epoch)
    with step.site.rollout() as (rollout, _):
        pulse = Pulse(step, rollout.client)
        pulse.beat()
        if not step.facts.base.is_first:
            rollout.promote(pause_index(Stage.WEIGHT_100), hash_)
        state = rollout.wait(
            "healthy on the new version",
            lambda seen: seen.is_settled and seen.stable_hash == hash_,
            within_s=READY_S,
            meanwhile=pulse.beat,
        )
    # Before it is written down: a promotion that is repeated ends it again, one that is written down is not repeated.
    heartbeat.end(step.site, step.release.id)
    step.advance(ReleaseState.PROMOTED, {"rollout": state.describe()})
    log.info("promoted: %s", state.describe())


def _go(step: Step, rollout: Rollout, stage: Stage, pulse: Pulse) -> None:
    hash_ = step.facts.require_hash()
    if step.facts.base.is_first:
        if rollout.hold(paused=False).desired == 0:
            rollout.scale(1)  # an earlier attempt was taken back; the autoscaler goes on from one
        state = walk(rollout, hash_, within_s=READY_S, log=log.info)
    else:
        rollout.promote(pause_index(BEFORE[stage]), hash_)
        state = rollout.wait(
            f"at {stage}",
            lambda seen: seen.step >= pause_index(stage) and seen.waits_at(seen.step, hash_),
            within_s=READY_S,
            meanwhile=pulse.beat,
        )
    log.info("Rollout %s: %s", rollout.place, state.describe())


def _window(step: Step, stage: Stage, pods: Pods) -> Window:
    first = step.facts.base.is_first
    hold_s = step.site.environment.canary.first_install_hold_s if first else step.site.plan.step(stage).hold_s
    payload = {
        "stage": str(stage),
        "weight": stage.weight,
        "start": datetime.now(UTC).isoformat(),
        "hold_s": hold_s,
        "restarts": pods.restarts(step.facts.require_hash()),
    }
    event = step.store.append(
        step.release.id, EventKind.STEP_STARTED, payload, key=f"stage:{stage}", epoch=step.release.epoch
    )
    found = read_window([event], step, stage)
    if found is None:
        raise GateError(f"the ledger does not know when {stage} began")
    log.info(
        "%d %% of the requests since %s; watched for %g s at least", found.weight,
        found.start.strftime("%H:%M:%S UTC"), found.hold_s,
    )  # fmt: skip
    return found
