"""A ledger that is a few objects, for steps that only ask who may act; its operations are tested elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import FencedError, RefusedError
from slipway.flow.facts import BASE, SPECS
from slipway.ledger import states
from slipway.ledger.models import Event, Release
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[4]
AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def make_release(state: ReleaseState = ReleaseState.CANARY, **more: Any) -> Release:
    values: dict[str, Any] = {
        "id": "hive-platform-1.0.0-local-1", "application": "hive-platform", "version": "1.0.0",
        "environment": "local", "run_id": "run-1", "state": state, "epoch": 1, "previous": None,
        "lease_until": AT if states.is_active(state) else None, "created_at": AT, "updated_at": AT, "ended_at": None,
        "last_seq": 1, "last_hash": "0",
    }  # fmt: skip
    return Release(**(values | more))


def make_event(kind: EventKind, payload: Mapping[str, Any], *, key: str | None = None, seq: int = 1) -> Event:
    return Event("hive-platform-1.0.0-local-1", seq, AT, "slipway", kind, payload, key, "0")


@dataclass
class FakeStore:
    """As much of the ledger as a step uses; what was asked for is kept in `calls`."""

    releases: dict[str, Release] = field(default_factory=dict)
    history: list[Event] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    intended: bool = False
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    silences: list[timedelta | None] = field(default_factory=list)
    """What it says of the watchdog, look after look; the last one for good."""

    def put(self, *releases: Release) -> None:
        self.releases |= {one.id: one for one in releases}

    def last_promoted(self, *_: str) -> Release | None:
        return None

    def find(self, application: str, environment: str) -> Release | None:
        known = self.active()
        return next((one for one in known if (one.application, one.environment) == (application, environment)), None)

    def ensure(self) -> int:
        return 0

    def beat(self, name: str) -> None:
        self.beats.append(name)

    def silence(self, name: str) -> timedelta | None:
        assert name == "watchdog"
        return self.silences.pop(0) if len(self.silences) > 1 else self.silences[0]

    def release(self, release_id: str) -> Release:
        return self.releases[release_id]

    def events(self, _: str) -> list[Event]:
        return self.history

    def active(self) -> list[Release]:
        return [one for one in self.releases.values() if one.holds_lock]

    def planned(self) -> list[Release]:
        return [one for one in self.releases.values() if one.state is ReleaseState.PLANNED and not one.holds_lock]

    def orphans(self) -> list[Release]:
        return [self.releases[name] for name in self.expired]

    def check(self, release_id: str, epoch: int) -> Release:
        release = self.releases[release_id]
        if release.epoch != epoch or not release.holds_lock:
            raise FencedError(f"You may not act for {release_id} any more")
        return release

    def renew(self, release_id: str, epoch: int, ttl: timedelta) -> Release:
        self.calls.append(("renew", ttl))
        return self.check(release_id, epoch)

    def advance(self, release_id: str, epoch: int, to: ReleaseState, *, payload: Any = None) -> Release:
        self.check(release_id, epoch)
        self.calls.append(("advance", to, payload))
        self.put(replace(self.releases[release_id], state=to))
        return self.releases[release_id]

    def cancel(self, release_id: str, actor: str, reason: str) -> Release:
        if self.intended or self.releases[release_id].state not in states.CANCELLABLE:
            raise RefusedError(f"{release_id} cannot be cancelled")
        self.calls.append(("cancel", release_id, actor, reason))
        self.put(replace(self.releases[release_id], state=ReleaseState.CANCELLED, lease_until=None))
        return self.releases[release_id]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def release() -> Callable[..., Release]:
    return make_release


@pytest.fixture
def event() -> Callable[..., Event]:
    return make_event


@pytest.fixture
def specs() -> Event:
    """The event that keeps release spec and environment as they were."""
    texts = {
        "release": (ROOT / "include/releases/hive-platform.yaml").read_text(),
        "environment": (ROOT / "include/config/local.yaml").read_text(),
    }
    return make_event(EventKind.NOTED, texts, key=SPECS)


@pytest.fixture
def base() -> Callable[..., Event]:
    """The event that says what stood there before."""

    def make(version: str | None = "0.9.0", revision: int | None = 3, hash_: str = "old1") -> Event:
        payload = {"version": version, "helm_revision": revision, "pod_template_hash": hash_}
        return make_event(EventKind.NOTED, payload, key=BASE)

    return make
