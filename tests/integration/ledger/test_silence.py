"""The ledger falls silent in the middle of a watch: the canary is aborted in time, and the ledger hears of it later."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary.evidence import Counts, Evidence, Observed, PodState, Source
from slipway.canary.plan import Stage
from slipway.canary.policy import Policy
from slipway.flow import finish, watch
from slipway.flow.step import Step
from slipway.hooks.evidence import Window
from slipway.ledger.store import Store
from slipway.names import EventKind, ReleaseState, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATES = ("BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY")


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://slipway@127.0.0.1:{listener.getsockname()[1]}/ledger"


class Canary:
    """Collector and Rollout of a canary that goes bad when it is told to."""

    client = None

    def __init__(self) -> None:
        self.errors = 0.0
        self.start = datetime.now(UTC) - timedelta(seconds=5)
        self.aborted_at: float | None = None

    def look(self, now: datetime, *, reference: object) -> Evidence:
        del reference
        pods = (PodState(name="p", ready=True),)
        return Evidence(
            start=self.start, now=now, hold_s=60, weight=10, weight_set=10, answered=tuple(Source), sample_age_s=1,
            canary=Observed(counts=Counts(requests=500, errors=self.errors), pods=pods),
            stable=Observed(counts=Counts(requests=4500)),
        )  # fmt: skip

    def abort(self, hash_: str) -> Any:
        assert hash_ == "new1"
        self.aborted_at = time.monotonic()
        return SimpleNamespace(describe=lambda: "aborted")


def test_a_bad_canary_is_aborted_within_a_second_and_written_down_when_the_ledger_is_back(
    silent: str, store: Store, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    monkeypatch.setattr(watch, "Pulse", lambda *_: SimpleNamespace(beat=lambda: None))
    monkeypatch.setattr(watch.notify, "aborted", lambda *_, **__: None)
    release = store.acquire(place, "local", "1.0.0", "run-1", timedelta(minutes=5))
    for state in STATES:
        store.advance(release.id, 1, ReleaseState(state))
    facts: Any = SimpleNamespace(base=SimpleNamespace(is_first=False))
    step = Step(None, Store(silent), release, facts)  # type: ignore[arg-type]
    canary: Any = Canary()
    watched = watch.Watch(step, Stage.WEIGHT_10, Window(canary.start, 60, 10, "new1", "old1"), canary, canary, Policy())

    asked = time.monotonic()
    assert watched.look().judgement.verdict is Verdict.HOLD
    assert time.monotonic() - asked < 1, "a look does not wait for the ledger"
    canary.errors, went_bad = 400.0, time.monotonic()
    assert watched.look().judgement.verdict is Verdict.FAIL
    watched.close()

    assert canary.aborted_at - went_bad < 1
    print(f"verdict to abort {canary.aborted_at - went_bad:.3f} s, all of it {time.monotonic() - went_bad:.1f} s")
    assert [one.kind for one in store.events(release.id)].count(EventKind.ABORTED) == 0

    finish.replay(store)
    finish.replay(store)

    (told,) = [one for one in store.events(release.id) if one.kind is EventKind.ABORTED]
    assert told.payload["spooled"] is True
    assert told.payload["stage"] == "weight-10"
    assert abs((told.at - datetime.now(UTC)).total_seconds()) < 60
    assert store.begin_rollback(release.id, "settle", str(told.payload["reason"])).state is ReleaseState.ROLLING_BACK
