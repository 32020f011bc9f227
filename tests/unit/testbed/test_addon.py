from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from testbed import addon, pki
from testbed.addon import Addon, Workload, find_workloads, split
from testbed.catalog import Addon as Entry
from testbed.catalog import Certificate, Component
from testbed.home import Home
from testbed.network import Network
from testbed.place import Place
from testbed.state import State

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    note: a name below must not be taken for the object's
  name: widgets.example.com
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: controller
  namespace: system
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1.example.com
"""
DEPLOYMENT = "/apis/apps/v1/namespaces/system/deployments/controller"
APISERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com"
KUBECTL = """#!/bin/sh
# Refuses the first call, as an API server does that is just starting, and writes down what it was given.
for last; do :; done
if [ ! -e CALLS ]; then
  echo refused > CALLS
  echo "not now" >&2
  exit 1
fi
basename "${last#--filename=}" >> CALLS
"""
COMPONENT = Component(name="widgets", about="makes widgets", addon=Entry(folder="widgets"))


def deployment(wanted: int, available: int, *, updated: int | None = None, seen: int = 1) -> dict[str, Any]:
    status = {"observedGeneration": seen, "availableReplicas": available}
    status["updatedReplicas"] = available if updated is None else updated
    return {"metadata": {"generation": 1}, "spec": {"replicas": wanted}, "status": status}


class FakeDoctor:
    """A cluster in a dictionary: path -> object."""

    def __init__(self, objects: dict[str, dict[str, Any]]) -> None:
        self.objects = objects

    async def get(self, path: str) -> dict[str, Any] | None:
        return self.objects.get(path)


def test_parts_definitions_from_the_rest() -> None:
    definitions, objects = split(MANIFEST)
    assert [addon._name(text) for text in definitions] == ["widgets.example.com"]
    assert len(objects) == 2


def test_finds_sets_of_pods_served_apis_and_what_an_operator_makes() -> None:
    listed = COMPONENT.model_copy(update={"addon": Entry(folder="w", ready=("system/statefulsets/store",))})
    assert [item.path for item in find_workloads(MANIFEST, listed)] == [
        DEPLOYMENT,
        APISERVICE,
        "/apis/apps/v1/namespaces/system/statefulsets/store",
    ]


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        (deployment(2, 2), ""),
        (deployment(0, 0), ""),
        (deployment(2, 1), "Deployment system/controller: 1 of 2 pods available"),
        (deployment(2, 2, updated=1), "Deployment system/controller: 1 of 2 pods available"),
        (deployment(2, 2, seen=0), "Deployment system/controller: 2 of 2 pods available"),
        (None, "Deployment system/controller does not exist"),
    ],
    ids=["available", "scaled to zero", "short", "old pods", "not yet observed", "missing"],
)
def test_says_what_a_deployment_lacks(found: dict[str, Any] | None, trouble: str) -> None:
    assert addon._shortage(Workload("Deployment", "system", "controller"), found) == trouble


@pytest.mark.parametrize(
    ("kind", "status", "trouble"),
    [
        ("DaemonSet", {"desiredNumberScheduled": 3, "numberAvailable": 3}, ""),
        ("DaemonSet", {"desiredNumberScheduled": 0}, ""),
        ("DaemonSet", {"desiredNumberScheduled": 3, "numberAvailable": 1}, "1 of 3 pods available"),
        ("DaemonSet", {}, "0 of 0 pods available"),
        ("StatefulSet", {"availableReplicas": 2, "updatedReplicas": 2}, ""),
        ("StatefulSet", {"availableReplicas": 2}, "0 of 2 pods available"),
        ("StatefulSet", {}, "0 of 2 pods available"),
    ],
)
def test_says_what_another_set_of_pods_lacks(kind: str, status: dict[str, int], trouble: str) -> None:
    found = {"metadata": {"generation": 4}, "spec": {"replicas": 2}, "status": {"observedGeneration": 4, **status}}
    said = addon._shortage(Workload(kind, "system", "store"), found)
    assert said == (f"{kind} system/store: {trouble}" if trouble else "")


@pytest.mark.parametrize(
    ("conditions", "trouble"),
    [
        ([{"type": "Available", "status": "True"}], ""),
        ([{"type": "Available", "status": "False", "message": "no endpoints"}], "no endpoints"),
        ([{"type": "Available", "status": "Unknown"}], "Available is Unknown"),
        ([], "no condition yet"),
    ],
    ids=["available", "with a message", "without a message", "no condition"],
)
def test_says_why_an_api_is_not_available(conditions: list[dict[str, str]], trouble: str) -> None:
    found = {"metadata": {}, "status": {"conditions": conditions}}
    said = addon._shortage(Workload("APIService", None, "v1.example.com"), found)
    assert said == (f"APIService v1.example.com: {trouble}" if trouble else "")


def test_says_so_while_kubectl_is_missing(tmp_path: Path) -> None:
    home = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    member = Addon(Place(home, Network.plan(1), COMPONENT), tmp_path / "manifest.yaml", {}, FakeDoctor({}))  # type: ignore[arg-type]
    assert asyncio.run(member._kubectl([])) == "kubectl apply: No such file or directory"


def test_writes_its_certificate_as_a_secret_for_the_owner_only(tmp_path: Path) -> None:
    home = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    pki.Authority(home.pki).ensure()
    component = Component(
        name="ingress",
        about="lets users in",
        addon=Entry(folder="ingress", tls="edge/tls"),
        certificate=Certificate(common_name="*.testbed.internal", names=("*.testbed.internal",)),
    )
    place = Place(home, Network.plan(1), component)
    place.dir.mkdir(parents=True)
    member = Addon(place, tmp_path / "manifest.yaml", {}, FakeDoctor({}))  # type: ignore[arg-type]
    [path] = member._secret()
    written = {name: base64.b64encode((place.dir / name).read_bytes()).decode() for name in ("tls.crt", "tls.key")}
    assert yaml.safe_load(path.read_text()) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "tls", "namespace": "edge"},
        "data": written,
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_applies_kinds_first_and_the_rest_when_they_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addon, "AGAIN_S", 0.01)
    home = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    home.bin.mkdir(parents=True)
    calls = tmp_path / "calls"
    kubectl = home.bin / "kubectl"
    kubectl.write_text(KUBECTL.replace("CALLS", str(calls)))
    kubectl.chmod(0o755)
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(MANIFEST)
    served = {"/apis/example.com": {"versions": [{"groupVersion": "example.com/v1"}]}}
    doctor = FakeDoctor({DEPLOYMENT: deployment(1, 1)})
    doctor.objects[APISERVICE] = {"metadata": {}, "status": {"conditions": [{"type": "Available", "status": "True"}]}}
    member = Addon(Place(home, Network.plan(1), COMPONENT), manifest, {}, doctor)  # type: ignore[arg-type]

    async def scenario() -> None:
        task = asyncio.create_task(member.keep())
        async with asyncio.timeout(5):
            while member.status.detail != "widgets.example.com is not served yet":  # noqa: ASYNC110 - of a process
                await asyncio.sleep(0.005)
            assert calls.read_text().split() == ["refused", "definitions.yaml"]
            doctor.objects |= {**served, "/apis/example.com/v1": {"resources": [{"name": "widgets"}]}}
            await member.ready.wait()
        task.cancel()

    asyncio.run(scenario())
    assert calls.read_text().split() == ["refused", "definitions.yaml", "objects.yaml"]
    assert member.status.state is State.READY
