"""A Rollout goes through the steps of a release, and an abort at any of them takes the canary's traffic to zero.

The steps are those of the release (the design's section on the canary): pods before traffic, weights after a smoke
test, and a hold at 100 % with the stable version kept.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.e2e.cluster import apply, eventually, get, kubectl, service, web, weighted_route, workload

STEPS: list[dict[str, Any]] = [
    {"setCanaryScale": {"replicas": 0}},
    {"pause": {}},
    {"setCanaryScale": {"weight": 10}},
    {"pause": {}},
    {"setWeight": 10},
    {"setCanaryScale": {"matchTrafficWeight": True}},
    {"pause": {}},
    {"setWeight": 50},
    {"pause": {}},
    {"setWeight": 100},
    {"pause": {}},
]
REPLICAS = 3
HOLDS = {1: (0, 0), 3: (0, 1), 6: (10, 1), 8: (50, 2), 10: (100, 3)}
"""Step index of each pause -> weight in percent, canary pods."""


class Rollout:
    """The Rollout of the module, with the verbs of a release."""

    def __init__(self, namespace: str, image: str) -> None:
        self.namespace = namespace
        self.image = image

    def ship(self, version: str) -> None:
        strategy = {
            "canary": {
                "canaryService": "canary",
                "stableService": "stable",
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": "app"}},
                "steps": STEPS,
            }
        }
        environment = {"VERSION": version}
        rollout = workload("Rollout", "app", self.image, replicas=REPLICAS, strategy=strategy, environment=environment)
        apply(self.namespace, rollout)

    def patch(self, status: dict[str, Any]) -> None:
        body = str({"status": status}).replace("'", '"').replace("None", "null").replace("True", "true")
        kubectl(
            "patch",
            "rollout",
            "app",
            f"--namespace={self.namespace}",
            "--subresource=status",
            "--type=merge",
            "-p",
            body,
        )

    @property
    def status(self) -> dict[str, Any]:
        found = get("rollout", "app", namespace=self.namespace)
        status = found.get("status", {})
        fresh = status.get("observedGeneration") == str(found["metadata"]["generation"])
        return dict(status) if fresh else {}

    def holds_at(self, step: int) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            status = self.status
            here = status.get("phase") == "Paused" and status.get("currentStepIndex") == step
            return status if here else None

        return eventually(f"a pause at step {step}", look, within_s=40)

    def weight(self) -> int:
        route = get("traefikservice", "app", namespace=self.namespace)
        return int(next(item["weight"] for item in route["spec"]["weighted"]["services"] if item["name"] == "canary"))

    def canary_pods(self) -> int:
        status = self.status
        labels = {"rollouts-pod-template-hash": status["currentPodHash"]}
        found = get("pods", namespace=self.namespace, **labels)["items"]
        return sum("deletionTimestamp" not in pod["metadata"] for pod in found)


def shares(requests: int) -> Counter[str]:
    """Send requests as a user, and count which version answered; an error would be counted as one."""
    with web("rollout") as client:
        answers = [client.get("/") for _ in range(requests)]
    return Counter(item.headers.get("X-Version", str(item.status_code)) for item in answers)


@pytest.fixture(scope="module")
def rollout(image: str, namespace: str) -> Rollout:
    """Version v1, installed and Healthy."""
    apply(
        namespace,
        service("stable", "app"),
        service("canary", "app"),
        *weighted_route("app", "rollout", {"stable": 100, "canary": 0}),
    )
    made = Rollout(namespace, image)
    made.ship("v1")
    eventually("a healthy first version", lambda: made.status.get("phase") == "Healthy", within_s=40)
    eventually("its traffic", lambda: shares(1)["v1"], within_s=10)
    return made


def test_goes_through_every_step_and_is_promoted(rollout: Rollout) -> None:
    rollout.ship("v2")
    for step, (weight, count) in HOLDS.items():
        rollout.holds_at(step)
        assert (rollout.weight(), rollout.canary_pods()) == (weight, count), f"at step {step}"
        seen = eventually(f"{weight} % of the traffic", lambda weight=weight: _share_near(weight), within_s=10)
        assert set(seen) <= {"v1", "v2"}, seen
        rollout.patch({"pauseConditions": None})
    eventually("the promotion", lambda: rollout.status.get("phase") == "Healthy", within_s=40)
    # Argo calls itself Healthy when it has changed the stable Service's selector; its endpoints follow a moment later,
    # and until then that Service sends to v1, which is kept and serves.
    eventually("v2 for everybody", lambda: set(shares(20)) == {"v2"}, within_s=10)
    assert shares(50) == {"v2": 50}


@pytest.mark.parametrize("step", [6, 10], ids=["at 10 %", "at 100 %"])
def test_an_abort_takes_the_canarys_traffic_to_zero(rollout: Rollout, step: int) -> None:
    rollout.ship("v3")
    for hold in [hold for hold in HOLDS if hold < step]:
        rollout.holds_at(hold)
        rollout.patch({"pauseConditions": None})
    rollout.holds_at(step)
    eventually("some canary traffic", lambda: shares(30)["v3"], within_s=10)
    rollout.patch({"abort": True})
    eventually("no canary traffic", lambda: not shares(20)["v3"], within_s=10)
    assert shares(200) == {"v2": 200}
    assert rollout.weight() == 0
    rollout.ship("v2")  # the old template back: Healthy at once, without a step
    eventually("health on the old version", lambda: rollout.status.get("phase") == "Healthy", within_s=10)


def _share_near(weight: int) -> Counter[str] | None:
    seen = shares(100)
    return seen if abs(seen["v2"] - weight) <= 3 else None
