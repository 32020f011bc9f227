"""A release that will not begin is cancelled, and one that has begun is left to settle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import RefusedError
from slipway.flow import configure
from slipway.names import ReleaseState

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
