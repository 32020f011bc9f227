"""Somebody else's cluster (kind, k3d, a cloud): what slipway needs, what is there, how to install the rest.

Everything is read through ``kubectl``; nothing in the cluster is changed. The commands that are proposed are
those of the projects' own documentation, with the settings that slipway depends on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.existing import cluster, monitoring, permissions, rollouts, router
from testbed.existing.kubectl import Kubectl, run_kubectl
from testbed.existing.row import Row, State
from testbed.existing.workload import Workload

if TYPE_CHECKING:
    from testbed.existing.kubectl import Run

__all__ = ["Row", "State", "check"]


def check(context: str, run: Run = run_kubectl) -> list[Row]:
    """Hold a cluster against what slipway needs.

    :param context: the name of a context in the kubeconfig.
    :param run: runs kubectl; tests give recorded answers.
    :return: one row a need.
    :raises UsageError: kubectl is not installed, or it knows no such context.
    :raises TestbedError: the cluster does not answer, or does not know who asks.
    """
    kubectl = Kubectl(context, run)
    namespace = kubectl.namespace()
    rows = [cluster.version(kubectl.version())]
    nodes = kubectl.items("nodes")
    found = kubectl.items("deployments,daemonsets,statefulsets", "--all-namespaces")
    if nodes is None or found is None:
        # Without them nothing could be told apart from missing.
        rows.append(cluster.unreadable(kubectl))
    else:
        workloads = [Workload.read(item) for item in found]
        rows += [
            cluster.nodes(nodes),
            cluster.dns(kubectl, workloads),
            *rollouts.check(kubectl, workloads),
            *router.check(kubectl, workloads),
            *monitoring.check(kubectl, workloads),
            cluster.metrics(kubectl, nodes),
        ]
    return rows + permissions.check(kubectl, namespace)
