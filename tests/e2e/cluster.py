"""What the end-to-end tests say to the testbed: kubectl, https as a user, Prometheus, the sinks, and waiting."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import yaml

from testbed import sandbox
from testbed.control import Supervisor
from testbed.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HOME = Home.default()
Found = TypeVar("Found")


def testbed(*arguments: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """Run ``python -m testbed`` as a user does; the exit code is the caller's business."""
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=timeout_s, check=False)


testbed.__test__ = False  # type: ignore[attr-defined]


def network() -> Any:
    """Return the plan of addresses of the running testbed."""
    running = sandbox.find(HOME)
    assert running, "no testbed is running"
    return running.network


def supervisor() -> Supervisor:
    """Return the running testbed's supervisor."""
    return Supervisor(HOME.control)


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl as the administrator."""
    command = [
        str(HOME.bin / "kubectl"),
        f"--kubeconfig={HOME.kubeconfig}",
        "--request-timeout=20s",
        *arguments,
    ]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def get(kind: str, name: str = "", *, namespace: str, **selector: str) -> Any:
    """Read an object, or a list by labels."""
    labels = [f"--selector={','.join(f'{key}={value}' for key, value in selector.items())}"] if selector else []
    return json.loads(
        kubectl("get", kind, *([name] if name else []), f"--namespace={namespace}", "-o", "json", *labels)
    )


def apply(namespace: str, *objects: dict[str, Any]) -> None:
    """Apply objects in a namespace."""
    kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=yaml.safe_dump_all(objects))


def eventually(what: str, look: Callable[[], Found | None], *, within_s: float, every_s: float = 0.3) -> Found:
    """Look again and again until there is something to see.

    :param look: returns None or False while it is not there; a refused connection counts as not there.
    """
    deadline = time.monotonic() + within_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except (httpx.HTTPError, OSError) as error:
            found, last = None, error
        if found:
            return found
        time.sleep(every_s)
    raise AssertionError(f"{what}: not within {within_s:g} s; last seen: {last or 'nothing'}")


def web(host: str) -> httpx.Client:
    """Return a client of ``https://HOST.testbed.internal`` that trusts the testbed's CA and nothing else."""
    name = f"{host}.testbed.internal"
    return httpx.Client(
        base_url=f"https://{network().ingress}",
        headers={"Host": name},
        verify=ssl.create_default_context(cafile=str(HOME.ca)),
        timeout=5,
        transport=_Named(name),
        trust_env=False,
    )


def visit(host: str, path: str = "/") -> httpx.Response:
    """Open one page as a user with a new connection."""
    with web(host) as client:
        return client.get(path)


class _Named(httpx.HTTPTransport):
    """Sends the host's name in the handshake, so that the certificate is checked against it and not the address."""

    def __init__(self, name: str) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=str(HOME.ca)), trust_env=False)
        self._name = name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = self._name
        return super().handle_request(request)


def query(promql: str) -> list[dict[str, Any]]:
    """Ask Prometheus, through the ingress."""
    with web("prometheus") as client:
        answer = client.get("/api/v1/query", params={"query": promql})
    answer.raise_for_status()
    return list(answer.json()["data"]["result"])


def messages(channel: str, contains: str) -> list[dict[str, Any]]:
    """Return what arrived in a sink."""
    url = f"http://{network().control}:8080/messages"
    answer = httpx.get(url, params={"channel": channel, "contains": contains}, timeout=5, trust_env=False)
    answer.raise_for_status()
    return list(answer.json())


def pods(namespace: str, **selector: str) -> list[dict[str, Any]]:
    """Return the pods that are Ready and not on their way out."""
    return [item for item in get("pods", namespace=namespace, **selector)["items"] if is_ready(item)]


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether a pod is Ready and stays."""
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def workload(kind: str, name: str, image: str, *, replicas: int | None = 1, **spec: Any) -> dict[str, Any]:
    """Write a Deployment, DaemonSet or Rollout of the test application.

    :param spec: more of the object's spec; ``environment`` and ``pod`` go into the template.
    """
    environment = {"VERSION": "v1", **spec.pop("environment", {})}
    pod = spec.pop("pod", {})
    labels = {"app": name}
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1" if kind == "Rollout" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            **({"replicas": replicas} if replicas is not None else {}),
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [container], **pod},
            },
            **spec,
        },
    }


def service(name: str, app: str) -> dict[str, Any]:
    """Write a Service over the pods of an application."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def weighted_route(name: str, host: str, weights: dict[str, int]) -> Iterable[dict[str, Any]]:
    """Write a TraefikService that splits traffic over Services, and the https route to it."""
    backends = [{"name": key, "port": 80, "weight": weight} for key, weight in weights.items()]
    target = {"kind": "TraefikService", "name": name}
    rule = {"kind": "Rule", "match": f"Host(`{host}.testbed.internal`)", "services": [target]}
    return (
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": name},
            "spec": {"weighted": {"services": backends}},
        },
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": name},
            "spec": {"entryPoints": ["websecure"], "routes": [rule], "tls": {}},
        },
    )


def environment_of_build() -> dict[str, str]:
    """Return the environment in which images are built here: no daemon, no kernel features beyond chroot."""
    return {**os.environ, "BUILDAH_ISOLATION": "chroot"}
