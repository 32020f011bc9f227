"""Evidence as literals: a healthy canary at 10 %, of which a test changes what it is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slipway.canary import Counts, Evidence, Histogram, Observed, PodState, RouterCounts, Source

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
BOUNDS = tuple(round(0.01 * 1.1**step, 4) for step in range(60))
READY = (PodState(name="pod-1", ready=True),)
EvidenceMaker = Callable[..., Evidence]
ObservedMaker = Callable[..., Observed]


def durations(count: float, at_s: float = 0.05, slow: float = 0.0, slow_s: float = 0.5) -> Histogram:
    """Return a histogram in which a part is slow: all at `at_s`, except `slow` of them at `slow_s`."""
    quick = count * (1 - slow)
    pairs = tuple((bound, quick * (bound >= at_s) + (count - quick) * (bound >= slow_s)) for bound in BOUNDS)
    return Histogram(buckets=pairs, count=count)


def seen(requests: float, errors: float = 0, *, lost: float = 0, **changes: Any) -> Observed:
    """Return one version: its requests, all with a duration, and its one ready pod."""
    known: dict[str, Any] = {
        "counts": Counts(requests=requests, errors=errors),
        "latency": durations(requests),
        "router": RouterCounts(requests=requests + lost, errors=lost),
        "pods": READY,
    }
    return Observed(**{**known, **changes})


def after(elapsed_s: float, canary: Observed, stable: Observed, **changes: Any) -> Evidence:
    """Return the evidence so many seconds into a hold of 60 s at weight 10."""
    known: dict[str, Any] = {
        "start": START,
        "now": START + timedelta(seconds=elapsed_s),
        "hold_s": 60,
        "canary": canary,
        "stable": stable,
        "weight": 10,
        "weight_set": 10,
        "share": 0.1,
        "sample_age_s": 2,
        "answered": tuple(Source),
    }
    return Evidence(**{**known, **changes})


@pytest.fixture
def observed() -> ObservedMaker:
    return seen


@pytest.fixture
def evidence() -> EvidenceMaker:
    return after


@pytest.fixture
def histogram() -> Callable[..., Histogram]:
    return durations
