"""One look at a pod: ready, restarts, killed for its memory, and for how long it has not been well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from slipway.hooks.pods import Pods, pod_state

NOW = datetime(2026, 11, 24, 12, 1, 0, tzinfo=UTC)


def pod(*, ready: bool = True, since: str | None = "2026-11-24T12:00:00Z", **more: Any) -> dict[str, Any]:
    condition: dict[str, Any] = {"type": "Ready", "status": "True" if ready else "False"}
    if since:
        condition["lastTransitionTime"] = since
    status = {"conditions": [{"type": "PodScheduled", "status": "True"}, condition], **more}
    return {"metadata": {"name": "backend-1", "creationTimestamp": "2026-11-24T11:00:00Z"}, "status": status}


def container(restarts: int = 0, **states: Any) -> dict[str, Any]:
    return {"name": "backend", "restartCount": restarts, **states}


def test_a_pod_that_is_ready_is_well() -> None:
    state = pod_state(pod(containerStatuses=[container(state={"running": {}})]), now=NOW)

    assert state.model_dump() == {
        "name": "backend-1", "ready": True, "unready_s": 0.0, "ready_s": 60.0, "restarts": 0, "oom": False,
        "reason": "",
    }  # fmt: skip


def test_a_pod_is_not_ready_since_its_last_change() -> None:
    state = pod_state(pod(ready=False), now=NOW)

    assert (state.ready, state.unready_s, state.ready_s) == (False, 60.0, 0.0)


def test_a_pod_that_nobody_has_looked_at_is_not_ready_since_its_birth() -> None:
    newborn = {"metadata": {"name": "a", "creationTimestamp": "2026-11-24T12:00:30Z"}, "status": {}}

    assert pod_state(newborn, now=NOW).unready_s == 30.0
    assert pod_state({"metadata": {"name": "a"}}, now=NOW).unready_s == 0.0


def test_clocks_that_differ_give_no_negative_time() -> None:
    assert pod_state(pod(ready=False, since="2026-11-24T12:05:00Z"), now=NOW).unready_s == 0.0


def test_restarts_of_all_containers_count_from_the_start_of_the_window() -> None:
    two = pod(containerStatuses=[container(3), container(1)])

    assert pod_state(two, now=NOW).restarts == 4
    assert pod_state(two, 3, now=NOW).restarts == 1
    assert pod_state(two, 9, now=NOW).restarts == 0


def test_a_crash_loop_says_so() -> None:
    waiting = container(
        2, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"reason": "Error"}}
    )

    state = pod_state(pod(ready=False, containerStatuses=[waiting]), now=NOW)

    assert (state.reason, state.restarts, state.oom) == ("CrashLoopBackOff", 2, False)


def test_a_pod_killed_for_its_memory_is_known_when_it_is_back() -> None:
    killed = container(1, state={"running": {}}, lastState={"terminated": {"reason": "OOMKilled"}})

    state = pod_state(pod(containerStatuses=[killed]), now=NOW)

    assert (state.oom, state.ready, state.reason) == (True, True, "")


def test_what_killed_it_before_the_window_is_not_held_against_the_canary() -> None:
    killed = container(1, state={"running": {}}, lastState={"terminated": {"reason": "OOMKilled"}})

    assert pod_state(pod(containerStatuses=[killed]), 1, now=NOW).oom is False


def test_a_pod_that_was_killed_at_its_first_start_counts_when_its_container_is_down() -> None:
    down = container(0, state={"terminated": {"reason": "OOMKilled"}})

    state = pod_state(pod(ready=False, containerStatuses=[down]), now=NOW)

    assert state.reason == "OOMKilled"


class _Client:
    namespace = "shop"

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = pods
        self.asked: list[dict[str, Any]] = []

    def list(self, _: object, **how: Any) -> list[Any]:
        self.asked.append(how)

        class Object:
            def __init__(self, content: dict[str, Any]) -> None:
                self.to_dict = lambda: content

        return [Object(one) for one in self.pods]


@pytest.fixture
def client() -> _Client:
    leaving = pod(containerStatuses=[container(7)])
    leaving["metadata"] = {"name": "leaving", "deletionTimestamp": "2026-11-24T12:00:00Z"}
    return _Client(pod(containerStatuses=[container(2)]), leaving)


def test_pods_on_their_way_out_are_left_aside(client: _Client) -> None:
    found = Pods(client).of("abc", {"backend-1": 1})  # type: ignore[arg-type]

    assert [(one.name, one.restarts) for one in found] == [("backend-1", 1)]
    assert client.asked == [{"namespace": "shop", "labels": {"rollouts-pod-template-hash": "abc"}}]


def test_restarts_are_noted_by_pod(client: _Client) -> None:
    assert Pods(client).restarts("abc") == {"backend-1": 2, "leaving": 7}  # type: ignore[arg-type]
