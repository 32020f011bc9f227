"""The pods of one version: their health, and a request to one of them through the API server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.canary.evidence import PodState
from slipway.hooks.cluster import worded
from slipway.names import POD_TEMPLATE_HASH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lightkube import Client

OOM = "OOMKilled"


@dataclass(frozen=True)
class Pods:
    """Pods in one namespace.

    :param client: of the namespace.
    """

    client: Client

    def of(self, hash_: str, restarts_before: Mapping[str, int] | None = None) -> tuple[PodState, ...]:
        """Return the state of a version's pods, those on their way out left aside.

        :param restarts_before: restarts by name of the pod that are not to be counted.
        :raises ClusterError: the API server did not answer, or refused.
        """
        before = restarts_before or {}
        found = [pod for pod in self._objects(hash_) if "deletionTimestamp" not in pod["metadata"]]
        return tuple(pod_state(pod, before.get(pod["metadata"]["name"], 0)) for pod in found)

    def restarts(self, hash_: str) -> dict[str, int]:
        """Return how often each pod of a version has restarted since its birth."""
        return {pod["metadata"]["name"]: _restarts(pod) for pod in self._objects(hash_)}

    def _objects(self, hash_: str) -> list[dict[str, Any]]:
        from lightkube.resources.core_v1 import Pod

        with worded(f"list the pods of version {hash_} in {self.client.namespace}"):
            found = self.client.list(Pod, namespace=self.client.namespace, labels={POD_TEMPLATE_HASH: hash_})
            return [pod.to_dict() for pod in found]


def pod_state(pod: Mapping[str, Any], restarts_before: int = 0, *, now: datetime | None = None) -> PodState:
    """Read a pod.

    :param pod: the object as the API server returns it.
    :param restarts_before: restarts that are not to be counted.
    """
    status = pod.get("status") or {}
    ready: Mapping[str, Any] = next((item for item in status.get("conditions") or [] if item["type"] == "Ready"), {})
    is_ready = ready.get("status") == "True"
    since = _moment(ready.get("lastTransitionTime") or pod["metadata"].get("creationTimestamp"))
    lasts_s = 0.0 if since is None else max(((now or datetime.now(UTC)) - since).total_seconds(), 0.0)
    restarts = max(_restarts(pod) - restarts_before, 0)
    reasons = [reason for container in status.get("containerStatuses") or [] for reason in _reasons(container)]
    return PodState(
        name=pod["metadata"]["name"], ready=is_ready, unready_s=0.0 if is_ready else lasts_s,
        ready_s=lasts_s if is_ready else 0.0, restarts=restarts, oom=restarts > 0 and OOM in reasons,
        reason="" if is_ready else next(iter(reasons), ""),
    )  # fmt: skip


def _restarts(pod: Mapping[str, Any]) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return sum(int(container.get("restartCount") or 0) for container in statuses)


def _reasons(container: Mapping[str, Any]) -> list[str]:
    states = [container.get("state") or {}, container.get("lastState") or {}]
    found = [(state.get(kind) or {}).get("reason", "") for state in states for kind in ("waiting", "terminated")]
    return [reason for reason in found if reason]


def _moment(text: Any) -> datetime | None:
    if isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text) if text else None
