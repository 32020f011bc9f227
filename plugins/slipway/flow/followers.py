"""Brings the followers to the new version, one after the other, each judged, while the stable workload stands by."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.canary.counters import delta, total
from slipway.canary.evidence import Counts
from slipway.canary.judge import judge_tasks
from slipway.canary.plan import Stage
from slipway.errors import ClusterError, RefusedError, VerdictError
from slipway.flow import deploy, load
from slipway.flow.heartbeat import Pulse
from slipway.hooks.cluster import worded
from slipway.hooks.pods import Pods
from slipway.hooks.rollouts import Rollout
from slipway.names import Rule, Verdict
from slipway.rollouts.state import Phase
from slipway.spec.release import fill

if TYPE_CHECKING:
    from lightkube import Client

    from slipway.flow.step import Step
    from slipway.hooks.prometheus import Prometheus
    from slipway.spec.release import Follower, FollowerMetrics

log = logging.getLogger(__name__)
LOOK_S = 1.0
PROBE_S = 120.0
PROBE_AGAIN_S = 10.0
PROBES_FOR_EACH = 2.0
"""Tasks that are enqueued for each that a follower has to finish: the versions share the queue by chance."""


def upgrade_all(step: Step) -> None:
    """Upgrade every follower and see it through, under slipway's own load where the environment asks for it.

    The workload has all the traffic by now, and the window of the bake has begun: its requests must not wait for the
    followers.

    :raises VerdictError: the new version of a follower fails its tasks.
    :raises ClusterError: its pods do not get ready.
    """
    with load.made(step.site, step.release.id):
        if step.facts.base.is_first:
            _first(step)
        else:
            _each(step)


def _each(step: Step) -> None:
    names = [follower.name for follower in step.site.spec.followers]
    for number, follower in enumerate(step.site.spec.followers, start=1):
        log.info("follower %d of %d: %s", number, len(names), follower.name)
        _upgrade(step, f"slipway {step.release.id} {follower.name}", upgraded=frozenset(names[:number]))
        _see_through(step, follower)
        log.info("%s runs version %s", follower.name, step.release.version)


def _first(step: Step) -> None:
    """Tell the chart that the workload is let go; a first install has its followers already."""
    _upgrade(step, f"slipway {step.release.id} followers", upgraded=None)
    for follower in step.site.spec.followers:
        _see_through(step, follower)


def _upgrade(step: Step, description: str, *, upgraded: frozenset[str] | None) -> None:
    site, helm = step.site, step.site.helm()
    if any(revision.description == description for revision in helm.revisions()):
        log.info("Helm has this step already")
        return
    step.require()
    layer = deploy.values(step, all_components=True) if upgraded is None else deploy.values_with(step, upgraded)
    helm.upgrade(site.chart, site.overlays, layer, description)


def _see_through(step: Step, follower: Follower) -> None:
    with step.site.cluster() as client:
        pulse = Pulse(step, client)
        pulse.beat()
        if follower.kind == "Deployment":
            _wait_for_deployment(client, follower, pulse)
            return
        rollout = Rollout(client, follower.object)
        while True:
            state = rollout.wait(
                "paused or healthy",
                lambda seen: seen.is_settled or (seen.fresh and seen.phase is Phase.PAUSED),
                within_s=follower.ready_within_s,
                meanwhile=pulse.beat,
            )
            if state.is_settled:
                return
            if follower.metrics is not None:
                _judge(step, client, follower, follower.metrics, state.current_hash, state.stable_hash, pulse)
            step.require()
            rollout.promote(state.step, state.current_hash)


def _wait_for_deployment(client: Client, follower: Follower, pulse: Pulse) -> None:
    from lightkube.resources.apps_v1 import Deployment

    deadline = time.monotonic() + follower.ready_within_s
    while True:
        with worded(f"read Deployment {client.namespace}/{follower.object}"):
            found: dict[str, Any] = client.get(Deployment, follower.object).to_dict()
        wanted, status = int(found["spec"].get("replicas", 1)), found.get("status") or {}
        counts = [int(status.get(name) or 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        if status.get("observedGeneration") == found["metadata"]["generation"] and counts == [wanted] * 3:
            return
        if time.monotonic() >= deadline:
            raise ClusterError(
                f"Deployment {client.namespace}/{follower.object} is not ready after {follower.ready_within_s:g} s",
                found=f"{counts[0]} pods, {counts[1]} of the new version, {counts[2]} available, {wanted} wanted",
                mend="kubectl describe its newest pod",
            )
        pulse.beat()
        time.sleep(LOOK_S)


def _judge(
    step: Step, client: Client, follower: Follower, metrics: FollowerMetrics, canary: str, stable: str, pulse: Pulse
) -> None:  # fmt: skip
    policy = step.site.policy(Stage.WEIGHT_100)
    started = datetime.now(UTC)
    probed = -PROBE_AGAIN_S
    with step.site.prometheus() as prometheus:
        while True:
            elapsed_s = (datetime.now(UTC) - started).total_seconds()
            if elapsed_s - probed >= PROBE_AGAIN_S:
                # Again while it is undecided: the queue may have given most of the last ones to the old version.
                _probe(client, follower, canary, round(policy.min_tasks * PROBES_FOR_EACH))
                probed = elapsed_s
            judgement = judge_tasks(
                _tasks(prometheus, metrics, client.namespace, canary, started),
                _tasks(prometheus, metrics, client.namespace, stable, started),
                policy, elapsed_s=elapsed_s,
            )  # fmt: skip
            if judgement.verdict is not Verdict.HOLD:
                break
            pulse.beat()
            time.sleep(LOOK_S)
    log.info("%s: %s: %s", follower.name, judgement.verdict, "; ".join(judgement.reasons))
    step.store.record_verdict(
        step.release.id, at=datetime.now(UTC), stage=f"follower-{follower.name}", verdict=judgement.verdict,
        rule=judgement.rule, reasons=judgement.reasons, numbers=judgement.numbers,
    )  # fmt: skip
    if judgement.verdict is Verdict.FAIL:
        rule = judgement.rule or Rule.FOLLOWER_TASKS
        raise VerdictError(f"the new {follower.name} is worse ({rule})", found="; ".join(judgement.reasons))


def _probe(client: Client, follower: Follower, hash_: str, count: int) -> None:
    """Enqueue tasks, from a pod of the new version, so that there is something to judge."""
    if follower.probe is None:
        return
    ready = [pod.name for pod in Pods(client).of(hash_) if pod.ready]
    if not ready:
        raise ClusterError(f"no pod of the new {follower.name} is ready", mend="kubectl describe its pods")
    command = follower.probe.arguments(count)
    log.info("%s: %d probe tasks", follower.name, count)
    with worded(f"run {' '.join(command)} in pod {ready[0]}"):
        done = client.exec(
            ready[0], container=follower.probe.container, command=command, stdout=True, stderr=True, timeout=PROBE_S
        )
    if done.exit_code != 0:
        raise RefusedError(
            f"the probe of {follower.name} failed in pod {ready[0]}",
            found=f"exit code {done.exit_code}: {str(done.stderr or done.stdout)[-500:]}",
        )


def _tasks(prometheus: Prometheus, metrics: FollowerMetrics, namespace: str, hash_: str, start: datetime) -> Counts:
    if not hash_:
        return Counts()
    query = fill(metrics.tasks, namespace=namespace, pod_hash=hash_)
    before = {item.labels: item.value for item in prometheus.ask(query, at=start)}
    grown = delta(before, {item.labels: item.value for item in prometheus.ask(query)})
    failed = {key: value for key, value in grown.items() if dict(key).get(metrics.status_label) in metrics.failed}
    return Counts(requests=total(grown), errors=total(failed))
