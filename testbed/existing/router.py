"""Traefik: splits the traffic, and its two settings that decide whether a canary can hurt."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from testbed.existing.row import Row, missing, ok, warning
from testbed.existing.workload import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.existing.kubectl import Kubectl
    from testbed.existing.workload import Container, Workload

PROGRAM = r"(mirrored-library-)?traefik"
KINDS = frozenset({"ingressroutes", "traefikservices", "middlewares"})
EMPTY = "providers.kubernetescrd.allowEmptyServices"
THROTTLE = "providers.providersThrottleDuration"
WANTED_THROTTLE = "100ms"
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
WHY_EMPTY = "one canary without ready pods takes its whole route down, 404 for everybody"
WHY_THROTTLE = "a change of weight, an abort too, waits up to this long after the one before"


def check(kubectl: Kubectl, workloads: Sequence[Workload]) -> Iterator[Row]:
    """Look for the definitions, the controllers, and both settings of each."""
    lacking = KINDS - kubectl.resources("traefik.io/v1alpha1")
    install = _install(kubectl)
    need = "Traefik's definitions (traefik.io/v1alpha1)"
    yield missing(need, f"missing: {', '.join(sorted(lacking))}", install) if lacking else ok(need, "all")
    routers = running(workloads, PROGRAM)
    if not routers:
        yield missing("Traefik", "none", install)
    for workload, container in routers:
        yield _available(kubectl, workload, container)
        yield _empty_services(kubectl, workload, container)
        yield _throttle(kubectl, workload, container)


def seconds(duration: str) -> float | None:
    """Read a duration as Traefik does: ``100ms``, ``1m30s``, or a number of seconds; else None."""
    if re.fullmatch(r"\d+", duration):
        return float(duration)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        return None
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _available(kubectl: Kubectl, workload: Workload, container: Container) -> Row:
    found = f"{workload.title}, {container.image}"
    if workload.available:
        return ok("Traefik", found)
    return missing("Traefik", f"{found}, has no available pod", workload.wait(kubectl))


def _empty_services(kubectl: Kubectl, workload: Workload, container: Container) -> Row:
    need = f"Traefik with {EMPTY}=true"
    if _has_file(container):
        return _in_file(need, workload, container, WHY_EMPTY)
    value = _setting(container, EMPTY)
    if value == "true":
        return ok(need, workload.title)
    do = workload.patch(kubectl, container, f"--{EMPTY}=true")
    return missing(need, f"{workload.title}: {value or 'not set'}; {WHY_EMPTY}", do)


def _throttle(kubectl: Kubectl, workload: Workload, container: Container) -> Row:
    need = f"Traefik with {THROTTLE}={WANTED_THROTTLE}"
    if _has_file(container):
        return _in_file(need, workload, container, WHY_THROTTLE)
    value = _setting(container, THROTTLE)
    limit = seconds(WANTED_THROTTLE)
    actual = seconds(value or "2s")
    if limit is not None and actual is not None and actual <= limit:
        return ok(need, f"{workload.title}: {value}")
    do = workload.patch(kubectl, container, f"--{THROTTLE}={WANTED_THROTTLE}")
    return warning(need, f"{workload.title}: {value or 'not set, so 2s'}; {WHY_THROTTLE}", do)


def _setting(container: Container, name: str) -> str | None:
    """Read a setting. Traefik takes all from one source: a file, else the arguments, else the environment."""
    if container.has_flags:
        value = container.flag(name)
    else:
        value = container.environment.get(f"TRAEFIK_{name.replace('.', '_').upper()}")
    return value.lower() if value else None


def _has_file(container: Container) -> bool:
    if container.has_flags:
        return container.flag("configfile") is not None
    return not any(variable.startswith("TRAEFIK_") for variable in container.environment)


def _in_file(need: str, workload: Workload, container: Container, why: str) -> Row:
    file = container.flag("configfile") or "/etc/traefik/traefik.yml"
    found = f"{workload.title} has its settings in a file, which cannot be seen from here"
    return warning(need, found, f"look into {file} of its pod: without it, {why}")


def _install(kubectl: Kubectl) -> str:
    return (
        "helm repo add traefik https://traefik.github.io/charts\n"
        f"helm --kube-context {shlex.quote(kubectl.context)} upgrade --install traefik traefik/traefik"
        " --namespace traefik --create-namespace"
        " --set providers.kubernetesCRD.allowEmptyServices=true"
        f" --set 'additionalArguments={{--{THROTTLE}={WANTED_THROTTLE}}}'"
    )
