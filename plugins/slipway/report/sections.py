"""What a dossier says, as plain tables: the same words for Markdown and for HTML. Pure; nothing is escaped here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from slipway.names import EventKind
from slipway.report import words
from slipway.report.dossier import OWN_KEYS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slipway.ledger.models import Event
    from slipway.report.dossier import Dossier, Judged, Phase

SIGNS: Final = {"good": "✓", "bad": "✕", "open": "…", "idle": "○"}
HEAD_NUMBERS: Final = frozenset({
    "canary_requests", "canary_errors", "canary_error_rate", "stable_requests", "stable_errors", "stable_error_rate",
    "canary_p95_s", "stable_p95_s",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A part of the dossier.

    :param note: a sentence before the table; the whole part when there are no rows.
    :param folded: long and for the few who need it; HTML shows it closed.
    """

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    note: str | None = None
    folded: bool = False


def headline(dossier: Dossier) -> str:
    """Return what became of the release, in one line."""
    return f"{SIGNS[dossier.tone]} {dossier.release.state.replace('_', ' ')}"


def facts(dossier: Dossier) -> list[tuple[str, str]]:
    """Return what one wants to know first."""
    release, exposure, rollback = dossier.release, dossier.exposure, dossier.rollback
    rows = [
        ("release", release.id),
        ("change", words.clean(dossier.change_summary or "not told")),
        ("instead of", dossier.previous.title if dossier.previous else "nothing: the first install"),
        ("requested by", words.clean(dossier.requested_by)),
        *(("approved by", _approval(event)) for event in dossier.approvals),
        ("began", words.moment(release.created_at)),
        ("ended", words.moment(release.ended_at) if release.ended_at else "not yet"),
        ("took", words.duration(dossier.duration_s) if release.ended_at else "not yet ended"),
    ]
    if dossier.decisive is not None:
        rows.append(("decided by", _decision(dossier.decisive)))
    if exposure is not None:
        rows.append(("failed requests on it", words.of(exposure.canary_errors, exposure.canary_requests)))
        rows.append(("exposure", f"{words.duration(exposure.seconds)} at up to {exposure.highest_weight:g} %"))
    if rollback is not None:
        rows.append(("rollback", _rollback_time(dossier)))
    if dossier.link:
        rows.append(("run", words.clean(dossier.link)))
    return rows


def waivers(dossier: Dossier) -> list[str]:
    """Return what was let through although a rule said no, one sentence each."""
    return [
        f"{words.told(event.payload.get('what', 'something'))}: {words.told(event.payload.get('reason', 'no reason'))}"
        f" (by {words.told(event.payload.get('by', event.actor))}, until {words.told(event.payload.get('until'))})"
        for event in dossier.waivers
    ]


def tables(dossier: Dossier) -> list[Table]:
    """Return the parts behind header and charts, in the order in which one asks."""
    return [
        _phases(dossier),
        _verdicts(dossier),
        _exposure(dossier),
        *_going_back(dossier),
        _images(dossier),
        _migration(dossier),
        _receipts(dossier),
        _events(dossier.events),
    ]


def size(count: int | None) -> str:
    """Return a size in MB."""
    return words.UNKNOWN if count is None else f"{count / 1e6:,.1f} MB"


def _approval(event: Event) -> str:
    who = words.told(event.payload.get("by", event.actor))
    comment = event.payload.get("comment")
    return f"{who}, {words.moment(event.at)}" + (f": {words.told(comment)}" if comment else "")


def _decision(verdict: Judged) -> str:
    rule = f" {words.clean(verdict.rule)}" if verdict.rule else ""
    reason = f": {words.clean(verdict.reasons[0])}" if verdict.reasons else ""
    return f"{words.clean(verdict.verdict)}{rule}{reason}"


def _rollback_time(dossier: Dossier) -> str:
    rollback = dossier.rollback
    if rollback is None or rollback.succeeded is None:
        return "under way"
    text = f"{'all proved' if rollback.succeeded else 'NOT proved'} after {words.duration(rollback.duration_s)}"
    if rollback.last_canary_response_s is not None:
        text += f", last response of the new version after {words.duration(rollback.last_canary_response_s)}"
    if rollback.budget_s is not None and rollback.duration_s is not None:
        kept = "within" if rollback.duration_s <= rollback.budget_s else "OVER"
        text += f"; {kept} the budget of {words.duration(rollback.budget_s)}"
    return text


def _phases(dossier: Dossier) -> Table:
    rows = [
        (_began(phase, dossier.phases[0]), phase.state.value, "" if phase.duration_s is None
         else words.duration(phase.duration_s), words.clean(phase.actor))
        for phase in dossier.phases
    ]  # fmt: skip
    return Table("Timeline", ("began (UTC)", "state", "for", "by"), rows)


def _began(phase: Phase, first: Phase) -> str:
    if phase.began_at.date() == first.began_at.date():
        return words.clock(phase.began_at)
    return words.moment(phase.began_at).removesuffix(" UTC")  # a bake may go past midnight


def _verdicts(dossier: Dossier) -> Table:
    rows = []
    for one in dossier.verdicts:
        numbers = one.numbers
        rest = [f"{words.label(key)} {words.told(numbers[key])}" for key in numbers if key not in HEAD_NUMBERS]
        seal = {True: "unchanged", False: "CHANGED", None: "not sealed"}[one.sealed]
        rows.append(
            (
                words.clock(one.at),
                words.clean(one.stage),
                words.clean(one.verdict) + (f" {words.clean(one.rule)}" if one.rule else ""),
                words.of(numbers.get("canary_errors"), numbers.get("canary_requests")),
                words.of(numbers.get("stable_errors"), numbers.get("stable_requests")),
                f"{words.seconds(numbers.get('canary_p95_s'))} / {words.seconds(numbers.get('stable_p95_s'))}",
                words.clean("; ".join([*one.reasons, *rest])),
                f"{one.samples or 0}, {seal}",
            )
        )
    head = ("at (UTC)", "stage", "verdict", "failed, new", "failed, stable", "P95 new / stable", "why", "samples")
    return Table("Verdicts", head, rows, None if rows else "No verdict was recorded.")


def _exposure(dossier: Dossier) -> Table:
    exposure = dossier.exposure
    if exposure is None:
        return Table("Exposure", note="No user has met this version.")
    return Table("Exposure", ("", "requests", "failed"), [
        ("new version", words.count(exposure.canary_requests),
         words.of(exposure.canary_errors, exposure.canary_requests)),
        ("stable version, meanwhile", words.count(exposure.stable_requests),
         words.of(exposure.stable_errors, exposure.stable_requests)),
    ], f"Up to {exposure.highest_weight:g} % of the traffic for {words.duration(exposure.seconds)}.")  # fmt: skip


def _going_back(dossier: Dossier) -> list[Table]:
    if dossier.abort is None and dossier.rollback is None:
        return []
    notes = []
    if (abort := dossier.abort) is not None:
        rule = f", rule {words.clean(abort.rule)}" if abort.rule else ""
        reason = f": {words.clean(abort.reason)}" if abort.reason else ""
        notes.append(f"Aborted at {words.clock(abort.at)} UTC by {words.clean(abort.by)}{rule}{reason}.")
    if (rollback := dossier.rollback) is not None:
        notes.append(f"Decided by {words.clean(rollback.actor)}: {words.clean(rollback.reason)}.")
        notes.append(f"Result: {_rollback_time(dossier)}.")
    began = dossier.abort.at if dossier.abort else None
    steps = dossier.rollback.steps if dossier.rollback else ()
    rows = [
        (f"+{words.duration((step.at - (began or steps[0].at)).total_seconds())}", words.label(step.kind.value),
         words.clean(step.actor), _payload(step, without=OWN_KEYS))
        for step in steps
    ]  # fmt: skip
    return [Table("Going back", ("after", "step", "by", "what"), rows, " ".join(notes))]


def _images(dossier: Dossier) -> Table:
    rows = [
        (words.clean(image.name), words.clean(image.digest or words.UNKNOWN), size(image.size_bytes))
        for image in dossier.images
    ]
    return Table("Images", ("image", "digest", "size"), rows, None if rows else "No image was recorded.")


def _migration(dossier: Dossier) -> Table:
    rows = [(words.label(key), words.told(value)) for key, value in dossier.migration]
    return Table("Migration", ("what", "value"), rows, None if rows else "Nothing was told about a migration.")


def _receipts(dossier: Dossier) -> Table:
    rows = [
        (words.clock(one.claimed_at), words.label(one.occasion.value), one.channel.value, one.state.value,
         str(one.attempts), words.clean(one.detail or ""))
        for one in dossier.receipts
    ]  # fmt: skip
    head = ("at (UTC)", "occasion", "channel", "state", "attempts", "detail")
    return Table("Notifications", head, rows, None if rows else "Nobody was notified.")


def _events(events: Sequence[Event]) -> Table:
    rows = [
        (str(event.seq), words.moment(event.at).removesuffix(" UTC"), words.label(event.kind.value),
         words.clean(event.actor), _payload(event), event.hash[:8])
        for event in events
    ]  # fmt: skip
    return Table("Every event", ("", "at (UTC)", "kind", "by", "what", "hash"), rows, folded=True)


def _payload(event: Event, without: Collection[str] = ()) -> str:
    if event.kind is EventKind.VERDICT:
        return f"{words.told(event.payload.get('verdict'))} in {words.told(event.payload.get('stage'))}, see verdicts"
    told = [f"{words.label(key)}: {words.told(value)}" for key, value in event.payload.items() if key not in without]
    return "; ".join(told)
