"""A newer release ends a bake, on a real ledger: the older one's own watch hears of it, and its own run promotes it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from slipway.errors import RefusedError
from slipway.flow import supersede
from slipway.names import EventKind, ReleaseState, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

TTL = timedelta(minutes=5)
STATES = ("BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY", "BAKING")


def carried(store: Store, place: str, to: str = "BAKING") -> Release:
    release = store.acquire(place, "local", "1.0.0", "run-1", TTL)
    for state in STATES[: STATES.index(to) + 1]:
        release = store.advance(release.id, 1, ReleaseState(state))
    return release


class Run:
    """The run of the older release: once its watch hears of a request, it does what it is told to."""

    def __init__(self, store: Store, release: Release, act: Callable[[], object]) -> None:
        self.heard = ""
        self._thread = threading.Thread(target=self._watch, args=(store, release, act), daemon=True)
        self._thread.start()

    def _watch(self, store: Store, release: Release, act: Callable[[], object]) -> None:
        while not self.heard:
            self.heard = supersede.asked(store, release.id)
        act()

    def join(self) -> str:
        self._thread.join(10)
        return self.heard


def test_the_older_one_is_promoted_by_its_own_run_and_the_newer_one_gets_the_lock(store: Store, place: str) -> None:
    older = carried(store, place)
    newer = store.plan(place, "local", "1.1.0", "run-2")
    assert supersede.asked(store, older.id) == ""
    run = Run(store, older, lambda: store.advance(older.id, older.epoch, ReleaseState.PROMOTED))

    supersede.end_bake(store, newer, "security fix")

    assert run.join() == f"{place} 1.1.0 in local ends this bake: security fix"
    assert store.release(older.id).state is ReleaseState.PROMOTED
    assert store.release(older.id).epoch == older.epoch, "nobody was fenced off"
    assert store.acquire(place, "local", "1.1.0", "run-2", TTL).previous == older.id


def test_one_that_goes_bad_meanwhile_is_not_promoted(store: Store, place: str) -> None:
    older = carried(store, place)
    newer = store.plan(place, "local", "1.1.0", "run-2")
    run = Run(store, older, lambda: store.begin_rollback(older.id, "settle", "errors"))

    with pytest.raises(RefusedError) as refused:
        supersede.end_bake(store, newer, "security fix")

    run.join()
    assert str(refused.value).startswith(f"{older.id} was not promoted but is ROLLING_BACK\n  do     read why")


def test_one_that_cannot_be_promoted_yet_says_why_and_the_request_dies_with_the_newer_one(
    store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = carried(store, place)
    newer = store.plan(place, "local", "1.1.0", "run-2")
    store.record_verdict(
        older.id, at=older.updated_at, stage="weight-100", verdict=Verdict.HOLD, rule=None, reasons=["12 requests"],
        numbers={},
    )  # fmt: skip
    monkeypatch.setattr(supersede, "WITHIN_S", 0.0)

    with pytest.raises(RefusedError) as refused:
        supersede.end_bake(store, newer, "security fix")

    assert refused.value.found == "HOLD: 12 requests"
    assert supersede.asked(store, older.id)
    store.cancel(newer.id, "slipway", refused.value.what)
    assert supersede.asked(store, older.id) == ""


def test_asking_twice_is_asking_once(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    older = carried(store, place)
    newer = store.plan(place, "local", "1.1.0", "run-2")
    monkeypatch.setattr(supersede, "WITHIN_S", 0.0)
    for _ in range(2):
        with pytest.raises(RefusedError):
            supersede.end_bake(store, newer, "security fix")

    assert [event.kind for event in store.events(older.id)].count(EventKind.NOTED) == 1


def test_what_does_not_bake_is_not_asked(store: Store, place: str) -> None:
    older = carried(store, place, to="CANARY")
    supersede.end_bake(store, store.plan(place, "local", "1.1.0", "run-2"), "security fix")

    assert supersede.asked(store, older.id) == ""
