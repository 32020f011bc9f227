"""Whose abort a rollback says it was, and that it ends the sign of life before it moves anything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.flow import rollback
from slipway.names import AbortedBy, EventKind, ReleaseState, Rule
from slipway.rollouts.state import RolloutState, read

from tests.unit.slipway.flow.conftest import FakeStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Event, Release

FAILED = 'Metric "unattended" assessed Failed due to failed (1) > failureLimit (0)'
SWITCH = f"the dead-man's switch in the cluster took the canary back: {FAILED}"


class Ledger(FakeStore):
    """A ledger that a rollback can be written into."""

    def begin_rollback(self, release_id: str, actor: str, reason: str, *, ttl: object) -> Release:
        del ttl
        self.calls.append(("begin", actor, reason))
        self.put(replace(self.releases[release_id], state=ReleaseState.ROLLING_BACK, epoch=2))
        return self.releases[release_id]

    def finish_rollback(self, release_id: str, epoch: int, *, succeeded: bool, **_: object) -> Release:
        assert (epoch, succeeded) == (2, True)
        self.put(replace(self.releases[release_id], state=ReleaseState.ROLLED_BACK))
        return self.releases[release_id]

    def append(self, _: str, kind: EventKind, payload: Any, *, key: str) -> None:
        self.calls.append((str(kind), payload, key))


def rollout(message: str) -> RolloutState:
    status = {"abort": True, "currentPodHash": "new1", "stableRS": "old1", "message": message}
    return read({"metadata": {"name": "backend"}, "spec": {}, "status": status})


@pytest.fixture
def take_back(
    monkeypatch: pytest.MonkeyPatch, specs: Event, base: Callable[..., Event], event: Callable[..., Event],
    release: Callable[..., Release],
) -> Callable[[str, str], list[tuple[Any, ...]]]:  # fmt: skip
    """Take a release back whose Rollout says something, for some reason; return what was done, in order."""

    def go(message: str, reason: str) -> list[tuple[Any, ...]]:
        store = Ledger()
        store.history = [specs, base(), event(EventKind.DEPLOYED, {"pod_template_hash": "new1"})]
        store.put(release())
        calls = store.calls
        monkeypatch.setattr(rollback, "stop_traffic", lambda *_: rollout(message))
        monkeypatch.setattr(rollback.heartbeat, "end", lambda _, id_: calls.append(("end", id_)))
        monkeypatch.setattr(rollback, "_repair", lambda *_: calls.append(("repair",)))
        monkeypatch.setattr(rollback, "_prove", lambda *_: None)
        monkeypatch.setattr(
            rollback.notify, "stopped", lambda *_, by, reason, rule, **__: calls.append(("told", by, reason, rule))
        )
        monkeypatch.setattr(rollback.notify, "rolled_back", lambda *_, **__: None)
        any_store: Any = store
        rollback.take_back(release().id, any_store, actor="watchdog", reason=reason, by=AbortedBy.WATCHDOG)
        return calls

    return go


def test_the_switch_in_the_cluster_was_quicker_than_the_watchdog(
    take_back: Callable[[str, str], list[tuple[Any, ...]]], release: Callable[..., Release]
) -> None:
    why = f"{SWITCH}; its lease has run out"

    assert take_back(f"RolloutAborted: Rollout aborted update to revision 2: {FAILED}", "its lease has run out") == [
        ("begin", "watchdog", why),
        ("aborted", {"by": "dead-man-switch", "rule": "TAKEN_BACK", "reason": SWITCH}, "aborted"),
        ("end", release().id),
        ("told", AbortedBy.DEAD_MAN_SWITCH, why, Rule.TAKEN_BACK),
        ("repair",),
    ]


def test_a_reason_that_names_it_already_names_it_once(take_back: Callable[[str, str], list[tuple[Any, ...]]]) -> None:
    """A watch has seen it, and settle hands its reason on."""
    calls = take_back(f"RolloutAborted: {FAILED}", SWITCH)

    assert calls[0] == ("begin", "watchdog", SWITCH)


def test_an_abort_by_its_own_patch_is_the_caller_s(
    take_back: Callable[[str, str], list[tuple[Any, ...]]], release: Callable[..., Release]
) -> None:
    assert take_back("RolloutAborted: Rollout aborted update to revision 2", "its lease has run out") == [
        ("begin", "watchdog", "its lease has run out"),
        ("end", release().id),
        ("told", AbortedBy.WATCHDOG, "its lease has run out", None),
        ("repair",),
    ]
