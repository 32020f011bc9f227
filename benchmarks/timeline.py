"""Where the time of a release went, read from its record in the ledger. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from slipway.names import EventKind, ReleaseState, Verdict

if TYPE_CHECKING:
    from slipway.ledger.models import Event, Record

ENDS = {
    ReleaseState.PROMOTED: EventKind.PROMOTED,
    ReleaseState.ROLLED_BACK: EventKind.ROLLBACK_FINISHED,
}


@dataclass(frozen=True)
class Timeline:
    """The seconds of one release.

    :param whole_s: from its plan to its end.
    :param parts: phase -> seconds between the events that begin and end it; they follow each other without a gap.
    :param holds_s: in which a canary was watched: as long as the plan says at least, or until it failed.
    :param builds_s: from the lock to the last image in the registry.
    :param pods_s: phases that start pods: the canary's first with its smoke test, those of each weight, the followers.
        Airflow's way from task to task is in them, so `rest_s` is rather too small; `without_pods_s` has them whole.
    :param first_look_s: from 10 % being reached to the first sample: what it takes to hand the watch to the triggerer.
    :param verdict_s: from the weight being reached to the abort; None without one.
    """

    version: str
    state: ReleaseState
    whole_s: float
    parts: dict[str, float]
    holds_s: float
    builds_s: float
    pods_s: float
    first_look_s: float | None
    verdict_s: float | None

    @property
    def without_pods_s(self) -> float:
        """Everything but holds and builds."""
        return self.whole_s - self.holds_s - self.builds_s

    @property
    def rest_s(self) -> float:
        """What slipway and Airflow themselves took."""
        return self.without_pods_s - self.pods_s


def timeline(record: Record) -> Timeline:
    """Cut the time of a release into its parts.

    :raises ValueError: it has not ended.
    """
    release = record.release
    kind = ENDS.get(release.state)
    if kind is None:
        raise ValueError(f"{release.id} is {release.state}: it has no whole time yet")
    begin = record.events[0].at
    end = next(event.at for event in reversed(record.events) if event.kind is kind)
    marks = [(_name(event), event.at) for event in record.events if _name(event) and event.at <= end]
    parts: dict[str, float] = {}
    before = begin
    for name, at in [*marks, ("end", end)]:
        parts[name] = parts.get(name, 0.0) + (at - before).total_seconds()
        before = at
    begun = {str(e.payload["stage"]): e for e in record.events if e.kind is EventKind.STEP_STARTED}
    first = [sample.at for sample in record.samples if sample.stage == "weight-10"]
    aborted = next((event.at for event in record.events if event.kind is EventKind.ABORTED), None)
    last = max((_start(event) for event in begun.values()), default=None)
    watched = {stage: parts.get(f"verdict of {stage}", 0.0) for stage in begun}
    followed = sum(seconds for name, seconds in parts.items() if name.startswith("verdict of follower-"))
    if "weight-100" in watched:
        watched["weight-100"] += followed  # the bake begins with the weight, and the followers go meanwhile
    verdicts = [event.payload for event in record.events if event.kind is EventKind.VERDICT]
    failed = {str(one["stage"]) for one in verdicts if one["verdict"] == Verdict.FAIL}
    holds = {
        stage: watched[stage] if stage in failed else min(watched[stage], float(event.payload["hold_s"]))
        for stage, event in begun.items()
    }
    bake_s = watched.get("weight-100", 0.0) - holds.get("weight-100", 0.0)
    return Timeline(
        version=release.version, state=release.state, whole_s=(end - begin).total_seconds(), parts=parts,
        holds_s=sum(holds.values()),
        builds_s=parts.get("images", 0.0),
        pods_s=sum(seconds for name, seconds in parts.items() if name.startswith("pods of ")) + bake_s,
        first_look_s=(min(first) - _start(begun["weight-10"])).total_seconds() if first else None,
        verdict_s=(aborted - last).total_seconds() if aborted is not None and last is not None else None,
    )  # fmt: skip


def _start(event: Event) -> datetime:
    return datetime.fromisoformat(str(event.payload["start"]))


def _name(event: Event) -> str:
    """Return what had been going on until an event, "" for one that ends nothing."""
    if event.kind is EventKind.VERDICT:
        return "" if event.payload["verdict"] == Verdict.HOLD else f"verdict of {event.payload['stage']}"
    if event.kind is EventKind.STEP_STARTED:
        return f"pods of {event.payload['stage']}"
    return {
        EventKind.LEASED: "lock", EventKind.IMAGE_BUILT: "images", EventKind.DEPLOYED: "deploy",
        EventKind.MIGRATED: "migration", EventKind.MONITORED: "monitoring", EventKind.ROLLBACK_STARTED: "settle",
    }.get(event.kind, "")  # fmt: skip
