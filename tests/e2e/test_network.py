"""Pods reach pods on other nodes, services, names, the API server, the company's servers; the machine reaches pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.cluster import apply, eventually, network, pods, service, workload

if TYPE_CHECKING:
    from collections.abc import Callable

Ask = "Callable[[str, dict[str, str]], str]"


@pytest.fixture(scope="module")
def everywhere(image: str, namespace: str) -> dict[str, str]:
    """A pod on each node: its node's name -> its address."""
    apply(namespace, workload("DaemonSet", "app", image, replicas=None), service("app", "app"))
    want = network().node_count
    ready = eventually(
        "a ready pod on each node",
        lambda: len(found := pods(namespace, app="app")) == want and found,
        within_s=30,
    )
    return {pod["spec"]["nodeName"]: pod["status"]["podIP"] for pod in ready}


@pytest.fixture(scope="module")
def ask(everywhere: dict[str, str]) -> Callable[[str, str, str], str]:
    """Ask the pod on a node to look, as ``ask(node, "fetch", "url=...")``; this way the machine reaches pods, too."""

    def question(node: str, what: str, argument: str) -> str:
        key, _, value = argument.partition("=")
        url = f"http://{everywhere[node]}:8080/{what}"
        answer = httpx.get(url, params={key: value}, timeout=5, trust_env=False)
        assert answer.status_code == 200, f"from {node}: {what} {argument}: {answer.text}"
        return answer.text.strip()

    return question


def test_every_pod_reaches_every_pod(everywhere: dict[str, str], ask: Callable[[str, str, str], str]) -> None:
    for node in everywhere:
        for address in everywhere.values():
            assert ask(node, "fetch", f"url=http://{address}:8080/") == "200 v1"


def test_every_pod_reaches_a_service_by_name(
    everywhere: dict[str, str], ask: Callable[[str, str, str], str], namespace: str
) -> None:
    for node in everywhere:
        # The short name needs the search path, the service needs kube-proxy, and the pod may be its own backend.
        for _ in range(4):
            assert ask(node, "fetch", "url=http://app/") == "200 v1"
        assert ask(node, "lookup", f"name=app.{namespace}.svc.cluster.local")


def test_every_pod_reaches_the_api_server(everywhere: dict[str, str], ask: Callable[[str, str, str], str]) -> None:
    for node in everywhere:
        assert ask(node, "fetch", "url=https://kubernetes.default.svc/livez") == "200 ok"


@pytest.mark.parametrize(
    ("server", "port"),
    [("postgres", 5432), ("redis", 6379), ("mail", 1025), ("chat", 8080), ("registry", 5000)],
)
def test_pods_reach_the_companys_servers(
    everywhere: dict[str, str], ask: Callable[[str, str, str], str], server: str, port: int
) -> None:
    node = max(everywhere)
    assert ask(node, "lookup", f"name={server}.testbed.internal") == str(network().control)
    assert ask(node, "dial", f"address={server}.testbed.internal:{port}") == "connected"


def test_a_web_name_leads_to_the_ingress(everywhere: dict[str, str], ask: Callable[[str, str, str], str]) -> None:
    node = min(everywhere)
    assert ask(node, "lookup", "name=hive.testbed.internal") == str(network().ingress)
