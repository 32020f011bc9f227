"""Which releases the watchdog leaves alone, and which it finishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import ClusterError, SlipwayError
from slipway.flow import watchdog
from slipway.names import AbortedBy, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Release

    from tests.unit.slipway.flow.conftest import FakeStore

UNDER_WAY = [
    ReleaseState.BUILT, ReleaseState.DEPLOYED, ReleaseState.MIGRATED, ReleaseState.MONITORED, ReleaseState.CANARY,
    ReleaseState.BAKING,
]  # fmt: skip


class Back:
    """What the watchdog does in place of the rollback: what was taken back is kept."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.dossiers: list[str] = []
        self.broken: set[str] = set()

    def take_back(self, release_id: str, _: object, **how: Any) -> None:
        if release_id in self.broken:
            raise ClusterError(f"{release_id} is not proved to be back")
        self.taken.append((release_id, how))

    def dossier(self, release_id: str, _: object) -> None:
        self.dossiers.append(release_id)


@pytest.fixture
def back(monkeypatch: pytest.MonkeyPatch) -> Back:
    made = Back()
    monkeypatch.setattr(watchdog.rollback, "take_back", made.take_back)
    monkeypatch.setattr(watchdog.finish, "dossier", made.dossier)
    monkeypatch.setattr(watchdog.finish, "replay", lambda _: None)
    return made


def look(store: FakeStore, state: str | None) -> int:
    return watchdog.round_(store, lambda _: state)  # type: ignore[arg-type]


def test_a_quiet_night(store: FakeStore, back: Back) -> None:
    assert look(store, None) == 0
    assert back.taken == []
    assert store.beats == ["watchdog"], "a release begins only while there is a watchdog"


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("run", ["running", "queued"])
def test_a_release_whose_run_goes_on_is_left_alone(
    store: FakeStore, back: Back, release: Callable[..., Release], state: ReleaseState, run: str
) -> None:
    store.put(release(state))

    assert look(store, run) == 0
    assert (back.taken, store.calls) == ([], [])


@pytest.mark.parametrize(
    ("run", "words"), [("failed", "ended as failed"), ("success", "ended as success"), (None, "is gone")]
)
def test_a_release_whose_run_is_over_is_taken_back(
    store: FakeStore, back: Back, release: Callable[..., Release], run: str | None, words: str
) -> None:
    store.put(one := release(ReleaseState.CANARY))

    assert look(store, run) == 1

    ((name, how),) = back.taken
    assert (name, how["actor"], how["by"]) == (one.id, "watchdog", AbortedBy.WATCHDOG)
    assert how["reason"] == f"its run run-1 {words}"
    assert back.dossiers == [one.id]


def test_a_lease_that_has_run_out_speaks_louder_than_a_run_that_goes_on(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    store.put(one := release(ReleaseState.CANARY))
    store.expired = [one.id]

    assert look(store, "running") == 1
    assert back.taken[0][1]["reason"] == "its lease has run out"


def test_a_run_of_the_command_line_is_judged_by_its_lease_alone(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    store.put(one := release(ReleaseState.CANARY, run_id="cli:ann-1"))

    assert look(store, None) == 0
    store.expired = [one.id]
    assert look(store, None) == 1


@pytest.mark.parametrize("state", [ReleaseState.PLANNED, ReleaseState.BUILT])
def test_what_has_touched_nothing_is_cancelled(
    store: FakeStore, back: Back, release: Callable[..., Release], state: ReleaseState
) -> None:
    store.put(one := release(state))

    assert look(store, "failed") == 1
    assert store.calls == [("cancel", one.id, "watchdog", "its run run-1 ended as failed")]
    assert back.taken == []


@pytest.mark.parametrize(("run", "why"), [("failed", "ended as failed"), (None, "is gone")])
def test_a_planned_one_that_waits_for_nobody_is_cancelled(
    store: FakeStore, back: Back, release: Callable[..., Release], run: str | None, why: str
) -> None:
    store.put(one := release(ReleaseState.PLANNED, lease_until=None))

    assert look(store, run) == 1
    assert store.calls == [("cancel", one.id, "watchdog", f"its run run-1 {why}")]
    assert look(store, run) == 0, "once is enough"


def test_a_planned_one_may_wait_for_its_approval(store: FakeStore, back: Back, release: Callable[..., Release]) -> None:
    store.put(release(ReleaseState.PLANNED, lease_until=None))

    assert look(store, "running") == 0
    assert (back.taken, store.calls) == ([], [])


def test_what_may_have_touched_the_cluster_is_taken_back_and_not_cancelled(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    store.put(one := release(ReleaseState.BUILT))
    store.intended = True

    assert look(store, "failed") == 1
    assert [name for name, _ in back.taken] == [one.id]


def test_a_rollback_that_failed_waits_for_a_person(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    """A person was told; the watchdog would do the same again every minute."""
    store.put(release(ReleaseState.ROLLBACK_FAILED))

    assert look(store, "failed") == 0
    assert back.taken == []


@pytest.mark.parametrize("run", ["success", "failed", None])
def test_a_rollback_that_somebody_carries_is_left_to_him(
    store: FakeStore, back: Back, release: Callable[..., Release], run: str | None
) -> None:
    """The run of a promoted release is over when a person takes it back; two at once would meet in Helm."""
    store.put(release(ReleaseState.ROLLING_BACK))

    assert look(store, run) == 0
    assert back.taken == []


def test_a_rollback_whose_lease_has_run_out_is_finished(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    store.put(one := release(ReleaseState.ROLLING_BACK))
    store.expired = [one.id]

    assert look(store, "success") == 1
    assert [name for name, _ in back.taken] == [one.id]


def test_one_that_cannot_be_finished_keeps_no_other_from_it(
    store: FakeStore, back: Back, release: Callable[..., Release]
) -> None:
    store.put(release(id="first"), release(id="second", application="shop"))
    back.broken = {"first"}

    with pytest.raises(SlipwayError, match="first is not proved"):
        look(store, "failed")

    assert [name for name, _ in back.taken] == ["second"]
    assert len(store.beats) == 3, "after each release, too: a rollback takes minutes"
