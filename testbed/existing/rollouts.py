"""Argo Rollouts: moves pods and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed import catalog
from testbed.existing.row import Row, missing, ok, warning
from testbed.existing.workload import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.existing.kubectl import Kubectl
    from testbed.existing.workload import Container, Workload

OLDEST = (1, 9)
KINDS = frozenset({"rollouts", "rollouts/status", "analysisruns", "analysistemplates"})
GROUP = "traefik.io"
FLAGS = (f"--traefik-api-group={GROUP}", f"--traefik-api-version={GROUP}/v1alpha1")


def check(kubectl: Kubectl, workloads: Sequence[Workload]) -> Iterator[Row]:
    """Look for the definitions, the controller, and the one flag without which it finds no Traefik."""
    lacking = KINDS - kubectl.resources("argoproj.io/v1alpha1")
    controllers = running(workloads, r"argo-rollouts|rollouts-controller")
    install = _install(kubectl)
    need = "Argo Rollouts' definitions (argoproj.io/v1alpha1)"
    yield missing(need, f"missing: {', '.join(sorted(lacking))}", install) if lacking else ok(need, "all")
    need = f"Argo Rollouts' controller {_text(OLDEST)} or newer"
    if not controllers:
        yield missing(need, "none", install)
        return
    workload, container = controllers[0]
    yield _controller(kubectl, need, workload, container)
    need = f"Argo Rollouts started with {FLAGS[0]}"
    group = container.flag("traefik-api-group")
    if group == GROUP:
        yield ok(need, workload.title)
    else:
        found = f"{group or 'not set'}: no weight would reach a Traefik 3, whose API group it does not look for"
        yield missing(need, found, workload.patch(kubectl, container, *FLAGS))


def _controller(kubectl: Kubectl, need: str, workload: Workload, container: Container) -> Row:
    found = f"{workload.title}, {container.image}"
    if not workload.available:
        return missing(need, f"{found}, has no available pod", workload.wait(kubectl))
    if container.version is None:
        return warning(need, f"{found}: its version cannot be read", "make sure by its log's first lines")
    if container.version < OLDEST:
        return warning(need, f"{found}: slipway is not tried with it", _install(kubectl))
    return ok(need, found)


def _install(kubectl: Kubectl) -> str:
    version = next(item.version for item in catalog.load().components if item.name == "argo-rollouts")
    manifest = f"https://github.com/argoproj/argo-rollouts/releases/download/{version}/install.yaml"
    value = ",".join(f'"{flag}"' for flag in FLAGS)
    patch = f'[{{"op":"add","path":"/spec/template/spec/containers/0/args","value":[{value}]}}]'
    return "\n".join(
        (
            kubectl.command("create namespace argo-rollouts"),
            kubectl.command("apply --server-side --namespace argo-rollouts --filename", manifest),
            kubectl.command(
                "--namespace argo-rollouts patch deployment argo-rollouts --type=json", f"--patch='{patch}'"
            ),
        )
    )


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
