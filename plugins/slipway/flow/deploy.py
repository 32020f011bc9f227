"""Gives the cluster the new version without a pod of it: rendered, checked, compared, then upgraded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slipway.canary.plan import Stage, pause_index
from slipway.chart import diff
from slipway.errors import ClusterError, FencedError
from slipway.names import EventKind, ReleaseState
from slipway.spec.values import ImageRef, get, image_refs, values_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.flow.step import Step
    from slipway.rollouts.state import RolloutState
    from slipway.spec.release import ReleaseSpec

log = logging.getLogger(__name__)
STOPS_WITHIN_S = 60.0


def values(step: Step, *, all_components: bool) -> dict[str, Any]:
    """Return the last layer of values.

    :param all_components: False keeps the followers on what they run now.
    """
    if all_components or step.facts.base.is_first:
        first_install = step.facts.base.is_first and not all_components
        return values_for(step.site.spec, step.site.environment, _refs(step), first_install=first_install)
    return values_with(step, frozenset())


def values_with(step: Step, upgraded: frozenset[str]) -> dict[str, Any]:
    """Return the last layer of values with some followers on the new version.

    :param upgraded: their names; the others keep image and settings of the revision that is gone back to.
    """
    spec = step.site.spec
    before = step.site.helm().values(step.facts.base.revision)
    keep = {name: ref for name, ref in _kept_images(spec, before).items() if name not in upgraded}
    settings = None if upgraded else _kept_settings(spec, before)
    return values_for(spec, step.site.environment, _refs(step), keep=keep, keep_settings=settings)


def _refs(step: Step) -> dict[str, ImageRef]:
    return image_refs(step.site.spec, step.site.environment, step.facts.digests, step.release.version)


def check(step: Step) -> None:
    """Lint, render, let the API server check it, and hold the difference against what a release may touch.

    :raises HelmError: the chart, its values or the cluster refuse it.
    :raises GateError: more than the workload would change.
    """
    site, helm = step.site, step.site.helm()
    layer = values(step, all_components=False)
    helm.lint(site.chart, site.overlays, layer)
    wanted = helm.rehearse(site.chart, site.overlays, layer)
    base = step.facts.base
    if base.is_first or base.revision is None:
        log.info("first install: %d objects", len(diff.objects(wanted)))
        return
    found = diff.difference(helm.manifest(base.revision), wanted)
    for line in found.lines():
        log.info("%s", line)
    found.require_only(diff.ObjectId("argoproj.io", "Rollout", site.spec.workload.rollout))
    log.info("the upgrade changes the workload alone; no user meets the new version by it")


def upgrade(step: Step) -> str:
    """Upgrade, and wait until the Rollout stands still with no pod of the new version; return its hash.

    :raises ClusterError: the Rollout does not stop there.
    """
    site, helm = step.site, step.site.helm()
    if step.facts.hash and step.reached(ReleaseState.DEPLOYED):
        log.info("deployed before: version %s, Helm revision %s", step.facts.hash, step.facts.deployed_revision)
        return step.facts.hash
    layer = values(step, all_components=False)
    description = f"slipway {step.release.id}"
    current = helm.deployed()
    intent = {"what": f"helm upgrade of {site.spec.chart.release_name} in {site.namespace}"}
    step.store.append(step.release.id, EventKind.INTENDED, intent, key="deploy", epoch=step.release.epoch)
    if current is not None and current.description == description:
        log.info("Helm revision %d is this release's already", current.number)
        revision = current
    else:
        revision = helm.upgrade(site.chart, site.overlays, layer, description)
        log.info("Helm revision %d", revision.number)
    state = _stopped(step)
    payload = {
        "helm_revision": revision.number,
        "pod_template_hash": state.current_hash,
        "stable_hash": state.stable_hash,
        "namespace": site.namespace,
    }
    step.advance(ReleaseState.DEPLOYED, payload)
    log.info("Rollout %s: %s", state.name, state.describe())
    return state.current_hash


def _stopped(step: Step) -> RolloutState:
    first, old = step.facts.base.is_first, step.facts.base.hash
    parked = pause_index(Stage.PARKED)

    def stands_still(state: RolloutState) -> bool:
        if first:
            return state.fresh and state.spec_paused and bool(state.current_hash)
        return state.current_hash != old and state.waits_at(parked, state.current_hash)

    with step.site.rollout() as (rollout, pods):
        state = rollout.wait("stopped before its first pod", stands_still, within_s=STOPS_WITHIN_S)
        if not first and state.stable_hash != old:
            raise FencedError(
                f"Rollout {rollout.place} has another stable version than when the lock was taken",
                found=state.describe(), mend=f"expected {old}; somebody else has released",
            )  # fmt: skip
        running = pods.of(state.current_hash)
    if running:
        raise ClusterError(
            f"{len(running)} pods of the new version run before the migration",
            found=", ".join(pod.name for pod in running),
        )
    return state


def _kept_images(spec: ReleaseSpec, before: Mapping[str, Any]) -> dict[str, ImageRef]:
    """Return what the followers run now."""
    kept = {}
    for _, feed in spec.feeds():
        repository, digest = _at(before, feed.repository), _at(before, feed.digest)
        if feed.component != spec.workload.component and repository and digest:
            kept[feed.component] = ImageRef(str(repository), str(digest), _at(before, feed.version) or None)
    return kept


def _kept_settings(spec: ReleaseSpec, before: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the settings that the followers have now, so that new ones do not restart them before their turn."""
    if spec.settings is None or spec.settings.follower_values is None:
        return None
    found = _at(before, spec.settings.follower_values) or _at(before, spec.settings.values)
    return found if isinstance(found, dict) else None


def _at(values: Mapping[str, Any], path: str | None) -> Any:
    return get(values, path.split("."))[1] if path else None
