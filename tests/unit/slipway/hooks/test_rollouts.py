"""The moves of a Rollout on an API server that is a dictionary, with a controller that may lose a patch."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from lightkube.core.exceptions import ApiError
from slipway.errors import ClusterError, FencedError
from slipway.hooks import rollouts
from slipway.hooks.rollouts import Rollout, walk

if TYPE_CHECKING:
    from collections.abc import Mapping

NEW, OLD = "new1", "old1"
LAST = 5


def api_error(code: int, message: str = "no") -> ApiError:
    request = httpx2.Request("GET", "https://api.test")
    body = {"kind": "Status", "code": code, "reason": "Reason", "message": message}
    return ApiError(request=request, response=httpx2.Response(code, json=body, request=request))


class Argo:
    """A namespace with one Rollout, and as much of the controller as the patches need.

    :param lose: how many patches of the status the controller writes over.
    """

    namespace = "shop"

    def __init__(self, *, step: int = 1, weight: int = 0, lose: int = 0, **status: Any) -> None:
        self.lose = lose
        self.conflicts = 0
        self.patches: list[tuple[str, Any]] = []
        self.rollout: dict[str, Any] = {
            "metadata": {"name": "backend", "namespace": "shop", "generation": 3, "resourceVersion": "100"},
            "spec": {"replicas": 3, "strategy": {"canary": {"steps": [{}] * LAST}}},
            "status": {
                "observedGeneration": "3", "phase": "Paused", "currentStepIndex": step, "currentPodHash": NEW,
                "stableRS": OLD, "pauseConditions": [{"reason": "CanaryPauseStep"}],
                "canary": {"weights": {"canary": {"weight": weight}}},
            } | status,
        }  # fmt: skip

    def get(self, _: object, __: str) -> Any:
        seen = copy.deepcopy(self.rollout)
        return SimpleNamespace(to_dict=lambda: seen)

    def patch(self, _: Any, __: str, body: Any, *, patch_type: Any) -> None:
        self.patches.append((patch_type.name, body))
        if self.conflicts:
            self.conflicts -= 1
            raise api_error(409)
        if isinstance(body, list):
            self.rollout["spec"]["template"] = body[0]["value"]
            return
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected not in (None, self.rollout["metadata"]["resourceVersion"]):
            raise api_error(409)
        self._bump()
        self.rollout["spec"].update(body.get("spec", {}))
        if status := body.get("status"):
            if self.lose:
                self.lose -= 1
                return
            self._reconcile(status)

    def _reconcile(self, patch: Mapping[str, Any]) -> None:
        status = self.rollout["status"]
        if patch.get("abort"):
            status |= {"abort": True, "phase": "Degraded", "canary": {"weights": {"canary": {"weight": 0}}}}
        if "pauseConditions" in patch:
            status["currentStepIndex"] += 2  # over the move to the next pause
            if status["currentStepIndex"] >= LAST:
                status |= {"stableRS": status["currentPodHash"], "phase": "Healthy", "pauseConditions": None}

    def _bump(self) -> None:
        metadata = self.rollout["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)

    @property
    def promotions(self) -> int:
        return sum("pauseConditions" in (body.get("status") or {}) for _, body in self.patches)


def of(argo: Argo) -> Rollout:
    return Rollout(argo, "backend")  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and take a patch for lost soon."""
    for name, value in (("LOST_S", 0.02), ("LOOK_S", 0.002)):
        monkeypatch.setattr(rollouts, name, value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon, in tests that wait for what never comes."""
    monkeypatch.setattr(rollouts, "SETTLE_S", 0.3)


# --- abort


def test_an_abort_takes_the_traffic() -> None:
    argo = Argo(step=3, weight=50)

    state = of(argo).abort(NEW)

    assert (state.aborted, state.weight) == (True, 0)
    assert argo.patches == [("MERGE", {"status": {"abort": True, "promoteFull": False}})]


def test_an_abort_that_was_done_does_nothing() -> None:
    argo = Argo(step=0, weight=0, abort=True)

    of(argo).abort(NEW)

    assert argo.patches == []


def test_an_abort_that_was_lost_is_sent_again() -> None:
    argo = Argo(step=3, weight=50, lose=1)

    assert of(argo).abort(NEW).aborted
    assert sum("status" in body for _, body in argo.patches) == 2
    assert any("annotations" in body.get("metadata", {}) for _, body in argo.patches)


@pytest.mark.usefixtures("impatient")
def test_an_abort_that_never_works_is_an_error_with_what_was_seen() -> None:
    with pytest.raises(ClusterError, match="not aborted at weight 0") as caught:
        of(Argo(step=3, weight=50, lose=1000)).abort(NEW)

    assert "canary weight 50 %" in str(caught.value.found)


@pytest.mark.parametrize("status", [{"currentPodHash": "third"}, {"stableRS": NEW}])
def test_another_version_is_not_aborted(status: dict[str, Any]) -> None:
    argo = Argo(step=3, weight=50, **status)

    with pytest.raises(FencedError):
        of(argo).abort(NEW)

    assert argo.patches == []


# --- promote


def test_a_promotion_holds_for_the_object_as_it_was_read() -> None:
    argo = Argo(step=1)

    assert of(argo).promote(1, NEW).step == 3
    assert argo.patches == [("MERGE", {"status": {"pauseConditions": None}, "metadata": {"resourceVersion": "100"}})]


def test_a_promotion_that_was_done_does_nothing() -> None:
    argo = Argo(step=3)

    of(argo).promote(1, NEW)

    assert argo.patches == []


def test_two_promotions_of_one_step_pass_one_pause() -> None:
    """Two tasks may run one step; the second clearing of a pause would clear the next one."""
    argo = Argo(step=1)

    of(argo).promote(1, NEW)
    of(argo).promote(1, NEW)

    assert (argo.promotions, argo.rollout["status"]["currentStepIndex"]) == (1, 3)


def test_a_promotion_is_tried_again_when_the_object_has_changed() -> None:
    argo = Argo(step=1)
    argo.conflicts = 2

    assert of(argo).promote(1, NEW).step == 3


@pytest.mark.parametrize("status", [{"currentPodHash": "third"}, {"abort": True}])
def test_what_was_aborted_or_overtaken_is_not_promoted(status: dict[str, Any]) -> None:
    argo = Argo(step=1, **status)

    with pytest.raises(FencedError):
        of(argo).promote(1, NEW)

    assert argo.patches == []


@pytest.mark.usefixtures("impatient")
def test_a_rollout_that_stands_before_the_step_is_not_promoted() -> None:
    argo = Argo(step=1)

    with pytest.raises(ClusterError, match="not paused in step 3"):
        of(argo).promote(3, NEW)

    assert argo.promotions == 0


# --- the rest


def test_a_rollout_that_is_not_there_is_none_and_other_refusals_are_errors() -> None:
    argo = Argo()
    for code in (404, 403):
        argo.get = lambda *_, code=code: (_ for _ in ()).throw(api_error(code, "forbidden"))  # type: ignore[method-assign,misc]
        if code == 404:
            assert of(argo).object() is None
            with pytest.raises(ClusterError, match="does not exist"):
                of(argo).state()
        else:
            with pytest.raises(ClusterError, match="refused to read Rollout shop/backend"):
                of(argo).object()


def test_an_api_server_that_is_away_is_not_a_rollout_that_is_not_there() -> None:
    argo = Argo()
    argo.get = lambda *_: (_ for _ in ()).throw(httpx2.ConnectError("refused"))  # type: ignore[method-assign,misc]

    with pytest.raises(ClusterError, match="did not answer"):
        of(argo).object()


def test_waiting_ends_with_what_was_seen_last() -> None:
    with pytest.raises(ClusterError, match=r"is not done after 0\.01 s") as caught:
        of(Argo(step=1)).wait("done", lambda state: state.is_settled, within_s=0.01)

    assert "step 1 of 5" in str(caught.value.found)


def test_something_else_is_done_between_looks_until_the_state_is_seen() -> None:
    argo, done = Argo(step=1), []

    def meanwhile() -> None:
        done.append(argo.rollout["status"]["currentStepIndex"])
        argo.rollout["status"]["currentStepIndex"] += 1

    of(argo).wait("at step 3", lambda state: state.step == 3, within_s=5, meanwhile=meanwhile)

    assert done == [1, 2]


def test_a_status_that_stays_old_is_nudged() -> None:
    argo = Argo(observedGeneration="2")

    with pytest.raises(ClusterError):
        of(argo).wait("fresh", lambda state: state.fresh, within_s=0.5)

    assert any(rollouts.NUDGE in str(body) for _, body in argo.patches)


def test_the_way_back_walks_every_step_of_the_old_version() -> None:
    argo = Argo(step=1, currentPodHash=OLD, stableRS=NEW)
    lines: list[str] = []

    state = walk(of(argo), OLD, within_s=30, log=lines.append)

    assert (state.stable_hash, argo.promotions, len(lines)) == (OLD, 2, 2)


def test_the_way_back_never_walks_another_version() -> None:
    argo = Argo(step=1)

    with pytest.raises(ClusterError, match="at a pause of version old1"):
        walk(of(argo), OLD, within_s=0.05, log=lambda _: None)

    assert argo.promotions == 0


def test_an_old_template_is_put_back_without_the_label_of_its_version() -> None:
    argo = Argo()
    template = {"metadata": {"labels": {"app": "a", "rollouts-pod-template-hash": OLD}}, "spec": {"containers": []}}
    owner = SimpleNamespace(kind="Rollout", name="backend")
    metadata = SimpleNamespace(ownerReferences=[owner], labels={"rollouts-pod-template-hash": OLD})
    foreign = SimpleNamespace(ownerReferences=[SimpleNamespace(kind="Deployment", name="backend")], labels={})
    argo.list = lambda *_, **__: [  # type: ignore[attr-defined]
        SimpleNamespace(metadata=metadata, to_dict=lambda: {"metadata": {}, "spec": {"template": template}}),
        SimpleNamespace(metadata=foreign, to_dict=dict),
    ]

    of(argo).put_back(OLD)

    assert argo.rollout["spec"]["template"] == {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}
    with pytest.raises(ClusterError, match="no ReplicaSet of version gone is left"):
        of(argo).put_back("gone")


def test_an_old_template_is_put_back_without_what_its_pods_carry_for_a_role() -> None:
    """Left in, the label would make it another version, and the way back would wait for one that never comes."""
    argo = Argo()
    marks = {"rollouts-pod-template-hash": OLD, "role": "canary"}
    template = {"metadata": {"labels": {"app": "a", **marks}, "annotations": {"since": "1", "of": "b"}}, "spec": {}}
    given = {"annotations": {rollouts.EPHEMERAL: '{"labels":{"role":"canary"},"annotations":{"since":"1"}}'}}
    owner = SimpleNamespace(kind="Rollout", name="backend")
    metadata = SimpleNamespace(ownerReferences=[owner], labels={"rollouts-pod-template-hash": OLD})
    argo.list = lambda *_, **__: [  # type: ignore[attr-defined]
        SimpleNamespace(metadata=metadata, to_dict=lambda: {"metadata": given, "spec": {"template": template}}),
    ]

    of(argo).put_back(OLD)

    wanted = {"metadata": {"labels": {"app": "a"}, "annotations": {"of": "b"}}, "spec": {}}
    assert argo.rollout["spec"]["template"] == wanted


def test_a_first_version_is_held_and_let_go() -> None:
    argo = Argo()

    assert of(argo).hold(paused=True).spec_paused
    assert not of(argo).hold(paused=False).spec_paused
    assert argo.rollout["spec"]["paused"] is False
