"""One look at a canary: what comes first, and whose abort it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from slipway.canary.evidence import Abort, Counts, Evidence, Observed, PodState, Source
from slipway.canary.plan import Stage
from slipway.canary.policy import Policy
from slipway.flow import watch as watches
from slipway.flow.watch import Watch
from slipway.hooks.evidence import Window
from slipway.names import AbortedBy, EventKind, Rule, Verdict

START = datetime.now(UTC) - timedelta(seconds=5)
SWITCH = Abort(by=AbortedBy.DEAD_MAN_SWITCH, why='Metric "unattended" assessed Failed')
BY_HAND = Abort(by=AbortedBy.ARGO, why="RolloutAborted")


class World:
    """Everything a watch touches, and in which order it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.payload: dict[str, Any] = {}
        self.told: AbortedBy | None = None
        self.verdict: tuple[Verdict, Rule | None] | None = None
        self.evidence: dict[str, Any] = {}
        monkeypatch.setattr(watches, "Pulse", lambda *_: SimpleNamespace(beat=lambda: self.order.append("beat")))
        monkeypatch.setattr(watches.notify, "aborted", self._tell)

    def watch(self) -> Watch:
        window = Window(START, 60, 10, "new1", "old1")
        step: Any = SimpleNamespace(
            facts=SimpleNamespace(base=SimpleNamespace(is_first=False)), release=SimpleNamespace(id="r", epoch=1),
            store=self,
        )  # fmt: skip
        world: Any = self
        return Watch(step, Stage.WEIGHT_10, window, world, world, Policy())

    client = None

    def look(self, now: datetime, *, reference: Observed | None) -> Evidence:
        assert reference is None, "only at weight 100"
        known = {
            "start": START, "now": now, "hold_s": 60, "weight": 10, "weight_set": 10, "answered": tuple(Source),
            "canary": Observed(counts=Counts(requests=500), pods=(PodState(name="p", ready=True),)),
            "stable": Observed(counts=Counts(requests=4500)), "sample_age_s": 1,
        }  # fmt: skip
        return Evidence(**{**known, **self.evidence})

    def abort(self, hash_: str) -> Any:
        assert hash_ == "new1"
        self.order.append("abort")
        return SimpleNamespace(describe=lambda: "aborted")

    def record_sample(self, *_: Any) -> None:
        self.order.append("sample")

    def record_verdict(self, *_: Any, verdict: Verdict, rule: Rule | None, **__: Any) -> None:
        self.verdict = (verdict, rule)

    def append(self, _: str, kind: EventKind, payload: dict[str, Any], *, key: str) -> None:
        assert (kind, key) == (EventKind.ABORTED, "aborted")
        self.payload = payload

    def _tell(self, *_: Any, by: AbortedBy) -> None:
        self.order.append("tell")
        self.told = by


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_look_at_an_undecided_canary_gives_a_sign_of_life(world: World) -> None:
    assert world.watch().look().judgement.verdict is Verdict.HOLD

    assert world.order == ["beat", "sample"]


def test_an_api_server_that_was_silent_is_not_asked_for_it(world: World) -> None:
    """It would answer after ten seconds or not at all, and the next look may have to abort."""
    world.evidence = {"answered": (Source.METRICS, Source.ROUTER)}

    world.watch().look()

    assert world.order == ["sample"]


def test_an_abort_comes_before_everything_and_needs_no_sign_of_life(world: World) -> None:
    world.evidence = {"canary": Observed(counts=Counts(requests=500, errors=400))}

    world.watch().look()

    assert world.order == ["abort", "sample", "tell"]
    assert world.verdict == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("abort", "errors", "by", "rule"),
    [
        (None, 400, AbortedBy.SLIPWAY, Rule.GROSS_FAILURE),
        (SWITCH, 0, AbortedBy.DEAD_MAN_SWITCH, Rule.TAKEN_BACK),
        (SWITCH, 400, AbortedBy.DEAD_MAN_SWITCH, Rule.TAKEN_BACK),
        (BY_HAND, 0, AbortedBy.ARGO, Rule.TAKEN_BACK),
        (BY_HAND, 400, AbortedBy.SLIPWAY, Rule.GROSS_FAILURE),
    ],
)
def test_record_and_message_say_whose_abort_it_was(
    world: World, abort: Abort | None, errors: int, by: AbortedBy, rule: Rule
) -> None:
    pods = (PodState(name="p", ready=True),)
    world.evidence = {"abort": abort, "canary": Observed(counts=Counts(requests=500, errors=errors), pods=pods)}

    world.watch().look()

    assert world.verdict == (Verdict.FAIL, rule)
    assert (world.payload["by"], world.payload["rule"], world.told) == (by, rule, by)
