"""The cluster itself: version, nodes, DNS, the metrics API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from testbed.existing.kubectl import RefusedError
from testbed.existing.row import Row, missing, ok, warning
from testbed.existing.workload import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.existing.kubectl import Kubectl
    from testbed.existing.workload import Workload

OLDEST = (1, 30)
NODES = 3
METRICS_SERVER = "https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml"


def version(git_version: str) -> Row:
    """Judge the API server's version."""
    need = f"Kubernetes {OLDEST[0]}.{OLDEST[1]} or newer"
    match = re.match(r"v(\d+)\.(\d+)", git_version)
    if match and (int(match[1]), int(match[2])) >= OLDEST:
        return ok(need, git_version)
    return missing(need, git_version, "upgrade the cluster, or use another one")


def unreadable(kubectl: Kubectl) -> Row:
    """Say that no more can be seen."""
    kinds = "nodes,deployments.apps,daemonsets.apps,statefulsets.apps,apiservices.apiregistration.k8s.io"
    role = kubectl.command(f"create clusterrole slipway-status --verb=get,list --resource={kinds}")
    binding = kubectl.command("create clusterrolebinding slipway-status --clusterrole=slipway-status --user=YOU")
    return warning(
        "to read nodes, deployments, daemonsets and statefulsets",
        "refused: whether Argo Rollouts, Traefik, Prometheus and the rest are there cannot be seen",
        f"let somebody with the rights call status, or grant them:\n{role}\n{binding}",
    )


def nodes(items: Sequence[dict[str, Any]]) -> Row:
    """Count the nodes that take pods."""
    need = f"{NODES} nodes that take pods"
    able = [item["metadata"]["name"] for item in items if _takes_pods(item)]
    found = f"{len(able)} of {len(items)}: {', '.join(able[:NODES]) or 'none'}"
    if len(able) >= NODES:
        return ok(need, f"{len(able)} of {len(items)}")
    do = "add nodes: slipway works, but its spread over nodes and its disruption budgets prove nothing"
    return warning(need, found, do) if able else missing(need, found, "uncordon or repair a node")


def dns(kubectl: Kubectl, workloads: Sequence[Workload]) -> Row:
    """Look for the DNS of the cluster, under the label that every distribution keeps."""
    need = "DNS of the cluster"
    found = [item for item in workloads if item.labels.get("k8s-app") in ("kube-dns", "coredns")]
    found += [item for item, _ in running(workloads, r"coredns|k8s-dns-kube-dns") if item not in found]
    if not found:
        lookup = kubectl.command("run dns --rm -i --restart=Never --image=busybox -- nslookup kubernetes")
        return warning(need, "no CoreDNS or kube-dns; a cloud may run its own", f"try it: {lookup}")
    serving = [item for item in found if item.available]
    if serving:
        return ok(need, serving[0].title)
    return missing(need, f"{found[0].title} has no available pod", found[0].wait(kubectl))


def metrics(kubectl: Kubectl, items: Sequence[dict[str, Any]]) -> Row:
    """Look for the metrics API, which a HorizontalPodAutoscaler reads."""
    need = "the metrics API (v1beta1.metrics.k8s.io), for HorizontalPodAutoscalers"
    try:
        service = kubectl.document("get", "apiservices", "v1beta1.metrics.k8s.io", "--output=json")
    except RefusedError:
        return warning(need, "reading apiservices is refused", f"try it: {kubectl.command('top nodes')}")
    conditions = (service or {}).get("status", {}).get("conditions", [])
    available = next((item for item in conditions if item["type"] == "Available"), None)
    if available and available["status"] == "True":
        return ok(need, "available")
    if available:
        logs = kubectl.command("--namespace kube-system logs deployment/metrics-server")
        return missing(need, f"not available: {available.get('message') or available.get('reason')}", logs)
    install = kubectl.command("apply --filename", METRICS_SERVER)
    if any(str(item["spec"].get("providerID", "")).startswith("kind:") for item in items):
        # kind's kubelets have certificates that no authority of the cluster signed.
        patch = '[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--kubelet-insecure-tls"}]'
        command = f"--namespace kube-system patch deployment metrics-server --type=json --patch='{patch}'"
        install += "\n" + kubectl.command(command)
    return missing(need, "none", install)


def _takes_pods(node: dict[str, Any]) -> bool:
    spec, conditions = node["spec"], node.get("status", {}).get("conditions", [])
    closed = {taint["effect"] for taint in spec.get("taints", [])} & {"NoSchedule", "NoExecute"}
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not closed and not spec.get("unschedulable", False)
