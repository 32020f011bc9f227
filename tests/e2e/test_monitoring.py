"""A PodMonitor's target is up with its pod-template hash, an alert reaches people, and the autoscaler reads CPU."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.e2e.cluster import apply, eventually, get, messages, pods, query, service, workload


@pytest.fixture(scope="module")
def app(image: str, namespace: str) -> str:
    """A Rollout of one pod with a PodMonitor, a Service and an autoscaler."""
    rollout = workload("Rollout", "app", image, strategy={"canary": {}})
    endpoint = {"port": "http", "interval": "2s"}
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "app"},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "podTargetLabels": ["rollouts-pod-template-hash"],
            "podMetricsEndpoints": [endpoint],
        },
    }
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "app"},
            "minReplicas": 1,
            "maxReplicas": 2,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }
    apply(namespace, rollout, service("app", "app"), monitor, autoscaler)
    eventually("a ready pod", lambda: pods(namespace, app="app"), within_s=30)
    return namespace


def test_a_target_is_up_with_its_pod_template_hash(app: str) -> None:
    pod = pods(app, app="app")[0]
    template = pod["metadata"]["labels"]["rollouts-pod-template-hash"]
    wanted = f'up{{namespace="{app}", rollouts_pod_template_hash="{template}"}} == 1'
    # Mostly six seconds, and ten more where the reloader missed the change of the file and looks again by itself.
    found = eventually("the target", lambda: query(wanted), within_s=60)
    assert [row["metric"]["pod"] for row in found] == [pod["metadata"]["name"]]
    assert query(f'app_requests_total{{namespace="{app}", code="200", rollouts_pod_template_hash="{template}"}}')


def test_the_router_is_measured(app: str) -> None:
    # A judge needs what never reached a pod: the router counts it at its entrypoint.
    eventually("the router's own metrics", lambda: query("traefik_entrypoint_requests_total"), within_s=60)


def test_the_autoscaler_reads_cpu_and_acts(app: str) -> None:
    def utilization() -> int | None:
        metrics = get("hpa", "app", namespace=app)["status"].get("currentMetrics") or []
        values = [item["resource"]["current"].get("averageUtilization") for item in metrics if "resource" in item]
        return values[0] + 1 if values and values[0] is not None else None

    eventually("the autoscaler's reading", utilization, within_s=60)
    address = pods(app, app="app")[0]["status"]["podIP"]

    def burnt() -> bool:
        # One processor busy for a moment, again and again: far above 70 % of the 20m that the pod asks for.
        httpx.get(f"http://{address}:8080/burn?seconds=0.5", timeout=5, trust_env=False)
        return len(pods(app, app="app")) == 2

    assert eventually("a second pod", burnt, within_s=60)


def test_an_alert_reaches_chat_and_mail(app: str) -> None:
    marker = f"Proof{uuid.uuid4().hex[:8]}"
    rule = {
        "alert": marker,
        "expr": "vector(1)",
        "labels": {"severity": "critical"},
        "annotations": {"summary": f"{marker} fired"},
    }
    apply(
        app,
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": "proof"},
            "spec": {"groups": [{"name": "proof", "interval": "2s", "rules": [rule]}]},
        },
    )
    for channel in ("slack", "mail"):
        arrived = eventually(f"the alert in {channel}", lambda channel=channel: messages(channel, marker), within_s=90)
        assert arrived[0]["accepted"], arrived[0]
