"""One look at a canary: what comes first, and whose abort it was."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from slipway.canary import Counts, Evidence, Histogram, Observed, PodState, Source
from slipway.canary.evidence import Abort
from slipway.canary.judgement import Judgement
from slipway.canary.plan import Stage
from slipway.canary.policy import Policy
from slipway.flow import watch as watches
from slipway.flow.watch import Look, Watch
from slipway.hooks.evidence import Window
from slipway.names import AbortedBy, EventKind, Rule, Verdict

if TYPE_CHECKING:
    from pathlib import Path

START = datetime.now(UTC) - timedelta(seconds=5)
SWITCH = Abort(by=AbortedBy.DEAD_MAN_SWITCH, why='Metric "unattended" assessed Failed')
BY_HAND = Abort(by=AbortedBy.ARGO, why="RolloutAborted")


class World:
    """Everything a watch touches, and in which order it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.reference = ""
        self.payload: dict[str, Any] = {}
        self.told: AbortedBy | None = None
        self.verdict: tuple[Verdict, Rule | None] | None = None
        self.evidence: dict[str, Any] = {}
        monkeypatch.setattr(watches, "Pulse", lambda *_: SimpleNamespace(beat=lambda: self.order.append("beat")))
        monkeypatch.setattr(watches.notify, "aborted", self._tell)
        self.answers = threading.Event()  # what the ledger waits for before it keeps a sample
        self.answers.set()
        self.sampled = threading.Event()

    def watch(self, load: Any = None, stage: Stage = Stage.WEIGHT_10, start: datetime = START) -> Watch:
        window = Window(start, 60, 10, "new1", "old1")
        step: Any = SimpleNamespace(
            facts=SimpleNamespace(base=SimpleNamespace(is_first=False)), release=SimpleNamespace(id="r", epoch=1),
            store=self,
        )  # fmt: skip
        world: Any = self
        return Watch(step, stage, window, world, world, Policy(), load)

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

    def look_once(self) -> Look:
        """Look, and wait until it is written."""
        watch = self.watch()
        found = watch.look()
        assert self.sampled.wait(10)
        watch.close()
        return found

    def record_sample(self, *_: Any) -> None:
        self.answers.wait(10)
        self.order.append("sample")
        self.sampled.set()

    def record_verdict(self, *_: Any, verdict: Verdict, rule: Rule | None, **__: Any) -> None:
        self.verdict = (verdict, rule)

    def append(self, _: str, kind: EventKind, payload: dict[str, Any], *, key: str) -> None:
        if kind is EventKind.NOTED:
            self.reference = key
            return
        assert (kind, key) == (EventKind.ABORTED, "aborted")
        self.payload = payload

    def _tell(self, *_: Any, by: AbortedBy) -> None:
        self.order.append("tell")
        self.told = by


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_look_at_an_undecided_canary_gives_a_sign_of_life(world: World) -> None:
    assert world.look_once().judgement.verdict is Verdict.HOLD

    assert world.order == ["beat", "sample"]


def test_an_api_server_that_was_silent_is_not_asked_for_it(world: World) -> None:
    """It would answer after ten seconds or not at all, and the next look may have to abort."""
    world.evidence = {"answered": (Source.METRICS, Source.ROUTER)}

    world.look_once()

    assert world.order == ["sample"]


def test_an_abort_comes_before_everything_and_needs_no_sign_of_life(world: World) -> None:
    world.evidence = {"canary": Observed(counts=Counts(requests=500, errors=400))}

    world.look_once()

    assert world.order == ["abort", "sample", "tell"]
    assert world.verdict == (Verdict.FAIL, Rule.CANARY_UNAVAILABLE)


def test_a_ledger_that_hangs_hides_no_canary_that_has_gone_bad(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The abort, and the record of it on the disk, come while the ledger still does not answer."""
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    world.answers.clear()
    watch = world.watch()
    assert watch.look().judgement.verdict is Verdict.HOLD

    world.evidence = {"canary": Observed(counts=Counts(requests=500, errors=400))}
    last = threading.Thread(target=watch.look)
    last.start()
    spooled = tmp_path / "spool/events.jsonl"
    for _ in range(1000):
        if spooled.exists() and spooled.read_text().endswith("\n"):
            break
        threading.Event().wait(0.01)

    assert world.order == ["beat", "abort"]
    kept = json.loads(spooled.read_text())
    assert (kept["release_id"], kept["kind"], kept["key"]) == ("r", "aborted", "aborted")
    assert kept["payload"]["rule"] == "CANARY_UNAVAILABLE"

    world.answers.set()
    last.join(10)
    assert world.order == ["beat", "abort", "sample", "sample", "tell"]
    assert len(spooled.read_text().splitlines()) == 1, "once is enough"


def test_a_verdict_is_written_before_the_next_step_reads_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = Judgement(verdict=Verdict.PASS, rule=None, reasons=("as good",), numbers={})
    monkeypatch.setattr(watches, "judge", lambda *_, **__: passed)

    world.watch().look()

    assert world.order == ["beat", "sample"]
    assert world.verdict == (Verdict.PASS, None)
    assert world.reference, "what the stable version did at this stage is for the bake to compare with"


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

    world.look_once()

    assert world.verdict == (Verdict.FAIL, rule)
    assert (world.payload["by"], world.payload["rule"], world.told) == (by, rule, by)


def test_a_load_that_does_not_get_through_is_named_where_data_are_missing(world: World) -> None:
    """Nothing is judged by it: the same canary with enough requests is as good as before."""
    trouble = "slipway's own load does not get through: ConnectError"
    load = SimpleNamespace(keep_up=lambda: trouble)
    few = Observed(counts=Counts(requests=3), pods=(PodState(name="p", ready=True),))
    world.evidence = {"canary": few}
    assert trouble in world.watch(load).look().judgement.reasons[0]

    world.evidence = {}
    found = world.watch(load).look()
    assert found.judgement.verdict is Verdict.HOLD
    assert not any("the canary has had" in reason for reason in found.judgement.reasons)


def test_trouble_that_begins_later_is_recorded_too(world: World) -> None:
    world.evidence = {"canary": Observed(counts=Counts(requests=3), pods=(PodState(name="p", ready=True),))}
    trouble = ""
    watch = world.watch(SimpleNamespace(keep_up=lambda: trouble))
    said: list[bool] = []
    watch._record_verdict = lambda found: said.append(bool(found.evidence.load_trouble))  # type: ignore[method-assign]
    for trouble in ("", "", "no answer", "no answer"):  # noqa: B007 - the load says it
        watch.look()
        watch._clerk._result()
    watch.close()
    assert said == [False, True]


@pytest.fixture
def bake(world: World, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The watch of a bake that lasts for an hour, after a first look in which it heard of a newer release."""
    quick, pods = Histogram(buckets=((0.1, 500), (0.2, 500)), count=500), (PodState(name="p", ready=True),)
    world.evidence = {
        "hold_s": 3600, "weight": 100, "weight_set": 100, "start": START - timedelta(minutes=10),
        "canary": Observed(counts=Counts(requests=500), latency=quick, pods=pods),
        "stable": Observed(counts=Counts(requests=500), latency=quick),
    }  # fmt: skip
    monkeypatch.setattr(watches.supersede, "asked", lambda *_: "shop 1.1.0 ends this bake: security fix")
    monkeypatch.setattr(watches, "_reference", lambda _: None)
    watch = world.watch(stage=Stage.WEIGHT_100, start=START - timedelta(minutes=10))
    assert watch.look().judgement.verdict is Verdict.HOLD
    assert world.sampled.wait(10)
    return watch


def test_a_bake_that_a_newer_release_ends_is_over_when_all_is_well(world: World, bake: Watch) -> None:
    judgement = bake.look().judgement

    assert (judgement.verdict, judgement.rule) == (Verdict.PASS, None)
    assert judgement.reasons[0] == "shop 1.1.0 ends this bake: security fix"
    assert judgement.reasons[1].startswith("nothing found against the canary in 6")
    assert world.verdict == (Verdict.PASS, None)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"canary": Observed(counts=Counts(requests=500, errors=400))}, Verdict.FAIL),
        ({"canary": Observed(counts=Counts(requests=2), pods=(PodState(name="p", ready=True),))}, Verdict.HOLD),
        ({"answered": (Source.PODS,)}, Verdict.HOLD),
    ],
    ids=["bad", "hardly a request", "not seen"],
)
def test_nobody_can_end_a_bake_of_which_nothing_good_is_known(
    world: World, bake: Watch, found: dict[str, Any], verdict: Verdict
) -> None:
    world.evidence |= found

    assert bake.look().judgement.verdict is verdict


def test_only_a_bake_can_be_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches.supersede, "asked", lambda *_: pytest.fail("asked at 10 %"))

    assert world.look_once().judgement.verdict is Verdict.HOLD
