from __future__ import annotations

import sys
from pathlib import Path

import jinja2
import pytest

from testbed import catalog
from testbed.catalog import Catalog, Component
from testbed.home import Home
from testbed.network import Network
from testbed.place import Place, places

HOME = Home(cache=Path("/cache"), state=Path("/state"))
NETWORK = Network.plan(2, "10.200.0.0/16")
ETCD = Component(name="etcd", about="the cluster's memory")
MIDDLE = Place(HOME, NETWORK, ETCD)
ON_NODE = Place(HOME, NETWORK, Component(name="kubelet", about="starts pods", each="node"), NETWORK.nodes[1])


@pytest.mark.parametrize(
    ("place", "name", "folder", "log"),
    [
        (MIDDLE, "etcd", "/state/etcd", "/state/logs/etcd.log"),
        (ON_NODE, "kubelet@node-2", "/state/nodes/node-2/kubelet", "/state/logs/kubelet@node-2.log"),
    ],
    ids=["in the middle", "on a node"],
)
def test_has_a_name_a_folder_and_a_log_of_its_own(place: Place, name: str, folder: str, log: str) -> None:
    assert (place.name, str(place.dir), str(place.log)) == (name, folder, log)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ dir }}/tls.crt", "/state/nodes/node-2/kubelet/tls.crt"),
        ("{{ node.name }} {{ node.index }} {{ node.address }} {{ node.pods }}", "node-2 2 10.200.0.12 10.200.130.0/24"),
        ("{{ network.control }}", "10.200.0.1"),
        ("{{ nodes | length }}", "2"),
        ("{{ home.ca }} {{ bin }}", "/state/pki/ca.crt /cache/bin"),
        ("{{ python }}", sys.executable),
        ("a < b & 'c'\n", "a < b & 'c'\n"),
    ],
)
def test_fills_a_text_with_what_it_promises(text: str, filled: str) -> None:
    assert ON_NODE.render(text) == filled


def test_fills_each_argument_by_itself() -> None:
    assert MIDDLE.render_all(("etcd", "--data-dir={{ dir }}/data")) == ["etcd", "--data-dir=/state/etcd/data"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nobody }}", "'nobody' is undefined"),
        ("{{ network.moon }}", "'testbed.network.Network object' has no attribute 'moon'"),
        ("{{ node.name }}", "'None' has no attribute 'name'"),
    ],
    ids=["value", "attribute", "node of what runs in the middle"],
)
def test_refuses_a_value_that_does_not_exist(text: str, message: str) -> None:
    with pytest.raises(jinja2.UndefinedError) as refused:
        MIDDLE.render(text)
    assert str(refused.value) == message


def test_keeps_the_last_newline_of_a_file() -> None:
    containerd = Place(HOME, NETWORK, Component(name="containerd", about="runs containers"), NETWORK.nodes[0])
    assert containerd.render_file("hosts.toml") == (
        'server = "http://10.200.0.1:5000"\n\n[host."http://10.200.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n'
    )


def test_starts_one_a_node_after_what_it_waits_for() -> None:
    process = {"about": "runs", "run": ["true"], "health": {"run": ["true"]}}
    table = Catalog.model_validate(
        {
            "components": [
                {**process, "name": "kubelet", "each": "node", "after": ["etcd"]},
                {**process, "name": "etcd"},
                {"name": "coredns", "about": "an add-on", "addon": {"folder": "coredns"}, "after": ["etcd"]},
                {"name": "kubectl", "about": "a tool"},
            ]
        }
    )
    assert [place.name for place in places(HOME, NETWORK, table)] == ["etcd", "kubelet@node-1", "kubelet@node-2"]


def test_gives_no_name_and_no_folder_twice() -> None:
    everywhere = places(HOME, Network.plan(9), catalog.load())
    assert len({place.name for place in everywhere}) == len(everywhere)
    assert len({place.dir for place in everywhere}) == len(everywhere)
