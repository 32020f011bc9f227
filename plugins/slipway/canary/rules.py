"""The rules, one function each: from a case to what it has against the canary. Pure; `judge` puts them in order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slipway.canary.evidence import Source
from slipway.canary.findings import Finding
from slipway.canary.latency import P95
from slipway.canary.sequential import log_e_rate, log_e_slower, log_e_versus, needed
from slipway.canary.wording import compared, luck, number, percent, seconds
from slipway.names import AbortedBy, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.canary.evidence import Counts, PodState
    from slipway.canary.findings import Case, Stretch
    from slipway.canary.latency import Exceedance
    from slipway.canary.policy import Policy

SIGMAS = 4.0
"""How far chance may carry an observed share: once in 16,000 for a random router; Traefik's is not even random."""
FEWEST_FOR_SHARE = 100


def switch(case: Case) -> Iterator[Finding]:
    """Ask whether the dead-man's switch was quicker. Whatever else is found, the abort was its own."""
    abort = case.evidence.abort
    if abort is not None and abort.by is AbortedBy.DEAD_MAN_SWITCH:
        yield Finding(Rule.TAKEN_BACK, abort.said)


def aborted(case: Case) -> Iterator[Finding]:
    """Ask whether somebody else has aborted the canary.

    Named last: a watch that was killed between its abort and its record finds the same abort, and the same fault.
    """
    abort = case.evidence.abort
    if abort is not None and abort.by is not AbortedBy.DEAD_MAN_SWITCH:
        yield Finding(Rule.TAKEN_BACK, abort.said)


def availability(case: Case) -> Iterator[Finding]:
    """Ask whether the canary is there at all: Argo's weight and the pods' readiness.

    Faster than any rate: the state of a pod is known within a second, and a pod that is down has no series.
    """
    evidence = case.evidence
    if evidence.abort is not None:
        return  # its pods are on their way out because of it
    if evidence.weight and evidence.weight_set == 0:
        yield Finding(
            Rule.CANARY_UNAVAILABLE,
            f"Argo Rollouts has set the canary's weight to 0 instead of {evidence.weight} %: it has no available pod",
        )
    if Source.PODS not in evidence.answered or not evidence.weight:
        return
    pods, others = evidence.canary.pods, evidence.stable.pods
    waiting = [pod for pod in pods if not pod.ready]
    if len(waiting) == len(pods):
        down = f"none of the canary's {len(pods)} pods is ready{_named(waiting)}" if pods else "the canary has no pod"
        if others and not any(pod.ready for pod in others):
            why = f"{down}, but none of the {len(others)} stable ones is either: not this version's fault alone"
            yield Finding(Rule.CANARY_UNAVAILABLE, why, case.give_up_s)
        else:
            yield Finding(Rule.CANARY_UNAVAILABLE, down)
    elif waiting:
        longest = max(pod.unready_s for pod in waiting)
        limit_s = case.policy.pods_deadline_s
        some = (
            f"{len(waiting)} of the canary's {len(pods)} pods not ready for {seconds(longest)}{_named(waiting)}; "
            f"limit {seconds(limit_s)}"
        )
        yield Finding(Rule.CANARY_UNAVAILABLE, some, None if longest >= limit_s else math.inf)


def restarts(case: Case) -> Iterator[Finding]:
    """Ask whether the canary's pods die.

    When at least as large a part of the stable pods restarted in the same window, it is a node or a dependency.
    """
    evidence, most = case.evidence, case.policy.max_restarts
    if Source.PODS not in evidence.answered:
        return
    dying, others = (
        [pod for pod in pods if pod.oom or pod.restarts > most] for pods in (evidence.canary.pods, evidence.stable.pods)
    )
    if not dying:
        return
    total = sum(pod.restarts for pod in dying)
    killed = f", {sum(pod.oom for pod in dying)} killed for memory" if any(pod.oom for pod in dying) else ""
    reason = (
        f"{len(dying)} of the canary's {len(evidence.canary.pods)} pods restarted {total} times in this window"
        f"{killed}{_named(dying)}; limit {most} restarts a pod"
    )
    if others and len(others) * len(evidence.canary.pods) >= len(dying) * len(evidence.stable.pods):
        so_did = f", but so did {len(others)} of the {len(evidence.stable.pods)} stable ones"
        yield Finding(Rule.POD_RESTARTS, reason + so_did, case.give_up_s)
    else:
        yield Finding(Rule.POD_RESTARTS, reason)


def steadiness(case: Case) -> Iterator[Finding]:
    """Ask, where no requests are asked for, whether the pods were ready for a whole hold: they alone speak for it.

    A pod that became ready later, or was not ready in between, makes the hold longer; the deadline ends that.
    """
    evidence = case.evidence
    if not case.policy.requests_waived or Source.PODS not in evidence.answered:
        return
    wanted_s = min(case.elapsed_s, evidence.hold_s)
    pods = evidence.canary.pods
    late = [pod for pod in pods if pod.ready and pod.ready_s < wanted_s]
    if late:
        shortest = seconds(min(pod.ready_s for pod in late))
        reason = (
            f"no requests are asked for, so its pods have to be ready for {seconds(evidence.hold_s)} without a break: "
            f"{len(late)} of the canary's {len(pods)} have been for {shortest}"
        )
        yield Finding(Rule.CANARY_UNAVAILABLE, reason, case.give_up_s)


def _named(pods: list[PodState]) -> str:
    reasons = sorted({pod.reason for pod in pods if pod.reason})
    return f" ({', '.join(reasons)})" if reasons else ""


def errors(case: Case) -> Iterator[Finding]:
    """Ask whether the canary fails more requests than the limit, or than the stable version.

    FAIL, in this order:
    1. gross: more than half of at least a handful of requests;
    2. the user's limit: the rate is above it and proven worse than stable's, or is proven to be above it by itself;
    3. proven worse than stable, though below the limit.

    1 and 2 wait (HOLD) while the stable version is above the limit, too, and the canary is not proven worse than it:
    then a database is down, and going back would mend nothing, but add a change in the middle of an outage, and teach
    people that aborts mean nothing. When the deadline comes and both are still bad, the canary goes back after all: it
    could not be shown to be good. While stable keeps the limit or has no traffic (weight 100), nothing speaks for
    waiting.
    """
    for stretch in case.stretches:
        yield from _errors_in(case, stretch)


def _errors_in(case: Case, stretch: Stretch) -> Iterator[Finding]:
    policy = case.policy
    canary, stable = stretch.canary.total, stretch.stable.total
    rate = canary.rate
    if rate is None:
        return
    worse = log_e_versus(canary, stable, policy.max_error_ratio) >= needed(stretch.level)
    rule = _broken_limit(canary, policy, worse=worse, level=stretch.level)
    said = f"{stretch.name}{compared(canary, stable)}"
    limit = f"limit {percent(policy.max_error_rate)}"
    if rule is not None:
        limit = f"limit for gross failure {percent(policy.gross_error_rate)}" if rule is Rule.GROSS_FAILURE else limit
        if worse or not _is_bad(stable, policy):
            yield Finding(rule, f"{said}; {limit}")
        else:
            yield Finding(rule, f"{said}; {limit}: both are bad, so it is not the canary alone", case.give_up_s)
    elif worse:
        yield Finding(Rule.ERROR_RATE_VS_STABLE, f"{said}: so much worse than stable comes {luck(stretch.level)}")
    elif rate > policy.max_error_rate and canary.trials >= policy.enough_to_doubt and not stretch.name:
        yield Finding(Rule.ERROR_RATE, f"{said}; {limit}, but this may still be chance", case.give_up_s)


def _broken_limit(canary: Counts, policy: Policy, *, worse: bool, level: float) -> Rule | None:
    """Return the limit that the canary is known to be above, by itself or because it is proven worse than stable."""
    rate = canary.rate or 0.0
    if rate > policy.gross_error_rate and canary.trials >= policy.gross_min_requests:
        return Rule.GROSS_FAILURE
    if rate <= policy.max_error_rate:
        return None
    if worse or log_e_rate(canary.errors, canary.trials, policy.max_error_rate) >= needed(level):
        return Rule.ERROR_RATE
    return None


def _is_bad(stable: Counts, policy: Policy) -> bool:
    return stable.trials >= policy.gross_min_requests and (stable.rate or 0.0) > policy.max_error_rate


def latency(case: Case) -> Iterator[Finding]:
    """Ask whether the canary's P95 is above the limit.

    FAIL as soon as it is proven on counts of slow requests. A quotient of two measured P95 alone, looked at often,
    takes healthy canaries back (Argo Rollouts' analysis: one in two minutes at 5 requests/s), so above the limit
    without a proof is a HOLD, which the deadline ends.
    """
    policy = case.policy
    for stretch in case.stretches:
        found = case.slower(stretch)
        if found is not None and found.requests >= policy.gross_min_requests:
            log_e = log_e_slower(found, 1 - P95)
            if log_e >= needed(stretch.level):
                slow = (
                    f"{stretch.name}{percent(found.slower / found.requests)} of the canary's {number(found.requests)} "
                    f"requests are slower than {seconds(found.threshold_s)}, "
                    f"{_threshold(found, policy)}; limit {percent(1 - P95)}{_ratio(case)}"
                )
                yield Finding(Rule.LATENCY_P95, slow)
    if _is_above(case) and min(case.measured) >= policy.min_requests_latency:
        doubt = f"{_ratio(case).removeprefix('; ')}; limit {policy.max_latency_ratio:g} x, but this may still be chance"
        yield Finding(Rule.LATENCY_P95, doubt, case.give_up_s)


def _threshold(found: Exceedance, policy: Policy) -> str:
    if found.threshold_s <= policy.latency_floor_s:
        return "below which nothing counts as slow"
    return f"{policy.max_latency_ratio:g} x stable's P95"


def _is_above(case: Case) -> bool:
    (canary_s, _), ratio = case.p95, case.latency_ratio
    if canary_s is None or ratio is None:
        return False
    return ratio > case.policy.max_latency_ratio and canary_s > case.policy.latency_floor_s


def _ratio(case: Case) -> str:
    (canary_s, stable_s), ratio = case.p95, case.latency_ratio
    if canary_s is None or stable_s is None or ratio is None:
        return ""
    whose = "stable's before this step" if case.evidence.weight == 100 and case.evidence.reference else "stable's"
    return f"; P95 {seconds(canary_s)}, {ratio:.2f} x {whose} {seconds(stable_s)}"


def share(case: Case) -> Iterator[Finding]:
    """Ask whether the router sends the canary the share that it should.

    Routers answer "done" before it is, or always: what counts is what arrives. A canary that gets less than its weight
    is not being tested; one that gets more puts more users at risk than was agreed.
    """
    evidence, policy = case.evidence, case.policy
    routers = evidence.canary.router, evidence.stable.router
    sent = sum(router.requests for router in routers if router is not None)
    sent = sent or evidence.canary.total.trials + evidence.stable.total.trials
    if evidence.share is None or not evidence.weight or sent < FEWEST_FOR_SHARE:
        return
    wanted = evidence.weight / 100
    allowed = policy.share_tolerance + SIGMAS * math.sqrt(wanted * (1 - wanted) / sent)
    if abs(evidence.share - wanted) > allowed:
        off = (
            f"the canary gets {percent(evidence.share)} of {number(sent)} requests instead of {evidence.weight} % "
            f"(tolerance {percent(allowed)}): the router does not do what Argo Rollouts says"
        )
        yield Finding(Rule.TRAFFIC_SHARE, off, policy.share_deadline_s)


def sight(case: Case) -> Iterator[Finding]:
    """Ask whether the canary can be seen now. A silent Prometheus says nothing about the canary, good or bad.

    So it never fails a canary before its own, long deadline, and then in words that do not blame it.
    """
    evidence, policy = case.evidence, case.policy
    age_s = evidence.sample_age_s or 0.0
    if evidence.silent:
        silent_s = max(evidence.silent_s, age_s if Source.METRICS in evidence.silent else 0.0)
        who = ", ".join(_NAMES[source] for source in evidence.silent)
        what = f"{who} gave no answer for {seconds(silent_s)}"
    elif age_s > policy.max_sample_age_s:
        silent_s, what = age_s, f"the canary's newest sample is {seconds(age_s)} old"
    else:
        return
    blind = f"{what}; this says nothing about the canary"
    if silent_s >= policy.no_metrics_deadline_s:
        end = f"nobody has seen it for {seconds(policy.no_metrics_deadline_s)}, so it goes back: the safe end"
        yield Finding(Rule.NO_METRICS, f"{blind}, but {end}")
    else:
        wait = f"holding for {seconds(policy.no_metrics_deadline_s)} of silence at most"
        yield Finding(Rule.NO_METRICS, f"{blind}; {wait}", math.inf)


_NAMES = {
    Source.METRICS: "Prometheus (the pods' series)",
    Source.ROUTER: "Prometheus (the router's series)",
    Source.PODS: "the API server (pods)",
}


def amount(case: Case) -> Iterator[Finding]:
    """Ask whether enough was seen to call the canary good. Zero errors of three requests prove nothing.

    Where the environment waives the load (see `steadiness`), Prometheus still has to read the canary's pods: otherwise
    nobody would see the requests that fail.
    """
    policy, trouble = case.policy, case.evidence.load_trouble
    if policy.requests_waived:
        if Source.METRICS in case.evidence.answered and case.evidence.sample_age_s is None:
            yield Finding(Rule.NO_METRICS, "Prometheus has not read a pod of the canary yet", case.give_up_s)
        return
    why = f"; {trouble}" if trouble else ""
    seen = case.evidence.canary.total.trials
    if seen < policy.min_requests:
        few = f"the canary has had {number(seen)} requests of the {number(policy.min_requests)} that a verdict needs"
        yield Finding(Rule.NOT_ENOUGH_DATA, few + why, case.give_up_s)
    if case.evidence.alone:
        return
    canary, stable = case.measured
    if min(canary, stable) < policy.min_requests_latency:
        few = (
            f"durations are known of {number(canary)} canary and {number(stable)} stable requests; "
            f"P95 needs {number(policy.min_requests_latency)} of each"
        )
        yield Finding(Rule.NOT_ENOUGH_DATA, few + why, case.give_up_s)
    elif case.latency_ratio is None:
        yield Finding(Rule.NOT_ENOUGH_DATA, "P95 cannot be told from these buckets", case.give_up_s)
