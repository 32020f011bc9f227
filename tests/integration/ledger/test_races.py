"""Several at once: exactly one wins, and the others learn why."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import psycopg
import pytest
from slipway.errors import FencedError, RefusedError
from slipway.ledger import chain
from slipway.ledger.store import Store
from slipway.names import Channel, EventKind, Occasion, ReleaseState

from .conftest import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TTL = timedelta(minutes=5)
EIGHT = 8


def at_once(call: Callable[[int], T]) -> list[T | Exception]:
    """Call eight times in the same moment and return results or errors."""
    barrier = threading.Barrier(EIGHT)

    def one(number: int) -> T | Exception:
        barrier.wait(10)
        try:
            return call(number)
        except (RefusedError, FencedError) as error:
            return error

    with ThreadPoolExecutor(EIGHT) as pool:
        return list(pool.map(one, range(EIGHT)))


def in_canary(store: Store, app: str) -> str:
    release = store.acquire(app, "local", "1.0.0", "run", TTL)
    for state in ("BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY"):
        store.advance(release.id, 1, ReleaseState(state))
    return release.id


def waiting(database: str) -> int:
    with psycopg.connect(database) as direct:
        row = direct.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def wait_for(condition: Callable[[], bool], thread: threading.Thread) -> None:
    while not condition():
        assert thread.is_alive(), "it did not wait for the lock"


def test_of_eight_runs_one_gets_the_lock(store: Store, place: str) -> None:
    results = at_once(lambda number: store.acquire(place, "local", f"1.0.{number}", f"run-{number}", TTL))
    winners = [result for result in results if not isinstance(result, Exception)]
    refused = [result for result in results if isinstance(result, RefusedError)]
    assert (len(winners), len(refused)) == (1, EIGHT - 1)
    assert all(winners[0].id in error.what for error in refused)
    assert [release.id for release in store.recent(place)] == [winners[0].id]


def test_eight_tries_of_one_run_get_one_release(store: Store, place: str) -> None:
    results = at_once(lambda _: store.acquire(place, "local", "1.0.0", "run", TTL).id)
    assert len(set(results)) == 1
    assert len(store.events(str(results[0]))) == 2


def test_eight_rollbacks_are_one(store: Store, place: str) -> None:
    release_id = in_canary(store, place)
    results = at_once(lambda number: store.begin_rollback(release_id, f"actor-{number}", "errors").epoch)
    assert results == [2] * EIGHT
    kinds = [event.kind for event in store.events(release_id)]
    assert kinds.count(EventKind.ROLLBACK_STARTED) == 1


def test_one_of_eight_sends_the_alert(store: Store, place: str) -> None:
    release_id = in_canary(store, place)
    results = at_once(lambda _: store.claim_notification(release_id, Occasion.ABORTED, Channel.EMAIL))
    assert sorted(map(bool, results)) == [False] * (EIGHT - 1) + [True]


def test_eight_appends_make_one_chain(store: Store, place: str) -> None:
    release_id = in_canary(store, place)
    at_once(lambda number: [store.append(release_id, EventKind.NOTED, {"n": number}) for _ in range(3)])
    record = store.record(release_id)
    assert len(record.events) == 7 + 3 * EIGHT
    assert chain.verify(record.events, (record.release.last_seq, record.release.last_hash)) is None
    times = [event.at for event in record.events]
    assert times == sorted(times)


@pytest.mark.parametrize("first", ["rollback", "advance"])
def test_who_comes_first_decides_and_the_other_one_is_told(database: str, store: Store, place: str, first: str) -> None:
    release_id = in_canary(store, place)
    results: dict[str, object] = {}

    def run(name: str) -> None:
        try:
            if name == "rollback":
                results[name] = store.begin_rollback(release_id, "trigger", "errors")
            else:
                results[name] = store.advance(release_id, 1, ReleaseState.BAKING)
        except FencedError as error:
            results[name] = error

    order = [first, "advance" if first == "rollback" else "rollback"]
    threads = [threading.Thread(target=run, args=(name,)) for name in order]
    # The row's lock is ours until both stand in line, in a known order.
    with psycopg.connect(database) as direct:
        direct.execute("SELECT 1 FROM ledger.releases WHERE id = %s FOR UPDATE", (release_id,))
        for count, thread in enumerate(threads, start=1):
            thread.start()
            wait_for(lambda count=count: waiting(database) == count, thread)  # type: ignore[misc]
    for thread in threads:
        thread.join(10)
    release = store.release(release_id)
    assert (release.state, release.epoch) == (ReleaseState.ROLLING_BACK, 2)
    baked = [event for event in store.events(release_id) if event.payload.get("to") == "BAKING"]
    if first == "rollback":
        assert isinstance(results["advance"], FencedError)
        assert not baked
    else:
        assert not isinstance(results["advance"], FencedError)
        assert len(baked) == 1


def test_of_eight_one_creates_the_tables() -> None:
    name = f"ledger_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            results = at_once(lambda _: Store(f"{SERVER}/{name}").ensure())
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert results.count(0) == EIGHT - 1
