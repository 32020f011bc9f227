"""What earlier steps of a release wrote into the ledger, read back by later ones. Pure.

The ledger and not XCom: a rollback by watchdog, callback or command line needs the same facts, without Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import RefusedError
from slipway.names import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from slipway.ledger.models import Event

SPECS = "specs"
"""Key of the event that keeps release spec and environment as they were."""
BASE = "base"
"""Key of the event that says what stood there before."""


@dataclass(frozen=True)
class Base:
    """What stood there when the release took its lock, and what it goes back to.

    :param version: that serves users; None before a first install.
    :param revision: Helm's, None before a first install.
    :param hash: pod-template hash of the stable version, "" before a first install.
    """

    version: str | None = None
    revision: int | None = None
    hash: str = ""

    @property
    def is_first(self) -> bool:
        """Nothing was there."""
        return not self.hash


@dataclass(frozen=True)
class Facts:
    """What is known of a release.

    :param digests: image name -> digest.
    :param hash: pod-template hash of the new version, "" before it was deployed.
    :param deployed_revision: Helm's revision with the new workload.
    :param specs: release spec and environment as they were written when the release began.
    """

    base: Base
    digests: Mapping[str, str]
    hash: str
    deployed_revision: int | None
    details: Mapping[str, Any]
    specs: tuple[str, str] | None

    def require_hash(self) -> str:
        """Return the pod-template hash of the new version.

        :raises RefusedError: it was not deployed.
        """
        if not self.hash:
            raise RefusedError(
                "the ledger does not know the new version's pods", mend="run the task deploy.upgrade first"
            )
        return self.hash


def facts_of(events: Iterable[Event]) -> Facts:
    """Read the events of one release, oldest first."""
    base: Mapping[str, Any] = {}
    deployed: Mapping[str, Any] = {}
    details: dict[str, Any] = {}
    digests: dict[str, str] = {}
    specs: tuple[str, str] | None = None
    for event in events:
        if event.key == BASE:
            base = event.payload
        elif event.key == SPECS:
            specs = str(event.payload["release"]), str(event.payload["environment"])
        elif event.kind is EventKind.PLANNED:
            details.update(event.payload)
        elif event.kind is EventKind.IMAGE_BUILT:
            digests[str(event.payload["image"])] = str(event.payload["digest"])
        elif event.kind is EventKind.DEPLOYED:
            deployed = event.payload
    return Facts(
        base=Base(base.get("version"), base.get("helm_revision"), str(base.get("pod_template_hash") or "")),
        digests=digests,
        hash=str(deployed.get("pod_template_hash") or ""),
        deployed_revision=deployed.get("helm_revision"),
        details=details,
        specs=specs,
    )
