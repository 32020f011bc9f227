"""Takes a release back: one function for settle, watchdog, callback, person and command line; it may run at any time.

Traffic first, and whatever the ledger does. Then the ledger is told, the epoch rises, and whoever still carries the
release forward is refused from then on. Then four truths are repaired and proved: traffic, Helm release, Rollout,
schema. Each look comes before each act, so a second call finds less to do, and a killed one is finished by the next.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from slipway.chart import diff
from slipway.errors import ClusterError, FencedError, LedgerError, RefusedError, SlipwayError
from slipway.flow import heartbeat, notify
from slipway.flow.facts import Facts, facts_of
from slipway.flow.site import Site
from slipway.hooks.evidence import abort_of
from slipway.hooks.rollouts import Rollout, walk
from slipway.ledger.redaction import masked
from slipway.names import AbortedBy, EventKind, ReleaseState, Rule
from slipway.rollouts.state import Phase

if TYPE_CHECKING:
    from slipway.canary.evidence import Abort
    from slipway.hooks.pods import Pods
    from slipway.ledger.models import Release
    from slipway.ledger.store import Store
    from slipway.rollouts.state import RolloutState

log = logging.getLogger(__name__)
LEASE = timedelta(minutes=6)
BUDGET_S = 60.0
"""The user's bound for a rollback by hand: from the command to the last proof."""
WALK_S = 150.0
QUIET_LOOKS = 2
"""Scrapes in a row of all its pods without a new request to the version that goes back."""
QUIET_S = 40.0
"""Longest wait for them, where pods are not read less often than production's chart says."""
LOOK_S = 0.5


@dataclass
class Proof:
    """What was proved, and what was not.

    :param truths: name -> what was found.
    :param last_response_s: from the start to the moment at which the traffic was back.
    """

    truths: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    last_response_s: float | None = None


def take_back(release_id: str, store: Store, *, actor: str, reason: str, by: AbortedBy = AbortedBy.PERSON) -> Release:
    """Take a release back completely.

    :param actor: who wants it: a person's name, "settle", "watchdog".
    :param reason: why, in a sentence; messages and dossier show it.
    :raises RefusedError: it was never begun, or a newer one runs.
    :raises ClusterError: a truth could not be proved; the release is ROLLBACK_FAILED, and a person was told.
    """
    started = time.monotonic()
    release = store.release(release_id)
    facts = facts_of(store.events(release_id))
    site = Site.of(facts)
    if release.state is ReleaseState.ROLLED_BACK:
        log.info("%s is rolled back already", release.title)
        return release
    switch = None
    if release.state is not ReleaseState.PROMOTED:
        switch = _switch(stop_traffic(site, facts), facts)
    if switch is not None:
        by = switch.by
        reason = reason if switch.said in reason else f"{switch.said}; {reason}"
    release = store.begin_rollback(release_id, actor, masked(reason), ttl=LEASE)
    if release.state is not ReleaseState.ROLLING_BACK:
        log.info("%s is %s; nothing to take back", release.title, release.state)
        return release
    log.info("taking back %s, epoch %d: %s", release.title, release.epoch, reason)
    if switch is not None:
        _record_switch(store, release, switch)
    # A dead release's sign of life grows old, and the switch would take the old version's way back for a canary.
    heartbeat.end(site, release.id)
    notify.stopped(
        site,
        store,
        release,
        reason=reason,
        by=by,
        stable=facts.base.version,
        actor=actor,
        rule=Rule.TAKEN_BACK if switch is not None else None,
    )
    proof = Proof()
    try:
        _repair(site, facts, proof, started)
        _prove(site, facts, proof, started)
    except SlipwayError as error:
        proof.broken["rollback"] = masked(str(error))
    duration_s = round(time.monotonic() - started, 2)
    _record(store, release, proof)
    if proof.broken:
        _give_up(site, store, release, facts, proof, actor)
    payload = {"duration_s": duration_s, "last_canary_response_s": proof.last_response_s, "budget_s": BUDGET_S}
    release = store.finish_rollback(release_id, release.epoch, succeeded=True, actor=actor, payload=payload)
    log.info("%s is rolled back, %.1f s, all truths proved (budget %.0f s)", release.title, duration_s, BUDGET_S)
    notify.rolled_back(
        site, store, release, stable=facts.base.version, duration_s=duration_s, truths=proof.truths, actor=actor
    )
    return release


def active_or_promoted(store: Store, application: str, environment: str) -> Release:
    """Return what a rollback would take back: the active release, else the promoted one.

    :raises RefusedError: there is none.
    """
    release = store.find(application, environment) or store.last_promoted(application, environment)
    if release is None:
        raise RefusedError(
            f"{application} was never released to {environment} by slipway",
            mend="nothing to take back; check the names",
        )
    return release


def stop_traffic(site: Site, facts: Facts) -> RolloutState | None:
    """Take the users away from a canary; needs no ledger.

    :return: the Rollout after it, None when there was no canary of this release.
    """
    if not facts.hash or facts.base.is_first:
        return None
    with site.rollout() as (rollout, _):
        try:
            state = rollout.state()
            if state.current_hash != facts.hash or state.stable_hash == facts.hash:
                return None
            state = rollout.abort(facts.hash)
        except FencedError as error:
            log.info("no traffic to take away: %s", error.what)
            return None
    log.info("users are on the stable version: %s", state.describe())
    return state


def _switch(state: RolloutState | None, facts: Facts) -> Abort | None:
    """Return the abort of the dead-man's switch, when it was quicker than whoever takes the release back."""
    abort = None if state is None else abort_of(state, facts.hash)
    return abort if abort is not None and abort.by is AbortedBy.DEAD_MAN_SWITCH else None


def _record_switch(store: Store, release: Release, switch: Abort) -> None:
    """Write down whose abort it was, unless a watch has done so."""
    payload = {"by": str(switch.by), "rule": str(Rule.TAKEN_BACK), "reason": masked(switch.said)}
    try:
        store.append(release.id, EventKind.ABORTED, payload, key="aborted")
    except LedgerError as error:
        log.warning("whose abort it was is not in the ledger: %s", error.found)


def _repair(site: Site, facts: Facts, proof: Proof, started: float) -> None:
    base, helm = facts.base, site.helm()
    with site.rollout() as (rollout, pods):
        if base.is_first:
            _to_safe_end(rollout, pods, facts)
            proof.last_response_s = round(time.monotonic() - started, 2)
            return
        if base.revision is not None and helm.current() is not None:
            helm.roll_back(base.revision, description="slipway")
        state = rollout.state()
        if state.current_hash != base.hash:
            # A three-way merge leaves alone what a hand has changed in the cluster; the template itself is written.
            with suppress(ClusterError):
                rollout.wait("at the old template", lambda seen: seen.current_hash == base.hash, within_s=5)
            if rollout.state().current_hash != base.hash:
                log.warning("the chart's manifest did not bring the old version back; writing its template")
                rollout.put_back(base.hash)
        walk(rollout, base.hash, within_s=WALK_S, log=log.info)
        proof.last_response_s = round(time.monotonic() - started, 2)
        _followers(site, rollout)


def _to_safe_end(rollout: Rollout, pods: Pods, facts: Facts) -> None:
    """Hold a first install at no pods: nothing was there before, and uninstalling would take the evidence away."""
    if rollout.object() is None:
        log.info("nothing was installed")
        return
    rollout.hold(paused=False)  # Argo scales nothing that is paused
    rollout.scale(0)
    deadline = time.monotonic() + WALK_S
    while facts.hash and pods.of(facts.hash):
        if time.monotonic() > deadline:
            raise ClusterError(f"pods of {rollout.place} are still there", mend="kubectl get pods")
        time.sleep(0.5)
    rollout.hold(paused=True)
    log.info("%s is held at no pods: the safe end of a first install", rollout.place)


def _followers(site: Site, workload: Rollout) -> None:
    """Bring followers that are Rollouts to the end of their steps; Deployments go by themselves."""
    for follower in site.spec.followers:
        if follower.kind != "Rollout":
            continue
        rollout = Rollout(workload.client, follower.object)
        deadline = time.monotonic() + follower.ready_within_s
        while not (state := rollout.state()).is_settled:
            if state.fresh and state.phase is Phase.PAUSED:
                rollout.promote(state.step, state.current_hash)
            elif time.monotonic() > deadline:
                raise ClusterError(f"{rollout.place} is not healthy", found=state.describe())
            time.sleep(0.3)


def _prove(site: Site, facts: Facts, proof: Proof, started: float) -> None:
    base = facts.base
    if base.is_first:
        proof.truths["Traffic"] = "no pod of the new version is left"
        proof.truths["Rollout"] = "held at no pods"
        proof.truths["Schema"] = "stays: the next version goes on from it"
        return
    with site.rollout() as (rollout, pods):
        state = rollout.state()
        good = state.is_settled and state.stable_hash == base.hash
        _say(proof, "Rollout", state.describe(), good=good)
        _prove_traffic(site, facts, rollout, pods, proof)
    helm = site.helm()
    if base.revision is not None:
        found = diff.difference(helm.manifest(base.revision), helm.manifest())
        _say(proof, "Helm release", f"as in revision {base.revision}" if found.is_empty else "; ".join(found.lines()),
             good=found.is_empty)  # fmt: skip
    proof.truths["Schema"] = "stays: it was expanded only, and the old version runs on it"
    log.info("proved after %.1f s: %s", time.monotonic() - started, "; ".join(proof.truths))


def _prove_traffic(site: Site, facts: Facts, rollout: Rollout, pods: Pods, proof: Proof) -> None:
    """Look at the requests themselves: the weight in an object is not the weight in the router."""
    from slipway.canary.counters import delta, total
    from slipway.errors import MetricsError
    from slipway.hooks.scrapes import Scrapes
    from slipway.spec.release import fill

    state = rollout.state()
    # Behind a way back after a promotion the last canary was the old version itself, and Argo takes its weight back to
    # 0 a moment after it calls itself healthy.
    if state.weight and not (state.is_settled and state.stable_hash == facts.base.hash):
        _say(proof, "Traffic", f"the canary still has {state.weight} %", good=False)
        return
    if not facts.hash:
        _say(proof, "Traffic", "the new version never had a pod", good=True)
        return
    metrics, namespace = site.spec.workload.metrics, str(rollout.client.namespace)
    query = fill(metrics.requests, namespace=namespace, pod_hash=facts.hash)
    limit_s = max(QUIET_S, (QUIET_LOOKS + 2) * site.environment.monitoring.scrape_interval_s)
    deadline = time.monotonic() + limit_s
    quiet, known = 0, None
    try:
        with site.prometheus() as prometheus:
            scrapes = Scrapes(prometheus, namespace, metrics.pod_hash_label)
            read_at = prometheus.scalar("vector(time())") or 0.0
            while quiet < QUIET_LOOKS and time.monotonic() < deadline:
                present = {pod.name for pod in pods.of(facts.hash)}
                if not present:
                    _say(proof, "Traffic", "no pod of the new version is left to answer", good=True)
                    return
                newest = scrapes.of(facts.hash)
                if not present <= newest.keys() or min(newest[name] for name in present) <= read_at:
                    time.sleep(LOOK_S)
                    continue
                now = {item.labels: item.value for item in prometheus.ask(query)}
                quiet = quiet + 1 if known is not None and not total(delta(known, now)) else 0
                known = {**(known or {}), **now}
                read_at = max(newest.values())
    except MetricsError as error:
        _say(proof, "Traffic", f"weight 0; not observed, as Prometheus is silent: {error.found}", good=True)
        return
    if known is None:
        unread = f"weight 0; not observed, as Prometheus did not read its pods for {limit_s:g} s"
        _say(proof, "Traffic", unread, good=True)
        return
    good = quiet >= QUIET_LOOKS
    _say(proof, "Traffic", "no request reaches the new version" if good else "requests still reach it", good=good)


def _say(proof: Proof, truth: str, found: str, *, good: bool) -> None:
    (proof.truths if good else proof.broken)[truth] = found
    log.log(logging.INFO if good else logging.ERROR, "%s: %s", truth, found)


def _record(store: Store, release: Release, proof: Proof) -> None:
    for ok, found in ((True, proof.truths), (False, proof.broken)):
        for truth, text in found.items():
            payload = {"truth": truth, "ok": ok, "found": masked(text)}
            try:
                store.append(
                    release.id,
                    EventKind.TRUTH_PROVED,
                    payload,
                    key=f"truth:{release.epoch}:{truth}",
                    epoch=release.epoch,
                )
            except LedgerError as error:
                log.warning("a truth is not in the ledger: %s", error.found)


def _give_up(site: Site, store: Store, release: Release, facts: Facts, proof: Proof, actor: str) -> None:
    words = "; ".join(f"{truth}: {found}" for truth, found in proof.broken.items())
    store.finish_rollback(release.id, release.epoch, succeeded=False, actor=actor, payload={"reason": words})
    notify.rollback_failed(
        site,
        store,
        release,
        stable=facts.base.version,
        error=words,
        truths={**proof.truths, **proof.broken},
        actor=actor,
    )
    raise ClusterError(
        f"{release.title} is not proved to be back", found=words,
        mend="act now: scripts/release/rollback.sh, then the rollback DAG again",
    )  # fmt: skip
