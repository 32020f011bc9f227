"""A drained node and a dead node: pods move, and the node comes back."""

from __future__ import annotations

import httpx
import pytest

from testbed.state import State
from tests.e2e.cluster import apply, eventually, get, kubectl, network, pods, service, supervisor, workload


@pytest.fixture(scope="module")
def app(image: str, namespace: str) -> str:
    """Three pods on three nodes, of which one may be away at a time."""
    if network().node_count < 3:
        pytest.skip("the testbed runs with fewer than three nodes: python -m testbed up --nodes 3")
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "app"}},
    }
    gone = ("unreachable", "not-ready")
    tolerations = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 1,
        }
        for why in gone
    ]
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "app"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "app"}}},
    }
    pod = {"topologySpreadConstraints": [spread], "tolerations": tolerations}
    apply(namespace, workload("Deployment", "app", image, replicas=3, pod=pod), service("app", "app"), budget)
    eventually("a pod on each node", lambda: len(where(namespace)) == 3, within_s=30)
    return namespace


def where(namespace: str) -> set[str]:
    """Return the nodes that ready pods are on."""
    return {pod["spec"]["nodeName"] for pod in pods(namespace, app="app")}


def three_ready_without(namespace: str, node: str) -> bool:
    """Say whether all three pods are ready, none of them on the node."""
    ready = [pod["spec"]["nodeName"] for pod in pods(namespace, app="app")]
    return len(ready) == 3 and node not in ready


def is_node_ready(name: str) -> bool:
    """Say whether the cluster takes the node for Ready."""
    conditions = get("node", name, namespace="default")["status"]["conditions"]
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def test_a_drain_moves_the_pods_one_at_a_time(app: str) -> None:
    node = "node-3"
    address = get("service", "app", namespace=app)["spec"]["clusterIP"]
    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=90s")
    try:
        eventually("three pods on the other nodes", lambda: three_ready_without(app, node), within_s=30)
        answer = httpx.get(f"http://{address}/", timeout=5, trust_env=False)
        assert answer.status_code == 200
    finally:
        kubectl("uncordon", node)


def test_a_dead_node_loses_its_pods_to_the_others_and_comes_back(app: str) -> None:
    node = "node-2"
    kubectl("rollout", "restart", "deployment/app", f"--namespace={app}")
    eventually("a pod on the node", lambda: node in where(app) and len(pods(app, app="app")) == 3, within_s=40)
    supervisor().stop(node)
    try:
        eventually("the cluster's word that it is gone", lambda: not is_node_ready(node), within_s=30)
        eventually("three pods on the other nodes", lambda: three_ready_without(app, node), within_s=40)
    finally:
        supervisor().start(node)
    eventually("the node's return", lambda: is_node_ready(node), within_s=30)
    eventually(
        "all its processes",
        lambda: all(row.state is State.READY for row in supervisor().status() if row.name.endswith(f"@{node}")),
        within_s=30,
    )
