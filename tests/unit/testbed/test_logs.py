from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed import catalog, logs
from testbed.build import manifests
from testbed.errors import UsageError
from testbed.home import Home
from testbed.network import Network

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = Network.plan(2, "10.200.0.0/16")
MANIFEST = """apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1beta1.metrics.k8s.io
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: metrics-server
  namespace: kube-system
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(cache=tmp_path / "cache", state=tmp_path / "state")


def render(home: Home, name: str, text: str) -> None:
    """Write an add-on's manifest where the build would."""
    table = catalog.load()
    component = next(item for item in table.addons if item.name == name)
    target = manifests.place(home, table, NETWORK, component)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("etcd", ["etcd.log"]),
        ("kubelet@node-2", ["kubelet@node-2.log"]),
        ("kubelet", ["kubelet@node-1.log", "kubelet@node-2.log"]),
        ("supervisor", ["supervisor.log"]),
    ],
    ids=["process", "process of a node", "every process of a name", "supervisor"],
)
def test_shows_the_files_of_a_process(home: Home, name: str, files: list[str]) -> None:
    assert logs.command(home, NETWORK, name, lines=100, follow=False) == [
        "tail",
        "--lines=100",
        *(str(home.logs / file) for file in files),
    ]


def test_follows_a_file_over_its_rotation(home: Home) -> None:
    assert logs.command(home, NETWORK, "etcd", lines=5, follow=True) == [
        "tail",
        "--lines=5",
        "--follow=name",
        str(home.logs / "etcd.log"),
    ]


@pytest.mark.parametrize("follow", [False, True])
def test_shows_the_pods_of_an_addon_and_no_api_service(home: Home, follow: bool) -> None:
    render(home, "metrics-server", MANIFEST)
    assert logs.command(home, NETWORK, "metrics-server", lines=8, follow=follow) == [
        str(home.bin / "kubectl"),
        f"--kubeconfig={home.kubeconfig}",
        "--namespace=kube-system",
        "logs",
        "deployment/metrics-server",
        "--all-containers",
        "--tail=8",
        *(["--follow"] if follow else []),
    ]


def test_shows_the_pods_that_an_operator_makes(home: Home) -> None:
    render(home, "prometheus", "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata:\n  name: main\n")
    command = logs.command(home, NETWORK, "prometheus", lines=8, follow=False)
    assert command[2:5] == ["--namespace=monitoring", "logs", "statefulset/prometheus-main"]


@pytest.mark.parametrize("name", ["moon", "kubelet@node-3", "kubectl", "node-1", ""])
def test_names_what_there_is_for_a_name_that_nothing_has(home: Home, name: str) -> None:
    table = catalog.load()
    known = sorted({"supervisor", *(item.name for item in (*table.processes, *table.addons))})
    with pytest.raises(UsageError) as refused:
        logs.command(home, NETWORK, name, lines=100, follow=False)
    assert str(refused.value) == f"nothing is called {name!r}\n  found  known: {', '.join(known)}"
