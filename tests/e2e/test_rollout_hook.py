"""slipway moves a real Rollout: promotes from the step it expects, aborts only its own version, and walks back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from slipway.errors import FencedError
from slipway.hooks import cluster
from slipway.hooks.rollouts import Rollout, walk
from slipway.rollouts.state import Phase, RolloutState

from tests.e2e.cluster import HOME, apply, service, weighted_route, workload
from tests.e2e.test_rollouts import HOLDS, REPLICAS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shop:
    """A Rollout with two versions, and the hook that moves it."""

    def __init__(self, rollout: Rollout, image: str) -> None:
        self.rollout = rollout
        self.image = image

    def ship(self, version: str) -> RolloutState:
        strategy = {
            "canary": {
                "canaryService": "canary",
                "stableService": "stable",
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": "shop"}},
                "steps": STEPS,
            }
        }
        made = workload(
            "Rollout", "shop", self.image, replicas=REPLICAS, strategy=strategy, environment={"VERSION": version}
        )
        apply(self.rollout.client.namespace, made)
        return self.rollout.wait(
            "shipped",
            lambda state: state.fresh and (state.is_settled or state.phase is Phase.PAUSED),
            within_s=40,
        )


@pytest.fixture(scope="module")
def shop(image: str, namespace: str) -> Iterator[Shop]:
    route = weighted_route("shop", "shop", {"stable": 100, "canary": 0})
    apply(namespace, service("stable", "shop"), service("canary", "shop"), *route)
    with cluster.connected(str(HOME.kubeconfig), None, namespace) as client:
        made = Shop(Rollout(client, "shop"), image)
        assert made.ship("v1").is_settled
        yield made


def test_a_release_goes_forward_one_step_at_a_time_and_back_again(shop: Shop) -> None:
    rollout = shop.rollout
    old = rollout.state().stable_hash
    new = shop.ship("v2").current_hash
    for step, following in zip(HOLDS, [*list(HOLDS)[1:], len(STEPS)], strict=True):
        rollout.wait(f"paused at {step}", lambda state, step=step: state.waits_at(step, new), within_s=40)
        rollout.promote(step, new)
        after = rollout.promote(step, new)  # a task that runs twice goes on once
        assert after.step <= following
    promoted = rollout.wait("promoted", lambda state: state.is_settled and state.stable_hash == new, within_s=40)
    assert promoted.current_hash == new
    with pytest.raises(FencedError, match="no canary to abort"):
        rollout.abort(new)

    started = time.monotonic()
    rollout.put_back(old)
    back = walk(rollout, old, within_s=60, log=print)
    assert back.stable_hash == old
    assert time.monotonic() - started < 60


def test_an_abort_touches_its_own_version_only_and_may_be_repeated(shop: Shop) -> None:
    rollout = shop.rollout
    old = rollout.state().stable_hash
    new = shop.ship("v3").current_hash
    for step in (1, 3):
        rollout.promote(step, new)
    rollout.wait("at 10 %", lambda state: state.waits_at(6, new), within_s=40)
    with pytest.raises(FencedError, match="another version"):
        rollout.abort(old)
    assert rollout.state().weight == 10

    started = time.monotonic()
    for _ in range(2):
        state = rollout.abort(new)
        assert state.aborted
        assert state.weight == 0
    assert time.monotonic() - started < 3
    with pytest.raises(FencedError, match="not what was to be promoted"):
        rollout.promote(6, new)
    rollout.put_back(old)
    rollout.wait("healthy on the old version", lambda seen: seen.is_settled and seen.stable_hash == old, within_s=40)


def test_a_version_can_be_held_at_no_pods_and_let_go(shop: Shop) -> None:
    assert shop.rollout.hold(paused=True).spec_paused
    assert not shop.rollout.hold(paused=False).spec_paused
