"""Watches one stage: looks, judges, keeps the numbers, and aborts in the moment of a FAIL. It never promotes.

The order in a FAIL is: traffic first, then the record, then the alert. What the ledger cannot take is spooled. While
nothing is decided, the ledger is written beside the looks: one that hangs must not hide a canary that has gone bad.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.canary.evidence import Observed, Source, window_s
from slipway.canary.judge import judge
from slipway.canary.latency import P95
from slipway.canary.plan import Stage
from slipway.errors import FencedError, LedgerError, SlipwayError
from slipway.flow import load as loads
from slipway.flow import notify, supersede
from slipway.flow.canary import window_of
from slipway.flow.clerk import Clerk
from slipway.flow.heartbeat import Pulse
from slipway.flow.site import spool
from slipway.flow.step import MARGIN, Step
from slipway.hooks.evidence import Collector
from slipway.ledger.redaction import masked
from slipway.names import AbortedBy, EventKind, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.canary.evidence import Evidence
    from slipway.canary.judgement import Judgement
    from slipway.canary.policy import Policy
    from slipway.flow.facts import Facts
    from slipway.flow.site import Site
    from slipway.hooks.evidence import Window
    from slipway.hooks.load import Load
    from slipway.hooks.rollouts import Rollout

log = logging.getLogger(__name__)
RENEW_S = 30.0
HEAR_S = 5.0
REFERENCE = "reference"


@dataclass(frozen=True)
class Look:
    """One look at a canary, as far as others need it."""

    judgement: Judgement
    elapsed_s: float
    evidence: Evidence


class Watch:
    """One stage under watch; use `watching`.

    :param load: slipway's own requests, None where it sends none. They only explain why data are missing.
    """

    def __init__(
        self, step: Step, stage: Stage, window: Window, collector: Collector, rollout: Rollout, policy: Policy,
        load: Load | None = None,
    ) -> None:  # fmt: skip
        self._step = step
        self._stage = stage
        self._window = window
        self._collector = collector
        self._rollout = rollout
        self._policy = policy
        self._load = load
        self._renewed = time.monotonic()
        self._pulse = Pulse(step, rollout.client)
        self._clerk = Clerk()
        self._said: tuple[object, ...] = ()
        self._spooled = False
        self._left_out = 0
        self._superseded = ""
        self._hear_at = 0.0
        self._reference = _reference(step) if stage.weight == 100 and window.stable else None

    @property
    def poll_s(self) -> float:
        """Seconds between two looks."""
        return self._policy.poll_s

    @property
    def site_and_facts(self) -> tuple[Site, Facts]:
        """What taking the traffic back needs, for a moment in which the ledger does not answer."""
        return self._step.site, self._step.facts

    def close(self) -> None:
        """End the watch; what is being written is not waited for."""
        self._clerk.close()

    def look(self) -> Look:
        """Look once; on a FAIL the traffic is taken back before this returns.

        :raises FencedError: somebody else has taken the release over; nothing was done.
        """
        now = datetime.now(UTC)
        evidence = self._collector.look(now, reference=self._reference)
        if self._load is not None and (trouble := self._load.keep_up()):
            evidence = evidence.model_copy(update={"load_trouble": trouble})
        elapsed_s = window_s(self._window.start, now)
        judgement = self._judge(evidence, elapsed_s)
        found = Look(judgement, elapsed_s, evidence)
        if judgement.verdict is Verdict.FAIL:
            self._take_traffic(found)
        elif Source.PODS in evidence.answered:
            self._pulse.beat()  # not to an API server that was silent a moment ago: the next look may have to abort
        self._write(found)
        return found

    def _judge(self, evidence: Evidence, elapsed_s: float) -> Judgement:
        """Judge; a bake that a newer release ends is judged as if its time were over."""
        judgement = judge(evidence, self._policy, elapsed_s=elapsed_s)
        if judgement.verdict is not Verdict.HOLD or not self._superseded:
            return judgement
        early = judge(evidence.model_copy(update={"hold_s": elapsed_s}), self._policy, elapsed_s=elapsed_s)
        if early.verdict is not Verdict.PASS:
            return judgement
        return early.model_copy(update={"reasons": (self._superseded, *early.reasons)})

    def _write(self, found: Look) -> None:
        """Keep a look; a verdict before this returns, as the step after it reads it."""
        if found.judgement.verdict is Verdict.HOLD:
            if self._clerk.begin(lambda: self._record(found)):
                self._left_out = 0
                return
            self._left_out += 1
            if self._left_out == 1:
                log.warning("the ledger is slow: samples are left out until it has kept the last one")
            return
        if found.judgement.verdict is Verdict.FAIL and self._clerk.is_busy:
            self._spool(found)  # first: a ledger that hangs may do so for longer than this process lives
        self._clerk.finish(lambda: self._record(found))

    def _keep_lease(self) -> None:
        if time.monotonic() - self._renewed < RENEW_S:
            return
        try:
            self._step.store.renew(self._step.release.id, self._step.release.epoch, MARGIN)
            self._renewed = time.monotonic()
        except LedgerError as error:
            log.warning("the lease was not renewed: %s", error.found)

    def _take_traffic(self, found: Look) -> None:
        started = time.monotonic()
        log.error("FAIL: %s", found.judgement.reasons[0])
        if self._step.facts.base.is_first:
            return  # there is nothing to send the users to; the rollback takes the pods away
        try:
            state = self._rollout.abort(self._window.canary)
        except FencedError as error:
            log.warning("no abort: %s", error)
            return
        log.error(
            "traffic is back on the stable version, %.2f s after the verdict: %s",
            time.monotonic() - started, state.describe(),
        )  # fmt: skip

    def _hear(self) -> None:
        """Ask, now and then, whether a newer release ends this bake."""
        if self._stage is not Stage.WEIGHT_100 or time.monotonic() < self._hear_at:
            return
        self._hear_at = time.monotonic() + HEAR_S
        try:
            self._superseded = supersede.asked(self._step.store, self._step.release.id)
        except LedgerError as error:
            log.warning("not known whether a newer release ends this bake: %s", error.found)

    def _record(self, found: Look) -> None:
        self._keep_lease()
        self._hear()
        judgement, step = found.judgement, self._step
        numbers = sample(found.evidence)
        try:
            step.store.record_sample(step.release.id, found.evidence.now, str(self._stage), numbers)
        except LedgerError as error:
            log.warning("a sample was not kept: %s", error.found)
        said = (judgement.verdict, judgement.rule, bool(found.evidence.load_trouble))
        if said == self._said:
            return
        self._said = said
        log.log(
            logging.ERROR if judgement.verdict is Verdict.FAIL else logging.INFO,
            "%s after %.0f s: %s", judgement.verdict, found.elapsed_s, "; ".join(judgement.reasons),
        )  # fmt: skip
        self._record_verdict(found)
        if judgement.verdict is Verdict.FAIL:
            self._tell(found)

    def _record_verdict(self, found: Look) -> None:
        judgement, step = found.judgement, self._step
        aborted = judgement.verdict is Verdict.FAIL
        try:
            step.store.record_verdict(
                step.release.id, at=found.evidence.now, stage=str(self._stage), verdict=judgement.verdict,
                rule=judgement.rule, reasons=judgement.reasons, numbers=judgement.numbers,
            )  # fmt: skip
            if aborted:
                step.store.append(step.release.id, EventKind.ABORTED, self._aborted(found), key="aborted")
            elif judgement.verdict is Verdict.PASS and self._window.stable:
                reference = {
                    "what": "stable version of this stage",
                    "observed": found.evidence.stable.model_dump_json(),
                }
                step.store.append(step.release.id, EventKind.NOTED, reference, key=f"{REFERENCE}:{self._stage}")
        except LedgerError as error:
            log.warning("the verdict is not in the ledger yet: %s", error.found)
            if aborted:
                self._spool(found)

    def _aborted(self, found: Look) -> dict[str, Any]:
        """Return what the ledger is told of an abort."""
        judgement = found.judgement
        return {
            "by": str(_by(found)), "rule": str(judgement.rule), "reason": judgement.reasons[0],
            "numbers": dict(judgement.numbers), "stage": str(self._stage),
        }  # fmt: skip

    def _spool(self, found: Look) -> None:
        if self._spooled:
            return
        kept = dict(self._aborted(found), reason=masked(found.judgement.reasons[0]))
        spool().write(self._step.release.id, EventKind.ABORTED, kept, "slipway", key="aborted", at=found.evidence.now)
        self._spooled = True

    def _tell(self, found: Look) -> None:
        try:
            notify.aborted(self._step, found.judgement, found.evidence, by=_by(found))
        except SlipwayError as error:
            log.warning("nobody was told: %s", error)


@contextmanager
def watching(release_id: str, stage: Stage) -> Iterator[Watch]:
    """Give the watch of a stage that has begun; a second watch of the same stage judges the same window.

    Slipway's own requests, where the environment asks for them, come for just as long.

    :raises FencedError: the release is being taken back.
    """
    step = Step.open(release_id, within_s=0)
    site, window = step.site, window_of(step, stage)
    if window is None:
        raise FencedError(f"{stage} of {release_id} has not begun", mend="raise the weight first")
    policy = site.policy(stage)
    with ExitStack() as stack:
        rollout, pods = stack.enter_context(site.rollout())
        prometheus = stack.enter_context(site.prometheus())
        collector = Collector(prometheus, site.spec.workload, rollout, pods, window, policy)
        load = stack.enter_context(loads.made(site, release_id))
        watch = Watch(step, stage, window, collector, rollout, policy, load)
        stack.callback(watch.close)
        yield watch


def sample(evidence: Evidence) -> dict[str, Any]:
    """Return the numbers of one look that the ledger keeps."""
    canary, stable = evidence.canary.total, evidence.stable.total
    return {
        "canary_requests": canary.requests,
        "canary_errors": canary.errors,
        "stable_requests": stable.requests,
        "stable_errors": stable.errors,
        "canary_p95_s": _p95(evidence.canary),
        "stable_p95_s": _p95(evidence.stable),
        "weight": evidence.weight if evidence.weight_set is None else evidence.weight_set,
        "observed_share": evidence.share,
    }


def _by(found: Look) -> AbortedBy:
    """Return whose abort it was: another rule than TAKEN_BACK is the judge's own."""
    abort = found.evidence.abort
    return abort.by if abort is not None and found.judgement.rule is Rule.TAKEN_BACK else AbortedBy.SLIPWAY


def _p95(observed: Observed) -> float | None:
    from slipway.canary.latency import quantile

    return quantile(observed.latency, P95) if observed.latency is not None else None


def _reference(step: Step) -> Observed | None:
    for event in reversed(step.store.events(step.release.id)):
        if event.key is not None and event.key.startswith(REFERENCE):
            return Observed.model_validate_json(event.payload["observed"])
    return None
