"""Renders the add-ons: a kustomization of ours over manifests that lie in the components' own Go modules."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, TemplateError

from testbed.build import files, go
from testbed.build.process import run
from testbed.catalog import Addon, Catalog, Component, GoProgram
from testbed.errors import BuildError
from testbed.home import SOURCE, Home

if TYPE_CHECKING:
    from testbed.network import Network

ADDONS = SOURCE / "addons"
KUSTOMIZE_LIMIT = 60.0


def place(home: Home, catalog: Catalog, network: Network, component: Component) -> Path:
    """Return where a component's rendered manifest lies, or will lie.

    :param home: the folders.
    :param catalog: the table.
    :param network: the plan of addresses.
    :param component: a component with an add-on.
    :raises BuildError: the add-on's folder is missing.
    """
    addon = _addon(component)
    folder = ADDONS / addon.folder
    if not (folder / "kustomization.yaml").is_file():
        raise BuildError(
            f"the add-on {component.name} cannot be rendered",
            found=f"no kustomization.yaml in {folder}",
            do="correct the add-on's folder in components.yaml",
        )
    inputs = files.digest(
        files.digest_of(files.files_in(folder), folder),
        # The module's hash stands for the upstream files: it pins their versions; asking go costs seconds.
        go.source_hash(catalog, component.source.go) if isinstance(component.source, GoProgram) else "",
        component.model_dump(mode="json"),
        [str(network.range), network.node_count],
    )
    return home.manifests / f"{component.name}-{inputs}.yaml"


def rendered(home: Home, catalog: Catalog, network: Network, component: Component) -> Path:
    """Return the file with a component's objects; render it unless it is there already.

    :param home: the folders; ``home.bin`` has kubectl.
    :param catalog: the table.
    :param network: the plan of addresses, for the templates.
    :param component: a component with an add-on.
    :raises BuildError: a template, an upstream file or the kustomization is wrong.
    """
    target = place(home, catalog, network, component)
    if not target.is_file():
        home.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{component.name}-", dir=home.cache) as work:
            _fill(Path(work), component, network)
            objects = run(
                (str(home.bin / "kubectl"), "kustomize", work),
                what=f"the add-on {component.name} cannot be rendered",
                timeout=KUSTOMIZE_LIMIT,
                advise=lambda _: f"correct testbed/addons/{_addon(component).folder}/kustomization.yaml",
            )
            files.write(target, objects)
    return target


def sweep(home: Home, used: set[Path]) -> None:
    """Remove rendered files that are not in use; another range's are rendered again when wanted.

    :param home: the folders.
    :param used: the files to keep.
    """
    for path in home.manifests.glob("*"):
        if path not in used:
            files.remove(path)


def _fill(work: Path, component: Component, network: Network) -> None:
    addon = _addon(component)
    source = ADDONS / addon.folder
    for path in files.files_in(source):
        target = work / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_render(path, component, network), encoding="utf-8")
    for upstream in addon.upstream:
        if not isinstance(component.source, GoProgram):
            raise BuildError(
                f"the add-on {component.name} cannot be rendered",
                found="upstream files, but no Go module that has them",
                do="correct its entry in components.yaml",
            )
        path = go.module_dir(component.source.go, upstream.module) / upstream.path
        if not path.is_file():
            raise BuildError(
                f"the add-on {component.name} cannot be rendered",
                found=f"{upstream.module} has no {upstream.path} at this version",
                do="correct the path in components.yaml",
            )
        # Copied without the module cache's permissions, which forbid writing and would forbid removing.
        shutil.copyfile(path, work / f"upstream-{path.name}")


def _render(path: Path, component: Component, network: Network) -> str:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - YAML
    try:
        template = environment.from_string(path.read_text(encoding="utf-8"))
        return template.render(network=network, component=component)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise BuildError(
            f"the add-on {component.name} cannot be rendered",
            found=f"{path.name}{f', line {line}' if line else ''}: {error}",
            do="correct the template: it sees network and component",
        ) from error


def _addon(component: Component) -> Addon:
    if component.addon is None:
        raise TypeError(f"{component.name} has no add-on")
    return component.addon
