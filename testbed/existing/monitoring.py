"""Prometheus, made by its operator: what a verdict is counted from, and what the dead-man's switch looks at."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from testbed.existing.row import Row, missing, ok, warning
from testbed.existing.workload import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.existing.kubectl import Kubectl
    from testbed.existing.workload import Workload

KINDS = frozenset({"prometheuses", "podmonitors", "prometheusrules", "alertmanagers"})


def check(kubectl: Kubectl, workloads: Sequence[Workload]) -> Iterator[Row]:
    """Look for the definitions, the operator, a Prometheus that reads everybody's PodMonitors, and ages of Leases."""
    lacking = KINDS - kubectl.resources("monitoring.coreos.com/v1")
    install = _install(kubectl)
    need = "the Prometheus Operator's definitions (monitoring.coreos.com/v1)"
    yield missing(need, f"missing: {', '.join(sorted(lacking))}", install) if lacking else ok(need, "all")
    yield _operator(kubectl, workloads, install)
    found = kubectl.items("prometheuses.monitoring.coreos.com", "--all-namespaces")
    if found is None:
        yield warning("a Prometheus", "reading prometheuses is refused", "let somebody with the rights call status")
    else:
        yield from _prometheus(kubectl, found, install)
    yield _lease_ages(kubectl, workloads, install)


def _operator(kubectl: Kubectl, workloads: Sequence[Workload], install: str) -> Row:
    need = "the Prometheus Operator"
    operators = running(workloads, r"prometheus-operator")
    if not operators:
        return missing(need, "none", install)
    workload, container = operators[0]
    found = f"{workload.title}, {container.image}"
    if workload.available:
        return ok(need, found)
    return missing(need, f"{found}, has no available pod", workload.wait(kubectl))


def _prometheus(kubectl: Kubectl, items: Sequence[dict[str, Any]], install: str) -> Iterator[Row]:
    need = "a Prometheus"
    if not items:
        yield missing(need, "none", install)
        return
    names = [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items]
    yield ok(need, ", ".join(names))
    need = "a Prometheus that reads every namespace's PodMonitors"
    open_ones = [name for name, item in zip(names, items, strict=True) if _reads_all(item["spec"])]
    if open_ones:
        yield ok(need, open_ones[0])
        return
    namespace, _, name = names[0].partition("/")
    patch = '{"spec":{"podMonitorSelector":{},"podMonitorNamespaceSelector":{}}}'
    yield warning(
        need,
        f"{', '.join(names)}: only those with its labels, or of its own namespace",
        kubectl.command(
            f"--namespace {namespace} patch prometheuses.monitoring.coreos.com {name} --type=merge",
            f"--patch='{patch}'",
        )
        + "\nor give slipway's PodMonitors the labels that it looks for",
    )


def _reads_all(spec: dict[str, Any]) -> bool:
    """Say whether both selectors are empty, which takes all; one that is not there takes none."""
    return spec.get("podMonitorSelector") == {} and spec.get("podMonitorNamespaceSelector") == {}


def _lease_ages(kubectl: Kubectl, workloads: Sequence[Workload], install: str) -> Row:
    """Look for what tells Prometheus how old slipway's heartbeat is; without it a canary may stay unattended."""
    need = "kube-state-metrics with leases, for the dead-man's switch"
    found = running(workloads, r"kube-state-metrics")
    if not found:
        return warning(need, "none: a canary whose release has died is not taken back for that", install)
    workload, container = found[0]
    kinds = container.flag("resources")
    if kinds is not None and "leases" not in kinds.split(","):
        do = workload.patch(kubectl, container, f"--resources={kinds},leases")
        return warning(need, f"{workload.title}: --resources without leases", do)
    if workload.available:
        return ok(need, workload.title)
    return warning(need, f"{workload.title} has no available pod", workload.wait(kubectl))


def _install(kubectl: Kubectl) -> str:
    return (
        "helm repo add prometheus-community https://prometheus-community.github.io/helm-charts\n"
        f"helm --kube-context {shlex.quote(kubectl.context)} upgrade --install kube-prometheus-stack"
        " prometheus-community/kube-prometheus-stack --namespace monitoring --create-namespace"
        " --set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false"
        " --set prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues=false"
    )
