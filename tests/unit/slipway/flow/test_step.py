"""Who may take a step, and that a step which was taken before changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import FencedError
from slipway.flow import step as steps
from slipway.flow.step import Step
from slipway.names import ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Event, Release

    from tests.unit.slipway.flow.conftest import FakeStore

FORWARD = [
    ReleaseState.PLANNED, ReleaseState.BUILT, ReleaseState.DEPLOYED, ReleaseState.MIGRATED, ReleaseState.MONITORED,
    ReleaseState.CANARY, ReleaseState.BAKING, ReleaseState.PROMOTED,
]  # fmt: skip


@pytest.fixture
def begin(
    store: FakeStore, specs: Event, release: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Step]:
    """Open a step of a release in some state."""
    store.history = [specs]
    monkeypatch.setattr(steps, "ledger", lambda *_: store)

    def make(state: ReleaseState = ReleaseState.CANARY, **how: Any) -> Step:
        one = release(state)
        store.put(one)
        return Step.open(one.id, **how)

    return make


def test_a_step_makes_the_lease_longer_than_itself(begin: Callable[..., Step], store: FakeStore) -> None:
    begin(within_s=1800)

    assert store.calls == [("renew", timedelta(seconds=1800) + steps.MARGIN)]


def test_a_step_works_with_the_specs_as_they_were(begin: Callable[..., Step], specs: Event, store: FakeStore) -> None:
    """What is edited while a release is under way is for the next one."""
    texts = {**specs.payload, "environment": str(specs.payload["environment"]).replace("hive-local", "hive-then")}
    store.history = [replace(specs, payload=texts)]

    assert begin().site.namespace == "hive-then"


@pytest.mark.parametrize("state", [ReleaseState.ROLLED_BACK, ReleaseState.CANCELLED, ReleaseState.PROMOTED])
def test_no_step_begins_without_the_lock(begin: Callable[..., Step], state: ReleaseState) -> None:
    with pytest.raises(FencedError):
        begin(state)


@pytest.mark.parametrize("state", [ReleaseState.ROLLING_BACK, ReleaseState.ROLLBACK_FAILED])
def test_no_step_begins_while_the_release_goes_back(begin: Callable[..., Step], state: ReleaseState) -> None:
    """The rollback holds the lock then, with an epoch that the step would read, and take for its own."""
    with pytest.raises(FencedError):
        begin(state)


def test_a_step_that_was_overtaken_stops_before_it_acts(begin: Callable[..., Step], store: FakeStore) -> None:
    step = begin()
    step.require()

    store.put(replace(step.release, state=ReleaseState.ROLLING_BACK, epoch=2))

    with pytest.raises(FencedError):
        step.require()
    with pytest.raises(FencedError):
        step.advance(ReleaseState.BAKING)


@pytest.mark.parametrize("state", FORWARD[:-1])
def test_a_release_has_reached_what_lies_behind_it(begin: Callable[..., Step], state: ReleaseState) -> None:
    step = begin(state)

    reached = [one for one in FORWARD if step.reached(one)]

    assert reached == FORWARD[: FORWARD.index(state) + 1]


def test_a_phase_is_written_down_once_and_never_backwards(begin: Callable[..., Step], store: FakeStore) -> None:
    step = begin(ReleaseState.MIGRATED)

    step.advance(ReleaseState.DEPLOYED)
    step.advance(ReleaseState.MIGRATED)
    step.advance(ReleaseState.MONITORED, {"targets": 12})

    assert [call for call in store.calls if call[0] == "advance"] == [
        ("advance", ReleaseState.MONITORED, {"targets": 12})
    ]
