"""A sign of life is given often enough and no more often, to the release that may, and it stops nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import ClusterError
from slipway.flow import heartbeat, monitoring
from slipway.flow import step as steps
from slipway.flow.heartbeat import EVERY_S, Pulse
from slipway.flow.step import Step
from slipway.names import ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Event, Release

    from tests.unit.slipway.flow.conftest import FakeStore


class Lease:
    """The Lease in the cluster, and whose it is."""

    def __init__(self) -> None:
        self.mine = False
        self.error: ClusterError | None = None
        self.calls: list[str] = []

    def renew(self, *, take: bool = False) -> bool:
        self.calls.append("take" if take else "renew")
        if self.error is not None:
            raise self.error
        self.mine = self.mine or take
        return self.mine

    def end(self) -> bool:
        self.calls.append("end")
        if self.error is not None:
            raise self.error
        return self.mine


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> Lease:
    made = Lease()
    monkeypatch.setattr(heartbeat, "heartbeat", lambda *_: made)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def step(
    store: FakeStore, specs: Event, base: Callable[..., Event], release: Callable[..., Release],
    monkeypatch: pytest.MonkeyPatch,
) -> Step:  # fmt: skip
    store.history = [specs, base()]
    store.put(release())
    monkeypatch.setattr(steps, "ledger", lambda *_: store)
    return Step.open(release().id)


def pulse(step: Step) -> Pulse:
    return Pulse(step, None)  # type: ignore[arg-type]


def test_the_first_one_takes_the_lease_after_the_ledger_has_said_yes(
    step: Step, lease: Lease, clock: list[float]
) -> None:
    pulse(step).beat()

    assert lease.calls == ["renew", "take"]


def test_it_is_given_every_ten_seconds_however_often_it_is_called(step: Step, lease: Lease, clock: list[float]) -> None:
    lease.mine = True
    one = pulse(step)
    for _ in range(61):
        one.beat()
        clock[0] += 0.5

    assert lease.calls == ["renew"] * 4
    assert EVERY_S == 10


def test_a_watch_that_outlives_its_release_keeps_nothing_alive(
    step: Step, lease: Lease, clock: list[float], store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A rollback has raised the epoch, and has ended the Lease."""
    store.put(replace(step.release, state=ReleaseState.ROLLING_BACK, epoch=2))

    with caplog.at_level(logging.WARNING):
        pulse(step).beat()

    assert lease.calls == ["renew"]
    assert "no sign of life" in caplog.text


def test_a_failure_is_a_warning_and_is_not_repeated_at_every_look(
    step: Step, lease: Lease, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    lease.error = ClusterError("the API server refused to read Lease shop/slipway-shop")
    one = pulse(step)

    with caplog.at_level(logging.WARNING):
        one.beat()
        one.beat()

    assert lease.calls == ["renew"]
    assert caplog.text.count("the sign of life was not renewed") == 1
    lease.error = None
    clock[0] += EVERY_S
    one.beat()
    assert lease.mine


def test_a_first_install_has_no_canary(
    step: Step, lease: Lease, clock: list[float], specs: Event, store: FakeStore
) -> None:
    store.history = [specs]

    pulse(Step.open(step.release.id)).beat()

    assert lease.calls == []


def test_a_chart_without_the_switch_needs_no_lease(step: Step, lease: Lease, clock: list[float], specs: Event) -> None:
    text = str(specs.payload["release"])
    without = "\n".join(line for line in text.splitlines() if "unattended_max" not in line)
    assert without != text.strip()
    facts = replace(step.facts, specs=(without, step.facts.specs[1]))  # type: ignore[index]
    site = type(step.site).of(facts)

    pulse(replace(step, site=site)).beat()
    heartbeat.end(site, step.release.id)

    assert lease.calls == []


def test_the_end_is_a_warning_when_it_fails(
    step: Step, lease: Lease, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from contextlib import contextmanager

    @contextmanager
    def cluster(_: Any) -> Any:
        yield None

    monkeypatch.setattr(type(step.site), "cluster", cluster)
    lease.mine = True
    heartbeat.end(step.site, step.release.id)
    lease.error = ClusterError("the API server did not answer")
    with caplog.at_level(logging.WARNING):
        heartbeat.end(step.site, step.release.id)

    assert lease.calls == ["end", "end"]
    assert "the sign of life was not ended" in caplog.text


@pytest.mark.parametrize(("known", "level", "said"), [
    (7.0, logging.INFO, "the dead-man's switch can see slipway's sign of life"),
    (None, logging.ERROR, "NOBODY TAKES THIS CANARY BACK WHEN SLIPWAY DIES"),
])  # fmt: skip
def test_a_cluster_that_shows_no_lease_is_told_loudly(
    known: float | None, level: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def scalar(query: str) -> float | None:
        assert query == "count(kube_lease_renew_time)"
        return known

    prometheus: Any = SimpleNamespace(scalar=scalar)
    with caplog.at_level(logging.INFO):
        assert monitoring._leases(prometheus) == (known or 0)

    (record,) = caplog.records
    assert record.levelno == level
    assert said in record.getMessage()
