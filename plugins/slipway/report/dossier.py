"""Rows of the ledger as one typed dossier. Pure.

Payload keys that have a place of their own, beside `from`, `to` and `epoch` of state changes; all of them optional,
whatever else a payload holds is shown among the events:

=================  ==================================================================================================
planned            change_summary, requested_by, link, max_error_rate (0 to 1), max_p95_ratio
approved           by, comment
image-built        image, digest, reference, size_bytes
migrated           whatever the migration tells
step-started       stage, weight (percent)
verdict            written by `Store.record_verdict`
aborted            by (AbortedBy), rule, reason, numbers
rollback-started   reason
truth-proved       truth, ok, found
rollback-finished  duration_s, last_canary_response_s, budget_s; rollback-failed: reason
waived             what, reason, by, until
=================  ==================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from slipway.ledger import chain, states
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from slipway.ledger.chain import Broken
    from slipway.ledger.models import Event, Receipt, Record, Release, Sample

RATE_WINDOW_S: Final = 15
"""The error rate of a moment is that of the requests of so many seconds before it."""
OWN_KEYS: Final = frozenset({"from", "to", "epoch"})
ROLLBACK_KINDS: Final = frozenset({
    EventKind.ABORTED, EventKind.ROLLBACK_STARTED, EventKind.TRUTH_PROVED, EventKind.ROLLBACK_FINISHED,
    EventKind.ROLLBACK_FAILED,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Phase:
    """One state that the release was in. `duration_s` is None for the last one."""

    state: ReleaseState
    began_at: datetime
    duration_s: float | None
    actor: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image that was released."""

    name: str
    digest: str | None
    reference: str | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict.

    :param sealed: whether the samples in the ledger are still those that it was made of; None if it did not say.
    """

    at: datetime
    stage: str
    verdict: str
    rule: str | None
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any]
    samples: int | None
    sealed: bool | None


@dataclass(frozen=True, slots=True)
class Point:
    """Numbers of one moment: rates 0 to 1, latencies in seconds, weight in percent; None is "not known"."""

    at: datetime
    stage: str
    canary_rate: float | None
    stable_rate: float | None
    canary_p95_s: float | None
    stable_p95_s: float | None
    weight: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of the users' traffic met the new version.

    :param seconds: from the first step with a weight to the last response of the canary or the promotion.
    """

    seconds: float | None
    highest_weight: float
    canary_requests: int
    canary_errors: int
    stable_requests: int
    stable_errors: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Who stopped the canary, by which rule."""

    at: datetime
    by: str
    rule: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Rollback:
    """How the release was taken back.

    :param duration_s: as it was measured; otherwise from the beginning to the end in the ledger.
    :param succeeded: None while it is under way.
    """

    began_at: datetime
    actor: str
    reason: str
    steps: tuple[Event, ...]
    duration_s: float | None
    last_canary_response_s: float | None
    budget_s: float | None
    succeeded: bool | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that is told about a release."""

    release: Release
    previous: Release | None
    change_summary: str | None
    requested_by: str
    link: str | None
    approvals: tuple[Event, ...]
    duration_s: float | None
    phases: tuple[Phase, ...]
    waivers: tuple[Event, ...]
    images: tuple[Image, ...]
    migration: tuple[tuple[str, Any], ...]
    verdicts: tuple[Judged, ...]
    points: tuple[Point, ...]
    exposure: Exposure | None
    abort: Abort | None
    rollback: Rollback | None
    receipts: tuple[Receipt, ...]
    events: tuple[Event, ...]
    broken: Broken | None
    state_agrees: bool
    max_error_rate: float | None
    max_p95_ratio: float | None

    @property
    def meaning(self) -> str:
        """What the state means, in a sentence."""
        return states.MEANING[self.release.state]

    @property
    def tone(self) -> str:
        """`good`, `bad`, `idle` (given up) or `open` (under way)."""
        state = self.release.state
        if state is ReleaseState.CANCELLED:
            return "idle"
        return "good" if state is ReleaseState.PROMOTED else "bad" if state in states.GOING_BACK else "open"

    @property
    def decisive(self) -> Judged | None:
        """The verdict that decided: the last one that is no HOLD."""
        return next((one for one in reversed(self.verdicts) if one.verdict != "HOLD"), None)

    @property
    def proof(self) -> tuple[bool, str]:
        """Whether the record holds, and a sentence about it."""
        if self.broken is not None:
            return False, f"The hash chain is broken: {self.broken}. Do not trust this record from there on."
        if not self.state_agrees:
            return False, "The release's state is not the one that its last event tells. Do not trust its header."
        if any(one.sealed is False for one in self.verdicts):
            return False, "The samples of a verdict are not the ones that it was made of. Do not trust the charts."
        return True, f"All {len(self.events)} events are unchanged; head {self.release.last_hash[:16]}."


def assemble(record: Record) -> Dossier:
    """Make the dossier of a record."""
    release, events = record.release, record.events
    phases = _phases(events)
    planned = next((event for event in events if event.kind is EventKind.PLANNED), None)
    details: Mapping[str, Any] = planned.payload if planned else {}
    points = tuple(_points(record.samples))
    abort = _abort(events)
    rollback = _rollback(events)
    return Dossier(
        release=release,
        previous=record.previous,
        change_summary=_text(details, "change_summary"),
        requested_by=_text(details, "requested_by") or (planned.actor if planned else "unknown"),
        link=_text(details, "link"),
        approvals=_of(events, EventKind.APPROVED),
        duration_s=(release.ended_at - release.created_at).total_seconds() if release.ended_at else None,
        phases=phases,
        waivers=_of(events, EventKind.WAIVED),
        images=tuple(_image(event.payload) for event in _of(events, EventKind.IMAGE_BUILT)),
        migration=tuple(
            (key, value)
            for event in _of(events, EventKind.MIGRATED)
            for key, value in event.payload.items()
            if key not in OWN_KEYS
        ),
        verdicts=tuple(_judged(event, record.samples) for event in _of(events, EventKind.VERDICT)),
        points=points,
        exposure=_exposure(record, points, abort, rollback),
        abort=abort,
        rollback=rollback,
        receipts=record.receipts,
        events=events,
        broken=chain.verify(events, (release.last_seq, release.last_hash)),
        state_agrees=bool(phases) and phases[-1].state is release.state,
        max_error_rate=_number(details, "max_error_rate"),
        max_p95_ratio=_number(details, "max_p95_ratio"),
    )


def _of(events: Iterable[Event], kind: EventKind) -> tuple[Event, ...]:
    return tuple(event for event in events if event.kind is kind)


def _text(payload: Mapping[str, Any], key: str) -> str | None:
    value = payload.get(key)
    return value if isinstance(value, str) and value else None


def _number(payload: Mapping[str, Any], key: str) -> float | None:
    value = payload.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _phases(events: Sequence[Event]) -> tuple[Phase, ...]:
    known = {state.value: state for state in ReleaseState}
    changes = [(event, known[event.payload["to"]]) for event in events if event.payload.get("to") in known]
    ends = [event.at for event, _ in changes[1:]]
    return tuple(
        Phase(state, event.at, (end - event.at).total_seconds() if end else None, event.actor)
        for (event, state), end in zip(changes, [*ends, None], strict=True)
    ) if changes else ()  # fmt: skip


def _image(payload: Mapping[str, Any]) -> Image:
    size = _number(payload, "size_bytes")
    return Image(
        name=_text(payload, "image") or _text(payload, "reference") or "unnamed",
        digest=_text(payload, "digest"),
        reference=_text(payload, "reference"),
        size_bytes=int(size) if size is not None else None,
    )


def _judged(event: Event, samples: Sequence[Sample]) -> Judged:
    payload = event.payload
    stage, sealed = _text(payload, "stage") or "", None
    if (digest := _text(payload, "samples_digest")) and (judged_at := _text(payload, "judged_at")):
        used = [sample for sample in samples if sample.stage == stage and chain.moment(sample.at) <= judged_at]
        sealed = chain.digest(used) == digest
    reasons, numbers = payload.get("reasons"), payload.get("numbers")
    known = _number(payload, "samples")
    return Judged(
        at=event.at,
        stage=stage,
        verdict=_text(payload, "verdict") or "unknown",
        rule=_text(payload, "rule"),
        reasons=tuple(str(reason) for reason in reasons) if isinstance(reasons, list) else (),
        numbers=numbers if isinstance(numbers, dict) else {},
        samples=int(known) if known is not None else None,
        sealed=sealed,
    )


def _points(samples: Sequence[Sample]) -> Iterable[Point]:
    ordered = sorted(samples, key=lambda sample: sample.at)
    for _, stage in groupby(ordered, key=lambda sample: sample.stage):
        seen: list[Sample] = []
        for sample in stage:
            seen.append(sample)
            numbers = sample.numbers
            yield Point(
                at=sample.at,
                stage=sample.stage,
                canary_rate=_rate(seen, "canary"),
                stable_rate=_rate(seen, "stable"),
                canary_p95_s=numbers.get("canary_p95_s"),
                stable_p95_s=numbers.get("stable_p95_s"),
                weight=numbers.get("weight"),
                share=numbers.get("observed_share"),
            )


def _rate(seen: Sequence[Sample], who: str) -> float | None:
    """Return the error rate of the requests between the newest sample and the one RATE_WINDOW_S before it.

    Counts are since the start of the stage, so what there was before its first sample is 0.
    """
    newest = seen[-1]
    base = next(
        (one for one in reversed(seen[:-1]) if (newest.at - one.at).total_seconds() >= RATE_WINDOW_S), None
    )  # fmt: skip
    requests, errors = (
        _grown(base.numbers.get(f"{who}_{what}") if base else 0, newest.numbers.get(f"{who}_{what}"))
        for what in ("requests", "errors")
    )
    if requests is None or errors is None or requests <= 0:
        return None
    return min(errors / requests, 1.0)


def _grown(before: float | None, now: float | None) -> float | None:
    if now is None or before is None:
        return None
    return now - before if now >= before else now  # the counting began anew


def _exposure(
    record: Record, points: Sequence[Point], abort: Abort | None, rollback: Rollback | None
) -> Exposure | None:
    weighted = [point for point in points if point.weight]
    steps = [event for event in _of(record.events, EventKind.STEP_STARTED) if _number(event.payload, "weight")]
    if not weighted and not steps:
        return None
    began = min([point.at for point in weighted] + [event.at for event in steps])
    end = _end_of_exposure(record, abort, rollback)
    stages: dict[str, Sample] = {sample.stage: sample for sample in sorted(record.samples, key=lambda one: one.at)}
    sums = [
        int(sum(sample.numbers.get(key) or 0 for sample in stages.values()))
        for key in ("canary_requests", "canary_errors", "stable_requests", "stable_errors")
    ]
    weights = [float(point.weight or 0) for point in weighted]
    weights += [_number(event.payload, "weight") or 0 for event in steps]
    return Exposure((end - began).total_seconds() if end else None, max(weights), *sums)


def _end_of_exposure(record: Record, abort: Abort | None, rollback: Rollback | None) -> datetime | None:
    if abort is not None or rollback is not None:
        began = abort.at if abort is not None else rollback.began_at if rollback is not None else None
        last = rollback.last_canary_response_s if rollback is not None else None
        return began + timedelta(seconds=last or 0) if began is not None else None
    return record.release.ended_at


def _abort(events: Sequence[Event]) -> Abort | None:
    first = next(iter(_of(events, EventKind.ABORTED)), None)
    if first is None:
        return None
    payload = first.payload
    return Abort(first.at, _text(payload, "by") or first.actor, _text(payload, "rule"), _text(payload, "reason"))


def _rollback(events: Sequence[Event]) -> Rollback | None:
    started = _of(events, EventKind.ROLLBACK_STARTED)
    if not started:
        return None
    first = started[0]
    ends = [e for e in events if e.kind in (EventKind.ROLLBACK_FINISHED, EventKind.ROLLBACK_FAILED)]
    end = ends[-1] if ends and ends[-1].seq > started[-1].seq else None
    told: Mapping[str, Any] = end.payload if end else {}
    measured = _number(told, "duration_s")
    if measured is None and end is not None:
        measured = (end.at - first.at).total_seconds()
    return Rollback(
        began_at=first.at,
        actor=first.actor,
        reason=_text(first.payload, "reason") or "not told",
        steps=tuple(event for event in events if event.kind in ROLLBACK_KINDS),
        duration_s=measured,
        last_canary_response_s=_number(told, "last_canary_response_s"),
        budget_s=_number(told, "budget_s"),
        succeeded=None if end is None else end.kind is EventKind.ROLLBACK_FINISHED,
    )
