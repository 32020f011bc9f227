"""The table of components, components.yaml, as typed objects. Reads and checks; starts and builds nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from testbed.errors import UsageError
from testbed.home import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

TABLE = SOURCE / "components.yaml"


class Entry(BaseModel):
    """A part of the table: immutable, and closed, so that a misspelt key is an error and not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GoProgram(Entry):
    """A program built from a Go module.

    :param go: the folder under testbed/go that pins the versions.
    :param package: the import path of its main package.
    """

    go: str
    package: str
    tags: tuple[str, ...] = ()

    @property
    def binary(self) -> str:
        """The name that ``go install`` gives the program: the last part of its path that is no version."""
        return [part for part in self.package.split("/") if not (part[0] == "v" and part[1:].isdigit())][-1]


class DebianPackage(Entry):
    """A program from a package of Debian."""

    debian: str


class PythonModule(Entry):
    """A program of this project."""

    python: str


class Image(Entry):
    """A container image: the component's program and nothing else, or what a Containerfile says.

    :param name: the name that manifests use, with its tag.
    :param user: the numeric user that it runs as.
    :param containerfile: the folder under testbed/images, for what is more than one static program.
    """

    name: str
    user: str = "0"
    containerfile: str | None = None


class Certificate(Entry):
    """A serving certificate, written to ``tls.crt`` and ``tls.key`` in the component's folder."""

    common_name: str
    names: tuple[str, ...]


class Kubeconfig(Entry):
    """A client certificate and the kubeconfig that uses it, written to ``kubeconfig`` in the component's folder."""

    user: str
    groups: tuple[str, ...] = ()


class Prepare(Entry):
    """A command before the first start, skipped when the file ``unless`` exists."""

    run: tuple[str, ...]
    unless: str


class HttpHealth(Entry):
    """Healthy when a GET answers 200.

    :param verify: check the certificate; some of Kubernetes' own endpoints have one that they made themselves.
    """

    http: str
    verify: bool = True


class CommandHealth(Entry):
    """Healthy when a command ends with 0."""

    run: tuple[str, ...]


class ObjectHealth(Entry):
    """Healthy when an object of the cluster says that it is Ready."""

    object: str


Health = HttpHealth | CommandHealth | ObjectHealth


class Upstream(Entry):
    """A manifest inside the component's Go module, so that nothing third-party is copied into this repository."""

    module: str
    path: str


class Addon(Entry):
    """Objects in the cluster: a kustomization under testbed/addons, over manifests of the component's own module.

    :param ready: workloads made by an operator, as ``namespace/statefulsets/name``; those in the manifests
        are known without being listed.
    :param tls: ``namespace/name`` of a Secret to write the component's certificate into.
    """

    folder: str
    upstream: tuple[Upstream, ...] = ()
    ready: tuple[str, ...] = ()
    tls: str | None = None


class Component(Entry):
    """One row of the table: a process, an add-on, an image, or a tool.

    :param run: the command of a process; without it the component is not started by the supervisor.
    :param each: ``node`` starts one a node, inside its network namespace.
    :param files: target below the component's folder -> template under testbed/templates.
    :param after: components that must be ready before this one starts.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    about: str
    version: str | None = None
    source: GoProgram | DebianPackage | PythonModule | None = None
    image: Image | None = None
    each: Literal["testbed", "node"] = "testbed"
    after: tuple[str, ...] = ()
    user: str = "root"
    environment: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    certificate: Certificate | None = None
    kubeconfig: Kubeconfig | None = None
    prepare: tuple[Prepare, ...] = ()
    run: tuple[str, ...] = ()
    health: Health | None = None
    addon: Addon | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Component:
        if self.run and self.health is None:
            raise ValueError(f"{self.name} has `run` but no `health`: ready would mean nothing")
        if self.run and self.addon:
            raise ValueError(f"{self.name} has both `run` and `addon`: it is a process or an add-on")
        if isinstance(self.source, GoProgram) and self.version is None:
            raise ValueError(f"{self.name} is built from a Go module and needs its `version`")
        return self


class Catalog(Entry):
    """All components, in the order of the table."""

    components: tuple[Component, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> Catalog:
        names = [component.name for component in self.components]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"named twice: {', '.join(sorted(twice))}")
        started = {component.name for component in (*self.processes, *self.addons)}
        for component in self.components:
            unknown = set(component.after) - started
            if unknown:
                raise ValueError(f"{component.name} waits for what is not started: {', '.join(sorted(unknown))}")
        self.in_order()
        return self

    @cached_property
    def processes(self) -> tuple[Component, ...]:
        """What the supervisor starts as a process."""
        return tuple(component for component in self.components if component.run)

    @cached_property
    def addons(self) -> tuple[Component, ...]:
        """What is applied to the cluster."""
        return tuple(component for component in self.components if component.addon)

    @cached_property
    def go_programs(self) -> tuple[Component, ...]:
        """What is built with Go."""
        return tuple(component for component in self.components if isinstance(component.source, GoProgram))

    @cached_property
    def images(self) -> tuple[Component, ...]:
        """What is built as an image."""
        return tuple(component for component in self.components if component.image)

    @cached_property
    def debian_packages(self) -> tuple[str, ...]:
        """The packages that must be installed, in the order of the table, each once."""
        wanted = (item.source.debian for item in self.components if isinstance(item.source, DebianPackage))
        return tuple(dict.fromkeys(wanted))

    def in_order(self) -> tuple[Component, ...]:
        """Return the started components so that each stands after those that it waits for.

        :raises ValueError: components wait for each other in a circle.
        """
        waiting = {component.name: component for component in (*self.processes, *self.addons)}
        ordered: dict[str, Component] = {}
        while waiting:
            free = [item for item in waiting.values() if all(name in ordered for name in item.after)]
            if not free:
                raise ValueError(f"wait for each other in a circle: {', '.join(sorted(waiting))}")
            for component in free:
                ordered[component.name] = waiting.pop(component.name)
        return tuple(ordered.values())


def load(path: Path = TABLE) -> Catalog:
    """Read the table.

    :param path: the YAML file.
    :raises UsageError: an unknown key, a missing value, a circle; with the place in the file.
    """
    document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        return Catalog.model_validate(document)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, item['loc'])) or 'components'}: {item['msg']}" for item in error.errors()]
        raise UsageError(
            f"{path.name} cannot be used", found="\n".join(found), do="testbed/catalog.py explains each field"
        ) from error
