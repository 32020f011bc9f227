from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from slipway.ledger.models import Record, Sample
from slipway.names import EventKind, ReleaseState
from slipway.report.dossier import assemble
from slipway.report.sections import tables

from .records import ID, Recorder, at, bad, good


def test_a_release_that_was_taken_back() -> None:
    dossier = assemble(bad())
    assert (dossier.tone, dossier.meaning) == ("bad", "The old version serves everybody again, and that was proved.")
    assert [(phase.state.value, phase.duration_s) for phase in dossier.phases] == [
        ("PLANNED", 32), ("BUILT", 13), ("DEPLOYED", 26), ("MIGRATED", 19), ("MONITORED", 6), ("CANARY", 52.6),
        ("ROLLING_BACK", 11.4), ("ROLLED_BACK", None),
    ]  # fmt: skip
    assert dossier.duration_s == 160
    assert dossier.decisive is not None
    assert (dossier.decisive.rule, dossier.decisive.sealed, dossier.decisive.samples) == ("ERROR_RATE", True, 9)
    assert dossier.abort is not None
    assert (dossier.abort.by, dossier.abort.rule) == ("slipway", "ERROR_RATE")
    assert dossier.rollback is not None
    assert (dossier.rollback.duration_s, dossier.rollback.last_canary_response_s) == (11.4, 2.1)
    assert [step.kind.value for step in dossier.rollback.steps] == [
        "aborted", "rollback-started", *["truth-proved"] * 4, "rollback-finished",
    ]  # fmt: skip
    assert dict(dossier.migration) == {"revision": "7f3a -> 9c1d", "duration_s": 3.2, "rows": 1_000_000}
    assert [(image.name, image.size_bytes) for image in dossier.images] == [
        ("backend", 142_300_000), ("frontend", 142_300_000),
    ]  # fmt: skip
    assert dossier.proof[0]


def test_exposure_ends_with_the_last_response_and_sums_the_stages() -> None:
    exposure = assemble(bad()).exposure
    assert exposure is not None
    assert (exposure.seconds, exposure.highest_weight) == (50.5, 10)  # 100 s to 148.4 s, and 2.1 s of tail
    assert (exposure.canary_requests, exposure.canary_errors) == (300 + 160, 32)


def test_exposure_of_a_promoted_release_ends_with_its_promotion() -> None:
    dossier = assemble(good())
    assert dossier.tone == "good"
    assert dossier.exposure is not None
    assert (dossier.exposure.seconds, dossier.exposure.highest_weight) == (100, 100)
    assert dossier.rollback is dossier.abort is None


def test_a_release_that_met_nobody() -> None:
    recorder = Recorder()
    recorder.go(3, ReleaseState.BUILT)
    recorder.go(4, ReleaseState.CANCELLED)
    dossier = assemble(recorder.record())
    assert (dossier.exposure, dossier.points, dossier.verdicts, dossier.tone) == (None, (), (), "idle")


def test_the_rate_of_a_moment_is_that_of_its_last_15_seconds() -> None:
    recorder = Recorder()
    for seconds, requests, errors in ((0, 0, 0), (5, 100, 0), (10, 200, 0), (20, 300, 50), (25, 400, 50), (26, 20, 2)):
        recorder.sample(seconds, "s", canary_requests=requests, canary_errors=errors, stable_requests=None)
    recorder.sample(30, "next", canary_requests=10, canary_errors=1)
    points = assemble(recorder.record()).points
    rates = [point.canary_rate for point in points]
    assert rates == [None, 0, 0, 50 / 200, 50 / 200, 2 / 20, 1 / 10]
    assert {point.stable_rate for point in points} == {None}


def test_a_rollback_that_is_under_way_and_one_that_failed() -> None:
    recorder = Recorder()
    recorder.go(5, ReleaseState.ROLLING_BACK, EventKind.ROLLBACK_STARTED, reason="x")
    rollback = assemble(recorder.record()).rollback
    assert rollback is not None
    assert (rollback.succeeded, rollback.duration_s) == (None, None)
    recorder.go(65, ReleaseState.ROLLBACK_FAILED, EventKind.ROLLBACK_FAILED, reason="cluster away")
    rollback = assemble(recorder.record()).rollback
    assert rollback is not None
    assert (rollback.succeeded, rollback.duration_s) == (False, 60)
    recorder.go(70, ReleaseState.ROLLING_BACK, EventKind.ROLLBACK_STARTED, reason="again")
    rollback = assemble(recorder.record()).rollback
    assert rollback is not None
    assert rollback.succeeded is None, "the second try has not ended"


def tampered(record: Record, seq: int, **changed: Any) -> Record:
    events = [replace(event, **changed) if event.seq == seq else event for event in record.events]
    return replace(record, events=tuple(events))


def test_says_when_the_record_does_not_hold() -> None:
    record = bad()
    assert assemble(tampered(record, 9, actor="eve")).proof == (
        False,
        "The hash chain is broken: event 9 was changed, or an event before it was. "
        "Do not trust this record from there on.",
    )
    assert (
        assemble(replace(record, events=record.events[:-1]))
        .proof[1]
        .startswith("The hash chain is broken: event 19 is missing.")
    )
    promoted = replace(record, release=replace(record.release, state=ReleaseState.PROMOTED))
    assert "not the one that its last event tells" in assemble(promoted).proof[1]
    samples = (*record.samples[:-1], replace(record.samples[-1], numbers={"canary_errors": 0}))
    assert "samples of a verdict are not the ones" in assemble(replace(record, samples=samples)).proof[1]
    more = (*record.samples, Sample(ID, at(900), "canary-10-b", {}))
    assert assemble(replace(record, samples=more)).proof[0], "what came after the verdict is not its business"


@pytest.mark.parametrize("payload", [{}, {"numbers": 3, "reasons": "x", "stage": None}, {"by": 7, "weight": "x"}])
@pytest.mark.parametrize("kind", list(EventKind))
def test_any_payload_of_any_kind_is_taken(kind: EventKind, payload: dict[str, Any]) -> None:
    recorder = Recorder()
    recorder.tell(1, kind, payload)
    dossier = assemble(recorder.record())
    assert len(dossier.events) == 2
    assert dossier.proof[0]


def test_times_of_an_unended_release_are_open() -> None:
    dossier = assemble(Recorder().record())
    assert dossier.duration_s is None
    assert dossier.phases[-1].began_at + timedelta(0) == at(0)


def test_the_timeline_names_the_day_once_it_is_another_one() -> None:
    recorder = Recorder()
    recorder.go(10, ReleaseState.BUILT)
    recorder.go(86_400, ReleaseState.DEPLOYED, EventKind.DEPLOYED)
    timeline = tables(assemble(recorder.record()))[0]
    assert [row[0] for row in timeline.rows] == ["18:20:00", "18:20:10", "2026-11-25 18:20:00"]
