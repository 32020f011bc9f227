"""One look at a Rollout: what Argo Rollouts wrote into its status, by names that say what it means. Pure.

Read in the sources of Argo Rollouts 1.9 (`pkg/apis/rollouts/v1alpha1/types.go`, `utils/rollout/rolloututil.go`):
`status.observedGeneration` is a string, `status.phase` may be one generation old, and `status.stableRS` is empty until
a first version was Healthy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


_METRIC = re.compile(r'Metric "(?P<metric>[^"]+)" assessed .*', re.DOTALL)


class Phase(StrEnum):
    """`status.phase`, and UNKNOWN while there is none."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    DEGRADED = "Degraded"
    UNKNOWN = ""


@dataclass(frozen=True)
class RolloutState:
    """One look at a Rollout.

    :param phase: as Argo computed it; trust it only when `fresh`.
    :param fresh: the controller has seen the newest template.
    :param step: index into the canary's steps; equal to `steps` when all are behind.
    :param current_hash: pod-template hash of the newest template, "" before it was seen.
    :param stable_hash: the same of the stable version, "" before a first one was Healthy.
    :param weight: percent of the traffic that Argo has set for the canary, None while it says nothing.
    :param paused: Argo waits in a pause step, or because `spec.paused` says so.
    :param desired: pods the stable version is to have.
    :param available: pods of all versions that serve.
    :param updated: pods of the newest template.
    """

    name: str
    namespace: str
    resource_version: str
    phase: Phase
    message: str
    fresh: bool
    step: int
    steps: int
    current_hash: str
    stable_hash: str
    weight: int | None
    aborted: bool
    paused: bool
    spec_paused: bool
    desired: int
    available: int
    updated: int

    @property
    def is_first(self) -> bool:
        """No version was ever stable: nothing could be gone back to."""
        return not self.stable_hash

    @property
    def is_parked(self) -> bool:
        """Held at no pods: what a first install is before its pods start, and after it was taken back.

        Argo names a stable version for it within a moment, though no pod of it ever served.
        """
        return self.spec_paused and self.desired == 0

    @property
    def is_settled(self) -> bool:
        """One version, Healthy, nothing under way."""
        return self.fresh and self.phase is Phase.HEALTHY and self.current_hash == self.stable_hash != ""

    @property
    def is_canary(self) -> bool:
        """A second version exists beside the stable one, whether it gets traffic or not."""
        return bool(self.stable_hash) and self.current_hash != self.stable_hash

    @property
    def failed_metric(self) -> str:
        """Why the cluster's own analysis aborted: `Metric "..." assessed Failed ...`, in Argo's words; else "".

        An abort by patch, whoever sent it, leaves a message without a metric.
        """
        found = _METRIC.search(self.message) if self.aborted else None
        return "" if found is None else found.group().strip()

    def waits_at(self, step: int, hash_: str) -> bool:
        """Say whether this version stands still in this pause step."""
        return (
            self.fresh
            and self.phase is Phase.PAUSED
            and self.paused
            and not self.aborted
            and self.step == step
            and self.current_hash == hash_
        )

    def describe(self) -> str:
        """Return what a log should say of it, in one line."""
        parts = [self.phase.value or "no phase yet", f"step {self.step} of {self.steps}"]
        if self.weight is not None:
            parts.append(f"canary weight {self.weight} %")
        parts.append(f"newest {self.current_hash or '-'}, stable {self.stable_hash or '-'}")
        parts.append(f"{self.available} of {self.desired} pods available")
        parts += ["aborted"] * self.aborted + ["spec.paused"] * self.spec_paused + ["status is old"] * (not self.fresh)
        return ", ".join(parts) + (f": {self.message}" if self.message else "")


def read(rollout: Mapping[str, Any]) -> RolloutState:
    """Read a Rollout.

    :param rollout: the object as the API server returns it.
    """
    metadata, spec = rollout["metadata"], rollout["spec"]
    status = rollout.get("status") or {}
    canary = status.get("canary") or {}
    weight = ((canary.get("weights") or {}).get("canary") or {}).get("weight")
    steps = ((spec.get("strategy") or {}).get("canary") or {}).get("steps") or []
    phase = str(status.get("phase") or "")
    return RolloutState(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        resource_version=metadata.get("resourceVersion", ""),
        phase=Phase(phase) if phase in set(Phase) else Phase.UNKNOWN,
        message=str(status.get("message") or ""),
        fresh=str(status.get("observedGeneration", "")) == str(metadata.get("generation", "?")),
        step=int(status.get("currentStepIndex") or 0),
        steps=len(steps),
        current_hash=str(status.get("currentPodHash") or ""),
        stable_hash=str(status.get("stableRS") or ""),
        weight=None if weight is None else int(weight),
        aborted=bool(status.get("abort")),
        paused=bool(status.get("pauseConditions")) or bool(spec.get("paused")),
        spec_paused=bool(spec.get("paused")),
        desired=int(spec.get("replicas", 1)),
        available=int(status.get("availableReplicas") or 0),
        updated=int(status.get("updatedReplicas") or 0),
    )
