from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from testbed import catalog
from testbed.build import manifests
from testbed.catalog import (
    Catalog,
    CommandHealth,
    Component,
    DebianPackage,
    GoProgram,
    HttpHealth,
    ObjectHealth,
)
from testbed.errors import UsageError
from testbed.home import SOURCE, Home
from testbed.network import Network
from testbed.place import Place, places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

TABLE = catalog.load()
PROMETHEUS_3 = 300
"""Prometheus 3.8.0 is version 0.308.0 of its Go module."""


def folders(name: str) -> set[str]:
    """Return the folders on disk that hold something."""
    return {path.name for path in (SOURCE / name).iterdir() if any(path.rglob("*"))}


def pinned(folder: str) -> dict[str, str]:
    """Return the versions of a go.mod: what it requires, and over that what it puts in its place."""
    text = (SOURCE / "go" / folder / "go.mod").read_text(encoding="utf-8")
    required = dict(re.findall(r"^(?:require )?\s*(\S+) (v\S+)", text, re.MULTILINE))
    return required | dict(re.findall(r"^(?:replace )?\s*(\S+)(?: v\S+)? => \S+ (v\S+)", text, re.MULTILINE))


def refusal(tmp_path: Path, text: str) -> str:
    """Load a table that is wrong, and return what is said about it."""
    path = tmp_path / "table.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        catalog.load(path)
    return str(refused.value)


def whole(*found: str) -> str:
    """Return the whole message about a table, from what was found."""
    head, *rest = found
    lines = ["table.yaml cannot be used", f"  found  {head}", *(f"         {line}" for line in rest)]
    return "\n".join([*lines, "  do     testbed/catalog.py explains each field"])


# ------------------------------------------------------------------ the table of this project


def test_loads_the_table_of_the_project() -> None:
    assert len(TABLE.components) == len({component.name for component in TABLE.components})
    assert {"etcd", "kube-apiserver", "kubelet"} <= {component.name for component in TABLE.processes}
    assert {"coredns", "traefik", "argo-rollouts"} <= {component.name for component in TABLE.addons}
    assert all(component.about for component in TABLE.components)


@pytest.mark.parametrize("component", TABLE.go_programs, ids=lambda component: component.name)
def test_names_the_version_that_go_builds(component: Component) -> None:
    assert isinstance(component.source, GoProgram)
    package = component.source.package
    versions = pinned(component.source.go)
    modules = [module for module in versions if package == module or package.startswith(f"{module}/")]
    if modules:
        assert component.version == versions[max(modules, key=len)]
    else:  # a program of our own, in the folder itself
        own = (SOURCE / "go" / component.source.go / "go.mod").read_text(encoding="utf-8").splitlines()[0]
        assert own == f"module {package}"
        assert component.image
        assert component.image.name.endswith(f":{component.version}")


def test_tags_each_image_with_the_version_of_its_program() -> None:
    for component in TABLE.images:
        assert component.image
        if component.version is None:
            continue
        major, minor, patch = component.version.removeprefix("v").split(".")
        expected = component.version
        if major == "0" and int(minor) >= PROMETHEUS_3 and component.name == "prometheus":
            expected = f"v3.{int(minor) - PROMETHEUS_3}.{patch}"
        assert component.image.name.rpartition(":")[2] == expected, component.name


def test_names_every_template_and_no_other() -> None:
    named = {template for component in TABLE.components for template in component.files.values()}
    assert named == {path.name for path in (SOURCE / "templates").iterdir()}


def test_names_every_addon_folder_and_no_other() -> None:
    named = {component.addon.folder for component in TABLE.addons if component.addon}
    assert named == folders("addons")
    assert all((SOURCE / "addons" / folder / "kustomization.yaml").is_file() for folder in named)


def test_names_every_containerfile_and_no_other() -> None:
    named = {
        component.image.containerfile for component in TABLE.images if component.image and component.image.containerfile
    }
    assert named == folders("images")
    assert all((SOURCE / "images" / folder / "Containerfile").is_file() for folder in named)


def test_names_every_folder_of_go_modules_and_no_other() -> None:
    named = {component.source.go for component in TABLE.go_programs if isinstance(component.source, GoProgram)}
    assert named == folders("go")


def test_takes_the_upstream_manifests_of_a_module_that_is_pinned() -> None:
    for component in TABLE.addons:
        assert component.addon
        for upstream in component.addon.upstream:
            assert isinstance(component.source, GoProgram)
            assert pinned(component.source.go)[upstream.module] == component.version


def test_starts_each_component_after_those_that_it_waits_for() -> None:
    order = [component.name for component in TABLE.in_order()]
    assert sorted(order) == sorted(component.name for component in (*TABLE.processes, *TABLE.addons))
    for component in TABLE.in_order():
        assert all(order.index(name) < order.index(component.name) for name in component.after)


@pytest.mark.parametrize("nodes", [1, 3])
def test_renders_every_text_of_the_table(tmp_path: Path, nodes: int) -> None:
    home, network = Home(tmp_path / "cache", tmp_path / "state"), Network.plan(nodes)
    started = places(home, network, TABLE)
    addons = [Place(home, network, component) for component in TABLE.addons]
    for place in (*started, *addons):
        component = place.component
        texts = [*component.run]
        texts += [text for step in component.prepare for text in (*step.run, step.unless)]
        if component.certificate:
            texts += [component.certificate.common_name, *component.certificate.names]
        if component.kubeconfig:
            texts += [component.kubeconfig.user, *component.kubeconfig.groups]
        match component.health:
            case HttpHealth():
                texts.append(component.health.http)
            case CommandHealth():
                texts += component.health.run
            case ObjectHealth():
                texts.append(component.health.object)
        rendered = place.render_all(tuple(texts))
        assert all(rendered), place.name
        assert not any("{{" in text or "}}" in text for text in rendered), place.name
    per_node = sum(place.node is not None for place in started)
    assert per_node == nodes * sum(component.each == "node" for component in TABLE.processes)


@pytest.mark.parametrize("nodes", [1, 3])
def test_renders_every_template_to_what_its_reader_can_parse(tmp_path: Path, nodes: int) -> None:
    readers: dict[str, Callable[[str], object]] = {
        ".yaml": yaml.safe_load,
        ".toml": tomllib.loads,
        ".conflist": json.loads,
    }
    home, network = Home(tmp_path / "cache", tmp_path / "state"), Network.plan(nodes)
    for place in places(home, network, TABLE):
        for template in place.component.files.values():
            text = place.render_file(template)
            assert "{{" not in text, template
            readers.get((SOURCE / "templates" / template).suffix, str)(text)


@pytest.mark.parametrize("nodes", [1, 3])
def test_renders_every_file_of_an_addon(nodes: int) -> None:
    network = Network.plan(nodes)
    for component in TABLE.addons:
        assert component.addon
        for path in sorted((SOURCE / "addons" / component.addon.folder).iterdir()):
            text = manifests._render(path, component, network)
            assert list(yaml.safe_load_all(text)), path


def test_pins_the_pause_image_that_it_builds(tmp_path: Path) -> None:
    home, network = Home(tmp_path / "cache", tmp_path / "state"), Network.plan(1)
    place = next(item for item in places(home, network, TABLE) if item.component.name == "containerd")
    settings = tomllib.loads(place.render_file("containerd.toml"))
    image = next(item.image for item in TABLE.images if item.name == "pause")
    assert image
    pinned_images = settings["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]
    assert pinned_images["sandbox"] == image.name


# ------------------------------------------------------------------ a table that is wrong

EXTRA = "Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("components: []\ncolour: red\n", [f"colour: {EXTRA}"]),
        ("components: [{name: a, about: b, colour: red}]", [f"components.0.colour: {EXTRA}"]),
        (
            "components: [{name: a, about: b, image: {name: a, colour: red}}]",
            [f"components.0.image.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, certificate: {common_name: a, names: [], colour: red}}]",
            [f"components.0.certificate.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, kubeconfig: {user: a, colour: red}}]",
            [f"components.0.kubeconfig.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, prepare: [{run: [a], unless: b, colour: red}]}]",
            [f"components.0.prepare.0.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, addon: {folder: b, colour: red}}]",
            [f"components.0.addon.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, addon: {folder: b, upstream: [{module: a, path: b, colour: red}]}}]",
            [f"components.0.addon.upstream.0.colour: {EXTRA}"],
        ),
        (
            "components: [{name: a, about: b, version: v1, source: {go: a, package: b, colour: red}}]",
            [
                f"components.0.source.GoProgram.colour: {EXTRA}",
                "components.0.source.DebianPackage.debian: Field required",
                f"components.0.source.DebianPackage.go: {EXTRA}",
                f"components.0.source.DebianPackage.package: {EXTRA}",
                f"components.0.source.DebianPackage.colour: {EXTRA}",
                "components.0.source.PythonModule.python: Field required",
                f"components.0.source.PythonModule.go: {EXTRA}",
                f"components.0.source.PythonModule.package: {EXTRA}",
                f"components.0.source.PythonModule.colour: {EXTRA}",
            ],
        ),
        (
            "components: [{name: a, about: b, run: [a], health: {http: b, colour: red}}]",
            [
                f"components.0.health.HttpHealth.colour: {EXTRA}",
                "components.0.health.CommandHealth.run: Field required",
                f"components.0.health.CommandHealth.http: {EXTRA}",
                f"components.0.health.CommandHealth.colour: {EXTRA}",
                "components.0.health.ObjectHealth.object: Field required",
                f"components.0.health.ObjectHealth.http: {EXTRA}",
                f"components.0.health.ObjectHealth.colour: {EXTRA}",
            ],
        ),
    ],
    ids=[
        "table",
        "component",
        "image",
        "certificate",
        "kubeconfig",
        "prepare",
        "addon",
        "upstream",
        "source",
        "health",
    ],
)
def test_refuses_a_key_that_it_does_not_know(tmp_path: Path, text: str, found: list[str]) -> None:
    assert refusal(tmp_path, text) == whole(*found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "components: [{name: a, about: b, run: [a]}]",
            "components.0: Value error, a has `run` but no `health`: ready would mean nothing",
        ),
        (
            "components: [{name: a, about: b, run: [a], health: {run: [a]}, addon: {folder: b}}]",
            "components.0: Value error, a has both `run` and `addon`: it is a process or an add-on",
        ),
        (
            "components: [{name: a, about: b, source: {go: a, package: b}}]",
            "components.0: Value error, a is built from a Go module and needs its `version`",
        ),
        (
            "components: [{name: A_b, about: b}]",
            "components.0.name: String should match pattern '^[a-z][a-z0-9-]*$'",
        ),
        ("components: [{name: a}]", "components.0.about: Field required"),
        ("components: [{name: a, about: b, each: rack}]", "components.0.each: Input should be 'testbed' or 'node'"),
        (
            "components: [{name: b, about: b}, {name: a, about: b}, {name: a, about: c}, {name: b, about: c}]",
            "components: Value error, named twice: a, b",
        ),
        (
            "components: [{name: a, about: b, addon: {folder: x}, after: [tool, nobody]}, {name: tool, about: b}]",
            "components: Value error, a waits for what is not started: nobody, tool",
        ),
        (
            "components: [{name: b, about: b, addon: {folder: x}, after: [a]},"
            " {name: a, about: b, addon: {folder: x}, after: [b]}, {name: c, about: b, addon: {folder: x}}]",
            "components: Value error, wait for each other in a circle: a, b",
        ),
        ("", "components: Input should be a valid dictionary or instance of Catalog"),
        ("{}", "components: Field required"),
    ],
)
def test_refuses_a_table_that_does_not_hang_together(tmp_path: Path, text: str, found: str) -> None:
    assert refusal(tmp_path, text) == whole(found)


# ------------------------------------------------------------------ what the table answers


@pytest.mark.parametrize(
    ("package", "binary"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("github.com/coredns/coredns", "coredns"),
        ("github.com/example/tool/v2", "tool"),
        ("github.com/containerd/containerd/v2/cmd/ctr", "ctr"),
        ("example.org/viewer", "viewer"),
    ],
)
def test_knows_the_name_that_go_gives_a_program(package: str, binary: str) -> None:
    assert GoProgram(go="cluster", package=package).binary == binary


def test_lists_each_debian_package_once_in_the_order_of_the_table() -> None:
    names = ["zsh", "ash", "zsh", "dash"]
    components = tuple(
        Component(name=f"tool-{index}", about="a shell", source=DebianPackage(debian=name))
        for index, name in enumerate(names)
    )
    assert Catalog(components=components).debian_packages == ("zsh", "ash", "dash")


@given(links=st.lists(st.sets(st.integers(0, 8)), min_size=1, max_size=8), order=st.randoms())
def test_orders_whatever_has_no_circle(links: list[set[int]], order: Random) -> None:
    components: list[dict[str, Any]] = [
        {
            "name": f"c{index}",
            "about": "one",
            "addon": {"folder": "x"},
            "after": [f"c{other}" for other in earlier if other < index],
        }
        for index, earlier in enumerate(links)
    ]
    order.shuffle(components)
    ordered = [item.name for item in Catalog.model_validate({"components": components}).in_order()]
    assert sorted(ordered) == sorted(item["name"] for item in components)
    for item in components:
        assert all(ordered.index(name) < ordered.index(item["name"]) for name in item["after"])
