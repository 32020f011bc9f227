"""Deployments, DaemonSets and StatefulSets: what runs, in which version, with which arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from testbed.existing.kubectl import Kubectl


@dataclass(frozen=True)
class Container:
    """One container of a pod template.

    :param index: its place in the list, for a patch.
    :param arguments: ``command`` and ``args`` together.
    :param args: ``args`` alone; None where the manifest has none.
    """

    index: int
    image: str
    arguments: tuple[str, ...]
    args: tuple[str, ...] | None
    environment: dict[str, str]

    @property
    def program(self) -> str:
        """The last part of the image's name, without tag and digest."""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[0]

    @property
    def version(self) -> tuple[int, int] | None:
        """Major and minor of the image's tag; None where it says no version."""
        tag = self.image.partition("@")[0].rpartition("/")[2].partition(":")[2]
        match = re.match(r"v?(\d+)\.(\d+)", tag)
        return (int(match[1]), int(match[2])) if match else None

    @property
    def has_flags(self) -> bool:
        """Say whether any argument is a flag."""
        return any(argument.startswith("-") for argument in self.arguments)

    def flag(self, name: str) -> str | None:
        """Return the value of ``--name=value`` or ``--name value``; ``true`` for a bare ``--name``.

        :param name: without dashes; upper and lower case are the same.
        """
        wanted = name.lower()
        for argument, following in zip_longest(self.arguments, self.arguments[1:], fillvalue=""):
            if not argument.startswith("-"):
                continue
            key, equals, value = argument.lstrip("-").partition("=")
            if key.lower() == wanted:
                bare = "true" if following.startswith("-") or not following else following
                return value if equals else bare
        return None


@dataclass(frozen=True)
class Workload:
    """A controller of pods.

    :param available: at least one pod serves.
    :param release: the Helm release that made it; empty where none did.
    """

    kind: str
    namespace: str
    name: str
    available: bool
    containers: tuple[Container, ...]
    labels: dict[str, str]
    release: str

    @classmethod
    def read(cls, item: dict[str, Any]) -> Workload:
        """Read an object of the API."""
        metadata, template = item["metadata"], item["spec"]["template"]
        status = item.get("status", {})
        ready = status.get("numberAvailable") or status.get("availableReplicas") or 0
        return cls(
            kind=item["kind"].lower(),
            namespace=metadata["namespace"],
            name=metadata["name"],
            available=ready > 0,
            containers=tuple(_container(index, spec) for index, spec in enumerate(template["spec"]["containers"])),
            labels={**template.get("metadata", {}).get("labels", {}), **metadata.get("labels", {})},
            release=metadata.get("annotations", {}).get("meta.helm.sh/release-name", ""),
        )

    @property
    def title(self) -> str:
        """How people name it: ``deployment traefik/traefik``."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def container(self, program: str) -> Container | None:
        """Return the container whose image is called so.

        :param program: a regular expression for the whole last part of the image's name.
        """
        return next((item for item in self.containers if re.fullmatch(program, item.program)), None)

    def patch(self, kubectl: Kubectl, container: Container, *arguments: str) -> str:
        """Return the command that sets arguments, in place of those of the same name.

        Where Helm made it, the next upgrade would take them away again: then that is said too.
        """
        args = list(container.args or ())
        for argument in arguments:
            name = argument.partition("=")[0].lower()
            args = [item for item in args if item.partition("=")[0].lower() != name] + [argument]
        value = ",".join(f'"{item}"' for item in args)
        path = f"/spec/template/spec/containers/{container.index}/args"
        command = kubectl.command(
            f"--namespace {self.namespace} patch {self.kind} {self.name} --type=json",
            f"""--patch='[{{"op":"add","path":"{path}","value":[{value}]}}]'""",
        )
        helm = f"\nand the same in the values of the Helm release {self.release}" if self.release else ""
        return command + helm

    def wait(self, kubectl: Kubectl) -> str:
        """Return the command that shows why it is not available."""
        return kubectl.command(f"--namespace {self.namespace} describe {self.kind} {self.name}")


def running(workloads: Iterable[Workload], program: str) -> list[tuple[Workload, Container]]:
    """Find where a program runs.

    :param program: a regular expression for the whole last part of the image's name.
    """
    pairs = ((item, item.container(program)) for item in workloads)
    return [(item, container) for item, container in pairs if container]


def _container(index: int, spec: dict[str, Any]) -> Container:
    args = spec.get("args")
    return Container(
        index=index,
        image=spec.get("image", ""),
        arguments=(*spec.get("command", ()), *(args or ())),
        args=None if args is None else tuple(args),
        environment={item["name"]: item.get("value", "") for item in spec.get("env", ())},
    )
