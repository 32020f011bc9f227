"""A release that will not begin is cancelled, and one that has begun is left to settle."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import RefusedError
from slipway.flow import configure
from slipway.names import ReleaseState
from slipway.spec.parameters import ReleaseParameters

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Release

    from tests.unit.slipway.flow.conftest import FakeStore

BUSY = "Another release of hive-platform is active in local: other."


def site(store: FakeStore, error: str) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RefusedError(error)

    store.acquire = refuse  # type: ignore[attr-defined]
    return SimpleNamespace(ledger=lambda: store)


def test_the_lock_is_another_one_s(store: FakeStore, release: Callable[..., Release]) -> None:
    store.put(one := release(ReleaseState.PLANNED, lease_until=None))

    with pytest.raises(RefusedError, match="Another release"):
        configure.acquire(site(store, BUSY), one.id, one.run_id)

    assert store.calls == [("cancel", one.id, "slipway", BUSY)]


def test_what_goes_on_already_is_left_to_settle(store: FakeStore, release: Callable[..., Release]) -> None:
    """A task that was killed and runs again finds its release further on."""
    store.put(one := release(ReleaseState.ROLLED_BACK))

    with pytest.raises(RefusedError, match="has already ended"):
        configure.acquire(site(store, "Run run-1 has already ended"), one.id, one.run_id)

    assert store.calls == []


def test_what_cannot_be_given_up_stays(store: FakeStore, release: Callable[..., Release]) -> None:
    store.put(one := release(ReleaseState.CANARY))

    configure.give_up(store, one.id, "ann", "changed my mind")  # type: ignore[arg-type]

    assert (store.releases[one.id].state, store.calls) == (ReleaseState.CANARY, [])


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(configure, "time", made)
    return made


def watchdog(store: FakeStore, within_s: float) -> str | None:
    return configure._watchdog(store, within_s)  # type: ignore[arg-type]


def test_a_watchdog_that_is_at_work_costs_no_time(store: FakeStore, clock: Clock) -> None:
    store.silences = [timedelta(seconds=70)]

    assert watchdog(store, 90) is None
    assert clock.now == 0


@pytest.mark.parametrize("before", [None, timedelta(days=1)], ids=["never", "yesterday"])
def test_one_that_has_just_been_started_gets_its_time(
    store: FakeStore, clock: Clock, before: timedelta | None, caplog: pytest.LogCaptureFixture
) -> None:
    store.silences = [before] * 30 + [timedelta(seconds=1)]

    with caplog.at_level("INFO", "slipway"):
        assert watchdog(store, 90) is None

    assert clock.now == 30
    assert [one.getMessage() for one in caplog.records] == ["waiting for a round of the watchdog, 90 s at most"]


@pytest.mark.parametrize(
    ("silence", "words"), [(None, "never had a round"), (timedelta(seconds=200), "had its last round 3 min 20 s ago")]
)
@pytest.mark.parametrize("within_s", [0, 90])
def test_without_one_nothing_begins(
    store: FakeStore, clock: Clock, silence: timedelta | None, words: str, within_s: float
) -> None:
    store.silences = [silence]

    assert watchdog(store, within_s) == (
        f"the watchdog {words}, so nobody would take back a release whose run dies; "
        "switch the DAG watchdog on in Airflow, and look at its last run"
    )
    assert clock.now == within_s


def test_it_is_asked_again_under_the_lock(
    store: FakeStore, clock: Clock, release: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval may have taken a day."""
    store.put(one := release(ReleaseState.PLANNED))
    store.silences = [timedelta(hours=5)]
    store.acquire = lambda *_, **__: one  # type: ignore[attr-defined]
    monkeypatch.setattr(configure, "_in_cluster", lambda _: iter(()))

    with pytest.raises(RefusedError, match="had its last round 5 h 0 min ago"):
        configure.acquire(SimpleNamespace(ledger=lambda: store, place="here"), one.id, one.run_id)  # type: ignore[arg-type]

    assert store.calls[0][:2] == ("cancel", one.id)


def parameters(reason: str = "", version: str = "1.1.0") -> ReleaseParameters:
    return ReleaseParameters(
        application="hive-platform", version=version, environment="local", supersede_reason=reason
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "asked", "said"),
    [
        (ReleaseState.BAKING, parameters(), ["(BAKING); one release at a time"]),
        (ReleaseState.BAKING, parameters("security fix"), []),
        (ReleaseState.BAKING, parameters("security fix", "1.0.0"), ["under way already, by hive-platform-1.0.0-local"]),
        (
            ReleaseState.CANARY,
            parameters("security fix"),
            ["(CANARY); one release at a time; only a bake can be ended"],
        ),
        (ReleaseState.ROLLING_BACK, parameters("security fix"), ["only a bake can be ended before its time"]),
    ],
)
def test_only_a_bake_can_be_ended_by_another_version(
    store: FakeStore, release: Callable[..., Release], state: ReleaseState, asked: ReleaseParameters, said: list[str]
) -> None:
    found = list(configure._in_ledger(store, asked, release(state)))  # type: ignore[arg-type]

    assert len(found) == len(said)
    assert all(words in line for words, line in zip(said, found, strict=True))


def test_what_bakes_is_no_settled_rollout_and_is_not_held_against_it(
    store: FakeStore, release: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configure, "_secrets", lambda _: iter(()))
    monkeypatch.setattr(configure, "_workload", lambda _: iter(["Rollout is not healthy on one version"]))

    assert list(configure._in_cluster(site(store, ""), bakes=True)) == []
    assert list(configure._in_cluster(site(store, ""))) == ["Rollout is not healthy on one version"]
