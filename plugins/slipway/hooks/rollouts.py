"""Moves an Argo Rollout: abort, promote, pause, put a template back. Every patch is read back, and repeated if lost.

There is no API of Argo Rollouts; patches are the API (`pkg/kubectl-argo-rollouts/cmd` in its sources shows which).
Version 1.9 can lose one: a reconcile in flight writes its older object back. So what a patch was to change is looked
for, and after `LOST_S` the patch is sent again with a harmless annotation, whose event wakes the controller.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from slipway.errors import ClusterError, FencedError
from slipway.hooks.cluster import CONFLICT, NOT_FOUND, code_of, worded
from slipway.names import POD_TEMPLATE_HASH
from slipway.rollouts.state import Phase, RolloutState, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lightkube import Client

LOST_S = 2.0
LOOK_S = 0.2
SETTLE_S = 20.0
NUDGE = "slipway.dev/nudged-at"
EPHEMERAL = "rollout.argoproj.io/ephemeral-metadata"
"""Annotation of a ReplicaSet: what of its template's labels and annotations is there for a role alone. JSON."""
REVISION = "rollout.argoproj.io/revision"


def _kind() -> Any:
    from lightkube.generic_resource import create_namespaced_resource

    return create_namespaced_resource("argoproj.io", "v1alpha1", "Rollout", "rollouts")


@dataclass(frozen=True)
class Rollout:
    """One Rollout in a cluster.

    :param client: of its namespace.
    """

    client: Client
    name: str

    @cached_property
    def _kind(self) -> Any:
        return _kind()

    @property
    def place(self) -> str:
        """Namespace and name, for sentences."""
        return f"{self.client.namespace}/{self.name}"

    def object(self) -> dict[str, Any] | None:
        """Return the object as it is now, None when there is none.

        :raises ClusterError: the API server did not answer, or refused.
        """
        try:
            with worded(f"read Rollout {self.place}"):
                return dict(self.client.get(self._kind, self.name).to_dict())
        except ClusterError as error:
            if code_of(error) == NOT_FOUND:
                return None
            raise

    def state(self) -> RolloutState:
        """Return what it says of itself.

        :raises ClusterError: it does not exist, or the API server did not answer.
        """
        found = self.object()
        if found is None:
            raise ClusterError(f"Rollout {self.place} does not exist", mend="check workload.rollout and the namespace")
        return read(found)

    def wait(
        self,
        what: str,
        reached: Callable[[RolloutState], bool],
        *,
        within_s: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> RolloutState:
        """Look until a state is reached.

        :param what: the state in words, for the error.
        :param meanwhile: called after each look that has not seen it yet.
        :raises ClusterError: not reached in time; what was seen last is in it.
        """
        deadline = time.monotonic() + within_s
        nudge_at = time.monotonic() + LOST_S
        while True:
            state = self.state()
            if reached(state):
                return state
            now = time.monotonic()
            if now >= deadline:
                raise ClusterError(
                    f"Rollout {self.place} is not {what} after {within_s:g} s", found=state.describe(),
                    mend=f"kubectl argo rollouts get rollout {self.name} -n {self.client.namespace}, and its pods",
                )  # fmt: skip
            if now >= nudge_at and not state.fresh:
                self._nudge()
                nudge_at = now + LOST_S
            if meanwhile is not None:
                meanwhile()
            time.sleep(LOOK_S)

    def abort(self, hash_: str) -> RolloutState:
        """Take the traffic from a canary; nothing happens when it has none any more.

        :param hash_: pod-template hash of the release that goes back; another one is not touched.
        :raises FencedError: the canary is another version.
        :raises ClusterError: not seen to work within `SETTLE_S`.
        """

        def done(state: RolloutState) -> bool:
            self._require(state, hash_)
            return state.aborted and not state.weight

        if state := self._unless(done):
            return state
        return self._until(done, {"status": {"abort": True, "promoteFull": False}}, what="aborted at weight 0")

    def promote(self, step: int, hash_: str) -> RolloutState:
        """Go on from a pause step; nothing happens when it has been left already.

        :param step: index of the pause step that is expected.
        :param hash_: expected pod-template hash.
        :raises FencedError: the Rollout is on another version, was aborted, or stands before the step.
        :raises ClusterError: not seen to work within `SETTLE_S`.
        """

        def done(state: RolloutState) -> bool:
            if state.current_hash != hash_ or state.aborted:
                raise FencedError(
                    f"Rollout {self.place} is not what was to be promoted", found=state.describe(),
                    mend=f"expected version {hash_} in step {step}; somebody else has acted on it",
                )  # fmt: skip
            return state.step > step or state.stable_hash == hash_

        state = self.state()
        if done(state):
            return state
        if not state.waits_at(step, hash_):
            self.wait(
                f"paused in step {step}", lambda seen: done(seen) or seen.waits_at(step, hash_), within_s=SETTLE_S
            )
        return self._until(done, {"status": {"pauseConditions": None}}, what=f"past step {step}", guarded=True)

    def hold(self, *, paused: bool) -> RolloutState:
        """Set `spec.paused`: the way a first version is kept at 0 pods, and let go."""
        return self._until(
            lambda state: state.spec_paused is paused,
            {"spec": {"paused": paused}},
            what="held" if paused else "let go",
            status=False,
        )

    def scale(self, replicas: int) -> None:
        """Set the number of pods; 0 also stops an autoscaler."""
        from lightkube.types import PatchType

        with worded(f"scale Rollout {self.place} to {replicas}"):
            self.client.patch(self._kind, self.name, {"spec": {"replicas": replicas}}, patch_type=PatchType.MERGE)

    def replica_sets(self) -> dict[str, Mapping[str, Any]]:
        """Return the ReplicaSets of this Rollout by pod-template hash."""
        from lightkube.resources.apps_v1 import ReplicaSet

        found: dict[str, Mapping[str, Any]] = {}
        with worded(f"list the ReplicaSets of Rollout {self.place}"):
            for item in self.client.list(ReplicaSet, namespace=self.client.namespace):
                owners = (item.metadata.ownerReferences or []) if item.metadata else []
                labels = (item.metadata.labels or {}) if item.metadata else {}
                if any(owner.kind == "Rollout" and owner.name == self.name for owner in owners):
                    found[labels.get(POD_TEMPLATE_HASH, "")] = item.to_dict()
        return found

    def put_back(self, hash_: str) -> None:
        """Write the template of an older version into the Rollout, as `kubectl argo rollouts undo` does.

        :raises ClusterError: no ReplicaSet of that version is left.
        """
        old = self.replica_sets().get(hash_)
        if old is None:
            raise ClusterError(
                f"Rollout {self.place}: no ReplicaSet of version {hash_} is left",
                mend="raise revisionHistoryLimit; roll back by Helm instead",
            )
        from lightkube.types import PatchType

        with worded(f"put the template of version {hash_} back into Rollout {self.place}"):
            self.client.patch(
                self._kind, self.name, [{"op": "replace", "path": "/spec/template", "value": _template(old)}],
                patch_type=PatchType.JSON,
            )  # fmt: skip

    def _require(self, state: RolloutState, hash_: str) -> None:
        if state.current_hash != hash_:
            raise FencedError(
                f"Rollout {self.place} carries another version; it is left alone", found=state.describe(),
                mend=f"expected version {hash_}",
            )  # fmt: skip
        if state.stable_hash == hash_:
            raise FencedError(
                f"Rollout {self.place}: version {hash_} is the stable one; there is no canary to abort",
                found=state.describe(), mend="roll back to the version before it instead",
            )  # fmt: skip

    def _unless(self, done: Callable[[RolloutState], bool]) -> RolloutState | None:
        state = self.state()
        return state if done(state) else None

    def _until(
        self,
        done: Callable[[RolloutState], bool],
        patch: dict[str, Any],
        *,
        what: str,
        status: bool = True,
        guarded: bool = False,
    ) -> RolloutState:
        """Patch, look, and patch again until it is done.

        :param guarded: the patch holds only for the object as it was read (resourceVersion); for what must not happen
            twice, as clearing a pause does: the second one would clear the next pause.
        """
        deadline = time.monotonic() + SETTLE_S
        state = self.state()
        while time.monotonic() < deadline:
            if done(state):
                return state
            body = {**patch, "metadata": {"resourceVersion": state.resource_version}} if guarded else patch
            if not self._patch(body, status=status):
                state = self.state()
                continue
            look_until = time.monotonic() + LOST_S
            while time.monotonic() < look_until:
                state = self.state()
                if done(state):
                    return state
                time.sleep(LOOK_S / 2)
            self._nudge()
            state = self.state()
        raise ClusterError(
            f"Rollout {self.place} is not {what} after {SETTLE_S:g} s of trying", found=state.describe(),
            mend="look at the log of the argo-rollouts controller",
        )  # fmt: skip

    def _patch(self, body: dict[str, Any], *, status: bool) -> bool:
        """Send a merge patch; False when the object has changed since it was read."""
        from lightkube.types import PatchType

        kind = self._kind.Status if status else self._kind
        try:
            with worded(f"patch Rollout {self.place}"):
                self.client.patch(kind, self.name, body, patch_type=PatchType.MERGE)
        except ClusterError as error:
            if code_of(error) == CONFLICT:
                return False
            raise
        return True

    def _nudge(self) -> None:
        stamp = f"{time.time():.3f}"
        self._patch({"metadata": {"annotations": {NUDGE: stamp}}}, status=False)


def _template(replica_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template that a ReplicaSet was made of, without what Argo Rollouts has put into it.

    That is the version's hash, and the labels and annotations that pods have while they are a canary's or the stable
    ones (`canaryMetadata`): left in, they would make it another version.
    """
    given = json.loads((replica_set["metadata"].get("annotations") or {}).get(EPHEMERAL, "{}"))
    template = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata") or {})
    for part, taken in (("labels", {POD_TEMPLATE_HASH}), ("annotations", set())):
        taken |= set(given.get(part) or {})
        if part in metadata:
            metadata[part] = {key: value for key, value in metadata[part].items() if key not in taken}
    template["metadata"] = metadata
    return template


def walk(rollout: Rollout, hash_: str, *, within_s: float, log: Callable[[str], object]) -> RolloutState:
    """Carry a version through all steps without holding, each promotion guarded, until it is the stable one.

    For the way back after a promotion: there the old version is a new canary to Argo Rollouts.

    :param hash_: the version to make stable.
    :param within_s: for the whole way.
    """
    deadline = time.monotonic() + within_s
    while True:
        left_s = max(deadline - time.monotonic(), 0.0)
        state = rollout.wait(
            f"at a pause of version {hash_}",
            lambda seen: (
                seen.current_hash == hash_ and (seen.is_settled or (seen.fresh and seen.phase is Phase.PAUSED))
            ),
            within_s=left_s,
        )
        if state.is_settled:
            return state
        log(f"Rollout {rollout.place}: {state.describe()}; going on without a hold")
        rollout.promote(state.step, hash_)
