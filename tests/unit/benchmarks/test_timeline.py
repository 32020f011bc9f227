"""A release's time is cut by the events of its record, and every second of it is in exactly one part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway.ledger.models import Event, Record, Release, Sample
from slipway.names import EventKind, ReleaseState

from benchmarks.timeline import timeline

BEGIN = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def record(state: ReleaseState, *events: tuple[float, EventKind, dict[str, Any]]) -> Record:
    release = Release(
        "shop-2-local-1", "shop", "2.0.0", "local", "run", state, 1, None, "shop-1-local-1", BEGIN, BEGIN, None, 1, "0"
    )
    made = [
        Event(release.id, number, at(seconds), "slipway", kind, payload, None, "0")
        for number, (seconds, kind, payload) in enumerate(events, start=1)
    ]
    samples = (Sample(release.id, at(44), "weight-10", {}), Sample(release.id, at(45), "weight-10", {}))
    return Record(release, tuple(made), samples, (), None)


def started(seconds: float, stage: str, hold_s: float) -> tuple[float, EventKind, dict[str, Any]]:
    return seconds, EventKind.STEP_STARTED, {"stage": stage, "hold_s": hold_s, "start": at(seconds - 0.5).isoformat()}


def verdict(seconds: float, stage: str, word: str = "PASS") -> tuple[float, EventKind, dict[str, Any]]:
    return seconds, EventKind.VERDICT, {"stage": stage, "verdict": word}


UNTIL_TRAFFIC = (
    (0.0, EventKind.PLANNED, {}),
    (3.0, EventKind.LEASED, {}),
    (10.0, EventKind.IMAGE_BUILT, {}),
    (13.0, EventKind.IMAGE_BUILT, {}),
    (20.0, EventKind.DEPLOYED, {}),
    (30.0, EventKind.MIGRATED, {}),
    (32.0, EventKind.MONITORED, {}),
    started(42.0, "weight-10", 25),
    verdict(43.0, "weight-10", "HOLD"),
)


def test_a_promoted_release() -> None:
    found = timeline(
        record(
            ReleaseState.PROMOTED,
            *UNTIL_TRAFFIC,
            verdict(70.0, "weight-10"),  # 28 s for a hold of 25
            started(75.0, "weight-50", 25),
            verdict(100.0, "weight-50"),
            started(105.0, "weight-100", 20),
            verdict(115.0, "follower-worker"),
            verdict(140.0, "weight-100"),  # the bake ran beside the followers: 20 s of 35 are its own
            (142.0, EventKind.PROMOTED, {}),
            (150.0, EventKind.NOTIFIED, {}),
        )
    )
    assert found.whole_s == 142
    assert sum(found.parts.values()) == pytest.approx(found.whole_s)
    assert (found.holds_s, found.builds_s) == (70, 10)
    assert found.pods_s == (42 - 32) + 5 + 5 + 15
    assert (found.without_pods_s, found.rest_s) == (62, 27)
    assert found.first_look_s == 2.5
    assert found.verdict_s is None


def test_a_release_that_was_taken_back() -> None:
    found = timeline(
        record(
            ReleaseState.ROLLED_BACK,
            *UNTIL_TRAFFIC,
            verdict(48.0, "weight-10", "FAIL"),
            (48.1, EventKind.ABORTED, {}),
            (52.0, EventKind.ROLLBACK_STARTED, {}),
            (60.0, EventKind.ROLLBACK_FINISHED, {}),
        )
    )
    assert (found.whole_s, found.holds_s) == (60, 6)
    assert found.parts["settle"] == 4
    assert found.parts["end"] == 8
    assert found.verdict_s == pytest.approx(48.1 - 41.5)


def test_one_that_has_not_ended_has_no_time() -> None:
    with pytest.raises(ValueError, match="is CANARY"):
        timeline(record(ReleaseState.CANARY, *UNTIL_TRAFFIC))
