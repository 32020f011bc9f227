"""What is concluded from Prometheus about a version's pods: only from readings that were made, and when they were."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary.evidence import PodState
from slipway.errors import MetricsError
from slipway.flow import monitoring, rollback
from slipway.flow.facts import Base, Facts
from slipway.hooks.prometheus import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

HASH, POD = "new1", "api-new1-x"
METRICS = SimpleNamespace(
    requests='sum by (pod, status) (requests{namespace="$namespace", hash="$hash"})', pod_hash_label="hash"
)
FACTS = Facts(Base("1.0.0", 3, "old1"), {}, HASH, 4, {}, None)


@dataclass
class Clock:
    """A clock that moves when somebody sleeps."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Scraped:
    """A Prometheus that reads one pod at given moments, and knows what its counter was then.

    :param reads: moment -> requests so far; None when the pod is no target any more.
    """

    clock: Clock
    reads: dict[float, float | None] = field(default_factory=dict)
    silent: bool = False

    def scalar(self, query: str) -> float:
        assert query == "vector(time())"
        return self.clock.now

    def ask(self, query: str) -> list[Sample]:
        if self.silent:
            raise MetricsError("Prometheus does not answer", found="refused")
        past = [moment for moment in self.reads if moment <= self.clock.now]
        if not past or self.reads[max(past)] is None:
            return []
        if query.startswith("max by (pod) (timestamp(up{"):
            return [Sample((("pod", POD),), max(past))]
        assert query == 'sum by (pod, status) (requests{namespace="shop", hash="new1"})'
        return [Sample((("pod", POD), ("status", "200")), self.reads[max(past)] or 0.0)]


@dataclass
class Scene:
    """A canary that was taken back, or is about to begin."""

    clock: Clock
    prometheus: Scraped
    pods: list[PodState]
    site: Any

    def prove(self, *, weight: int = 0, settled_on: str = "") -> rollback.Proof:
        proof = rollback.Proof()
        state = SimpleNamespace(weight=weight, is_settled=bool(settled_on), stable_hash=settled_on)
        rollout: Any = SimpleNamespace(state=lambda: state, client=SimpleNamespace(namespace="shop"))
        pods: Any = SimpleNamespace(of=lambda _: self.pods)
        rollback._prove_traffic(self.site, FACTS, rollout, pods, proof)
        return proof

    def await_sight(self) -> bool:
        step: Any = SimpleNamespace(site=self.site, facts=FACTS)
        return monitoring.await_sight(step, [POD])


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    clock = Clock()
    prometheus = Scraped(clock)

    @contextmanager
    def connected() -> Iterator[Scraped]:
        yield prometheus

    for module in (rollback, monitoring):
        monkeypatch.setattr(module, "time", clock)
    site = SimpleNamespace(
        spec=SimpleNamespace(workload=SimpleNamespace(metrics=METRICS)), namespace="shop", prometheus=connected,
        environment=SimpleNamespace(monitoring=SimpleNamespace(scrape_interval_s=5.0)),
    )  # fmt: skip
    return Scene(clock, prometheus, [PodState(name=POD, ready=True)], site)


def test_a_version_is_quiet_after_three_readings_that_were_made_since(scene: Scene) -> None:
    scene.prometheus.reads = {999.0: 40, 1004.0: 44, 1009.0: 44, 1014.0: 44, 1019.0: 44}

    assert scene.prove().truths == {"Traffic": "no request reaches the new version"}
    assert scene.clock.now == pytest.approx(1014.0, abs=rollback.LOOK_S), "no longer than it takes to read it"


def test_a_canary_that_is_read_every_second_is_proved_quiet_in_three(scene: Scene) -> None:
    scene.prometheus.reads = {1000.0 + number: 44 for number in range(20)}

    scene.prove()

    assert scene.clock.now == pytest.approx(1003.0, abs=rollback.LOOK_S)


def test_an_old_reading_proves_nothing_however_often_it_is_asked_for(scene: Scene) -> None:
    scene.prometheus.reads = {999.0: 40}

    assert scene.prove().truths == {
        "Traffic": "weight 0; not observed, as Prometheus did not read its pods for 40 s",
    }


def test_a_canary_with_a_weight_is_said_and_needs_no_reading(scene: Scene) -> None:
    assert scene.prove(weight=50).broken == {"Traffic": "the canary still has 50 %"}
    assert scene.prove(weight=100, settled_on=HASH).broken == {"Traffic": "the canary still has 100 %"}
    assert scene.clock.now == 1000.0


def test_the_weight_that_the_old_version_came_back_with_is_not_the_bad_one_s(scene: Scene) -> None:
    """After a promotion the old version walks back as a canary; Argo is healthy a moment before it says 0 again."""
    scene.prometheus.reads = {1000.0 + number: 44 for number in range(20)}

    assert scene.prove(weight=100, settled_on="old1").truths == {"Traffic": "no request reaches the new version"}


def test_requests_that_go_on_are_said(scene: Scene) -> None:
    scene.prometheus.reads = {1000.0 + 5 * number: 40.0 + number for number in range(20)}

    proof = scene.prove()

    assert (proof.truths, proof.broken) == ({}, {"Traffic": "requests still reach it"})


def test_a_target_that_changes_over_has_not_grown(scene: Scene) -> None:
    """Its pods stop being a canary's, and are read by the other endpoint after a moment without a series."""
    scene.prometheus.reads = {1001.0: 44, 1002.0: 44, 1003.0: None, 1008.0: 44, 1013.0: 44}

    scene.prove()

    assert scene.clock.now == pytest.approx(1008.0, abs=rollback.LOOK_S)


def test_a_version_without_pods_needs_no_reading(scene: Scene) -> None:
    scene.pods.clear()

    assert scene.prove().truths == {"Traffic": "no pod of the new version is left to answer"}


def test_traffic_waits_until_the_canary_is_seen(scene: Scene) -> None:
    scene.prometheus.reads = {1004.0: 3}

    assert scene.await_sight()
    assert scene.clock.now == pytest.approx(1004.0, abs=monitoring.LOOK_S)


@pytest.mark.parametrize("silent", [True, False])
def test_it_does_not_wait_for_ever_for_a_target_that_is_not_there(scene: Scene, *, silent: bool) -> None:
    scene.prometheus.silent = silent

    assert not scene.await_sight()
    assert scene.clock.now == pytest.approx(1030.0, abs=2 * monitoring.LOOK_S)
