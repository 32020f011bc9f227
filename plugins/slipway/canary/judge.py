"""The judge: evidence and policy in, PASS, FAIL or HOLD out. Pure; the caller brings the clock and acts on the verdict.

- FAIL: take the traffic back now. It is said at any look, as soon as a rule is broken for certain.
- PASS: this step is over and the canary was seen to be as good. It is said only when the hold has elapsed, every source
  answered, the minimum of requests was seen, and both of the user's limits are kept by the plain numbers. Where the
  environment waives the load, pods that were ready all the time stand for the minimum of requests.
- HOLD: neither; ask again after `Policy.poll_s`. Each reason for a HOLD has a deadline, which turns it into a FAIL:
  unknown is never good.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slipway.canary import rules
from slipway.canary.findings import Case, Finding
from slipway.canary.judgement import Judgement
from slipway.canary.latency import P95
from slipway.canary.sequential import log_e_rate, log_e_slower, log_e_versus, needed
from slipway.canary.wording import compared, percent, rate_of, seconds
from slipway.names import Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slipway.canary.evidence import Counts, Evidence
    from slipway.canary.policy import Policy

RULES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    rules.switch,
    rules.availability,
    rules.restarts,
    rules.steadiness,
    rules.errors,
    rules.latency,
    rules.share,
    rules.sight,
    rules.amount,
    rules.aborted,
)
"""In the order in which they are named: whose abort it was, then the one that says most about the canary first."""
FLOOR = -300.0
"""An e-value below 1e-300 is written as that: JSON has no minus infinity."""


def judge(evidence: Evidence, policy: Policy, *, elapsed_s: float) -> Judgement:
    """Judge a canary at one moment.

    The same arguments give the same judgement. It never raises, whatever the numbers.

    :param evidence: both versions over the step's window so far.
    :param elapsed_s: since the window began, by a clock that does not jump; `window_s` where there is none.
    """
    case = Case(evidence, policy, elapsed_s)
    numbers = _numbers(case)
    verdicts = [finding.at(elapsed_s) for rule in RULES for finding in rule(case)]
    for wanted in (Verdict.FAIL, Verdict.HOLD):
        chosen = [item for item in verdicts if item[0] is wanted]
        if chosen and (wanted is Verdict.FAIL or elapsed_s >= evidence.hold_s):
            reasons = tuple(reason for _, _, reason in chosen)
            return Judgement(verdict=wanted, rule=chosen[0][1], reasons=reasons, numbers=numbers)
    said = compared(evidence.canary.total, evidence.stable.total) + _latency(case) + _waiver(case)
    if elapsed_s >= evidence.hold_s:
        good = f"nothing found against the canary in {seconds(evidence.hold_s)}: {said}"
        return Judgement(verdict=Verdict.PASS, reasons=(good,), numbers=numbers)
    watching = f"watching until second {evidence.hold_s:,.0f}; so far {said}"
    # What already holds, it would hold at the end, too: the rule is named so that a person sees it in time.
    rule = verdicts[0][1] if verdicts else None
    reasons = (*(reason for _, _, reason in verdicts), watching)
    return Judgement(verdict=Verdict.HOLD, rule=rule, reasons=reasons, numbers=numbers)


def judge_tasks(
    canary: Counts, stable: Counts, policy: Policy, *, elapsed_s: float = 0.0, hold_s: float = 0.0
) -> Judgement:
    """Judge a follower (a worker without traffic) by its finished tasks, by version.

    The same two tests as for requests, each with half of `alpha`, as there is no latency here; PASS when the hold is
    over and `min_tasks` were finished with no more failures than the limit; HOLD until then, and FAIL at the deadline.

    :param canary: finished tasks of the new version as `requests`, the failed among them as `errors`.
    :param stable: the same of the stable version; may be empty, when all are new already.
    """
    need = needed(policy.alpha / 2)
    said = f"failed tasks: new version {rate_of(canary, 'tasks')}, stable {rate_of(stable, 'tasks')}"
    limit = f"limit {percent(policy.max_error_rate)}"
    versus = log_e_versus(canary, stable, policy.max_error_ratio)
    absolute = log_e_rate(canary.errors, canary.trials, policy.max_error_rate)
    numbers = {
        **_rates("canary", canary),
        **_rates("stable", stable),
        "evidence_error_rate_log10": _log10(absolute),
        "evidence_versus_stable_log10": _log10(versus),
        "evidence_needed_log10": _log10(need),
    }
    give_up_s = hold_s + policy.no_data_deadline_s
    over = (canary.rate or 0.0) > policy.max_error_rate
    stable_is_bad = stable.trials >= policy.min_tasks and (stable.rate or 0.0) > policy.max_error_rate
    if versus >= need or (absolute >= need and not stable_is_bad):
        finding = Finding(Rule.FOLLOWER_TASKS, f"{said}; {limit}")
    elif over and canary.trials >= policy.min_tasks:
        why = "both are bad, so it is not the new version alone" if stable_is_bad else "this may still be chance"
        finding = Finding(Rule.FOLLOWER_TASKS, f"{said}; {limit}, but {why}", give_up_s)
    elif canary.trials < policy.min_tasks:
        few = f"{said}; a verdict needs {policy.min_tasks:,} finished tasks of the new version"
        finding = Finding(Rule.NOT_ENOUGH_DATA, few, give_up_s)
    elif elapsed_s >= hold_s:
        return Judgement(verdict=Verdict.PASS, reasons=(f"{said}; {limit}",), numbers=numbers)
    else:
        watching = f"watching until second {hold_s:,.0f}; so far {said}"
        return Judgement(verdict=Verdict.HOLD, reasons=(watching,), numbers=numbers)
    verdict, rule, reason = finding.at(elapsed_s)
    return Judgement(verdict=verdict, rule=rule, reasons=(reason,), numbers=numbers)


def _latency(case: Case) -> str:
    canary_s, stable_s = case.p95
    if canary_s is None or stable_s is None:
        return ""
    return f"; P95 {seconds(canary_s)}, stable {seconds(stable_s)}"


def _waiver(case: Case) -> str:
    if not case.policy.requests_waived:
        return ""
    pods = case.evidence.canary.pods
    return f"; no requests are asked for, {sum(pod.ready for pod in pods)} of the canary's {len(pods)} pods are ready"


def _numbers(case: Case) -> dict[str, float]:
    """Collect what was computed over the whole window; what is unknown is absent, not 0."""
    evidence, policy = case.evidence, case.policy
    whole = case.stretches[0]
    canary, stable = evidence.canary.total, evidence.stable.total
    found = case.slower(whole)
    (canary_p95_s, stable_p95_s), ratio = case.p95, case.latency_ratio
    numbers = {
        **_rates("canary", canary),
        **_rates("stable", stable),
        "canary_p95_s": canary_p95_s,
        "stable_p95_s": stable_p95_s,
        "latency_ratio": ratio,
        "slower_requests": None if found is None else found.slower,
        "slower_threshold_s": None if found is None else found.threshold_s,
        "share": evidence.share,
        "sample_age_s": evidence.sample_age_s,
        "evidence_error_rate_log10": _log10(log_e_rate(canary.errors, canary.trials, policy.max_error_rate)),
        "evidence_versus_stable_log10": _log10(log_e_versus(canary, stable, policy.max_error_ratio)),
        "evidence_latency_log10": None if found is None else _log10(log_e_slower(found, 1 - P95)),
        "evidence_needed_log10": _log10(needed(whole.level)),
    }
    return {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}


def _rates(who: str, counts: Counts) -> dict[str, float]:
    known = {f"{who}_requests": counts.trials, f"{who}_errors": counts.errors}
    return known if counts.rate is None else {**known, f"{who}_error_rate": counts.rate}


def _log10(log_e: float) -> float:
    return max(FLOOR, log_e / math.log(10))
