"""slipway's sign of life in the cluster: a Lease beside the application, for the dead-man's switch to look at.

A Lease and not an annotation of the Rollout: the promotion of a pause holds only for the Rollout as it was read, and a
sign of life every few seconds would change it under the promoter's hands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.errors import ClusterError
from slipway.hooks.cluster import CONFLICT, NOT_FOUND, code_of, worded

if TYPE_CHECKING:
    from lightkube import Client

TRIES = 3
PREFIX = "slipway-"
"""An application may have a Lease under the plain name of its Helm release, for a leader of its own."""


@dataclass(frozen=True)
class Heartbeat:
    """The Lease of one application in one namespace, as one release sees it.

    It is never deleted: an ended one has no holder and no time, so whoever measures its age finds nothing.

    :param client: of the namespace.
    :param release_name: Helm's release name.
    :param holder: id of the release that gives the sign of life.
    :param lasts_s: seconds of silence after which the cluster acts; a note for whoever reads the Lease.
    """

    client: Client
    release_name: str
    holder: str
    lasts_s: int

    @property
    def name(self) -> str:
        """Name of the Lease; the chart's queries ask for it."""
        return f"{PREFIX}{self.release_name}"

    def renew(self, *, take: bool = False) -> bool:
        """Give a sign of life.

        :param take: make the Lease, or take it from whoever had it; only for who has asked the ledger.
        :return: False when it is not this release's, and was left alone.
        :raises ClusterError: the API server did not answer, or refused.
        """
        for _ in range(TRIES):
            lease = self._read()
            if lease is None:
                if not take:
                    return False
                done = self._create()
            elif _holder(lease) == self.holder:
                done = self._patch(lease, {"renewTime": _now()})
            elif take:
                done = self._patch(lease, self._mine(transitions=_transitions(lease) + 1))
            else:
                return False
            if done:
                return True
        raise self._contested("renew")

    def end(self) -> bool:
        """End the signs of life; nothing happens when they are not this release's.

        :return: whether there was something to end.
        :raises ClusterError: the API server did not answer, or refused.
        """
        for _ in range(TRIES):
            lease = self._read()
            if lease is None or _holder(lease) != self.holder:
                return False
            if self._patch(lease, {"holderIdentity": None, "acquireTime": None, "renewTime": None}):
                return True
        raise self._contested("end")

    def seen(self) -> str:
        """Return whose sign of life it is, "" when nobody gives one.

        :raises ClusterError: the API server did not answer, or refused.
        """
        lease = self._read()
        return "" if lease is None else _holder(lease)

    def _mine(self, *, transitions: int) -> dict[str, Any]:
        now = _now()
        return {
            "holderIdentity": self.holder, "acquireTime": now, "renewTime": now,
            "leaseDurationSeconds": self.lasts_s, "leaseTransitions": transitions,
        }  # fmt: skip

    def _read(self) -> dict[str, Any] | None:
        from lightkube.resources.coordination_v1 import Lease

        try:
            with worded(f"read Lease {self._place}"):
                return dict(self.client.get(Lease, self.name).to_dict())
        except ClusterError as error:
            if code_of(error) == NOT_FOUND:
                return None
            raise

    def _create(self) -> bool:
        """Make the Lease; False when somebody else was quicker."""
        from lightkube.resources.coordination_v1 import Lease

        labels = {"app.kubernetes.io/managed-by": "slipway", "app.kubernetes.io/instance": self.release_name}
        made: Any = Lease.from_dict(
            {"metadata": {"name": self.name, "labels": labels}, "spec": self._mine(transitions=0)}
        )
        return self._unless_changed("make", lambda: self.client.create(made))

    def _patch(self, lease: dict[str, Any], spec: dict[str, Any]) -> bool:
        """Change the Lease as it was read; False when it has changed since."""
        from lightkube.resources.coordination_v1 import Lease
        from lightkube.types import PatchType

        body = {"metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]}, "spec": spec}
        return self._unless_changed(
            "patch", lambda: self.client.patch(Lease, self.name, body, patch_type=PatchType.MERGE)
        )

    def _unless_changed(self, what: str, act: Any) -> bool:
        try:
            with worded(f"{what} Lease {self._place}"):
                act()
        except ClusterError as error:
            if code_of(error) == CONFLICT:
                return False
            raise
        return True

    def _contested(self, what: str) -> ClusterError:
        return ClusterError(
            f"Lease {self._place} was changed by somebody else {TRIES} times while slipway tried to {what} it",
            mend="does something else than slipway write it?",
        )

    @property
    def _place(self) -> str:
        return f"{self.client.namespace}/{self.name}"


def _holder(lease: dict[str, Any]) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _transitions(lease: dict[str, Any]) -> int:
    return int((lease.get("spec") or {}).get("leaseTransitions") or 0)


def _now() -> str:
    # MicroTime: six digits, always.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
