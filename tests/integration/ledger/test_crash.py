"""Killed at any place, and repeated: the ledger is as if nothing had happened."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from slipway.errors import LedgerError
from slipway.ledger import chain
from slipway.ledger.spool import Spool
from slipway.ledger.store import Store
from slipway.names import Channel, EventKind, Occasion, ReleaseState, Verdict

from .conftest import SERVER
from .killing import is_killed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TTL = timedelta(minutes=5)
AT = datetime(2026, 11, 24, 18, 20, tzinfo=UTC)
ABORT = (Occasion.ABORTED, Channel.SLACK)


class Case(NamedTuple):
    prepare: Callable[[Store, str], Any]
    act: Callable[[Store, str, str], object]
    places: int
    """How many places there are at least: a case that is killed nowhere would prove nothing."""


def nothing(_store: Store, _app: str) -> None:
    pass


def acquired(store: Store, app: str) -> None:
    store.acquire(app, "local", "1.0.0", "run", TTL)


def in_canary(store: Store, app: str) -> None:
    release = store.acquire(app, "local", "1.0.0", "run", TTL)
    for state in ("BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY"):
        store.advance(release.id, 1, ReleaseState(state))


def going_back(store: Store, app: str) -> None:
    in_canary(store, app)
    store.begin_rollback(id_of(store, app), "settle", "errors")


def claimed(store: Store, app: str) -> None:
    in_canary(store, app)
    store.claim_notification(id_of(store, app), *ABORT)


def promoted(store: Store, app: str) -> None:
    in_canary(store, app)
    for state in ("BAKING", "PROMOTED"):
        store.advance(id_of(store, app), 1, ReleaseState(state))


def sampled(store: Store, app: str) -> None:
    in_canary(store, app)
    store.record_sample(id_of(store, app), AT, "canary-10", {"weight": 10})


CASES = {
    "plan": Case(nothing, lambda s, a, _: s.plan(a, "local", "1.0.0", "run"), 8),
    "acquire": Case(nothing, lambda s, a, _: s.acquire(a, "local", "1.0.0", "run", TTL), 13),
    "renew": Case(in_canary, lambda s, _, i: s.renew(i, 1, TTL), 4),
    "advance": Case(acquired, lambda s, _, i: s.advance(i, 1, ReleaseState.BUILT), 6),
    "promote": Case(
        lambda s, a: (in_canary(s, a), s.advance(id_of(s, a), 1, ReleaseState.BAKING)),
        lambda s, _, i: s.advance(i, 1, ReleaseState.PROMOTED), 6,
    ),
    "append": Case(acquired, lambda s, _, i: s.append(i, EventKind.NOTED, {"n": 1}, key="once"), 6),
    "sample": Case(in_canary, lambda s, _, i: s.record_sample(i, AT, "canary-10", {"weight": 10}), 3),
    "verdict": Case(
        sampled,
        lambda s, _, i: s.record_verdict(
            i, at=AT, stage="canary-10", verdict=Verdict.FAIL, reasons=["x"], numbers={}, key="v"
        ), 7,
    ),
    "begin rollback": Case(in_canary, lambda s, _, i: s.begin_rollback(i, "settle", "errors"), 8),
    "begin rollback of a promoted one": Case(promoted, lambda s, _, i: s.begin_rollback(i, "ada", "bug"), 10),
    "finish rollback": Case(going_back, lambda s, _, i: s.finish_rollback(i, 2, succeeded=True), 6),
    "fail rollback": Case(going_back, lambda s, _, i: s.finish_rollback(i, 2, succeeded=False), 6),
    "cancel": Case(acquired, lambda s, _, i: s.cancel(i, "ada", "no"), 8),
    "claim": Case(in_canary, lambda s, _, i: s.claim_notification(i, *ABORT), 3),
    "confirm": Case(claimed, lambda s, _, i: s.confirm_notification(i, *ABORT, "17"), 7),
}  # fmt: skip


def id_of(store: Store, app: str) -> str:
    (release,) = store.recent(app)
    return release.id


def shape(store: Store, app: str) -> object:
    """Everything about the only release of an application, but its times; and its chain must hold."""
    releases = store.recent(app)
    if not releases:
        return None
    (release,) = releases
    record = store.record(release.id)
    assert chain.verify(record.events, (record.release.last_seq, record.release.last_hash)) is None
    return (
        release.state,
        release.epoch,
        release.holds_lock,
        release.ended_at is not None,
        [(event.kind, event.key) for event in record.events],
        [(receipt.state, receipt.attempts) for receipt in record.receipts],
        [dict(sample.numbers) for sample in record.samples],
    )


@pytest.mark.parametrize("name", CASES)
def test_killed_anywhere_and_repeated(store: Store, name: str) -> None:
    prepare, act, places = CASES[name]

    def prepared() -> tuple[str, str]:
        app = f"app-{uuid.uuid4().hex[:8]}"
        prepare(store, app)
        return app, id_of(store, app) if store.recent(app) else ""

    app, release_id = prepared()
    before = shape(store, app)
    act(store, app, release_id)
    after = shape(store, app)
    place = 0
    while True:
        app, release_id = prepared()
        if not is_killed(lambda app=app, release_id=release_id: act(store, app, release_id), place):  # type: ignore[misc]
            break
        assert shape(store, app) in (before, after), f"half done at place {place}"
        act(store, app, release_id)
        assert shape(store, app) == after, f"not mended at place {place}"
        place += 1
    assert place >= places


def test_tables_are_created_by_whoever_survives() -> None:
    place = 0
    while True:
        name = f"ledger_test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            try:
                fresh = Store(f"{SERVER}/{name}")
                survived = not is_killed(fresh.ensure, place)
                fresh.ensure()
                assert fresh.ensure() == 0
                assert fresh.acquire("app", "local", "1.0.0", "run", TTL).holds_lock
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        if survived:
            break
        place += 3  # creating a database takes a while: not each place, but places in all its parts
    assert place >= 12


def test_what_could_not_be_recorded_is_recorded_later_once_and_in_order(store: Store, tmp_path: Path) -> None:
    place = 0
    while True:
        app = f"app-{uuid.uuid4().hex[:8]}"
        in_canary(store, app)
        release_id = id_of(store, app)
        away, spool = Store("postgresql://slipway@127.0.0.1:1/ledger"), Spool(tmp_path / app)
        for kind in (EventKind.ABORTED, EventKind.TRUTH_PROVED, EventKind.NOTED):
            with pytest.raises(LedgerError):
                away.append(release_id, kind, {})
            spool.write(release_id, kind, {}, "trigger", at=AT)
        assert spool.replay(away).left == 3
        killed = is_killed(lambda spool=spool: spool.replay(store), place)  # type: ignore[misc]
        spool.replay(store)
        record = store.record(release_id)
        assert [event.kind for event in record.events[-3:]] == [
            EventKind.ABORTED, EventKind.TRUTH_PROVED, EventKind.NOTED,
        ]  # fmt: skip
        assert len(record.events) == 10
        assert {event.at for event in record.events[-3:]} == {AT}
        assert chain.verify(record.events, (record.release.last_seq, record.release.last_hash)) is None
        assert spool.waiting() == 0
        if not killed:
            break
        place += 2
    assert place >= 16
