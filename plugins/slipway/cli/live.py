"""Tells what happens to a release while it happens: tasks from Airflow, everything else from the ledger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from slipway import errors
from slipway.errors import ClusterError, ExternalError, LedgerError, SlipwayError, VerdictError
from slipway.names import EventKind, ReleaseState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from rich.console import Console
    from rich.status import Status

    from slipway.hooks.airflow import Airflow, Failure
    from slipway.ledger.models import Event, Release, Sample
    from slipway.ledger.store import Store

SAMPLES_S = 5.0
"""Seconds between two lines of numbers."""
TOLD = frozenset({"running", "deferred", "awaiting_input", "success", "failed", "up_for_retry"})
WATCHED = frozenset({ReleaseState.CANARY, ReleaseState.BAKING})


class Live:
    """One release, told line by line.

    :param find: returns the release, None as long as it is not planned.
    :param after: number of the last event that is not told any more.
    """

    def __init__(
        self, store: Store, find: Callable[[Store], Release | None], console: Console, *, after: int = 0
    ) -> None:
        self._store = store
        self._find = find
        self._console = console
        self._begin = time.monotonic()
        self._seq = after
        self._samples_at = 0.0
        self._silent = False
        self.release: Release | None = None

    def follow(self, airflow: Airflow, dag: str, run_id: str) -> None:
        """Tell until the run has ended."""
        with self._console.status(f"{run_id}: waiting for its first task") as status:
            for task, state in airflow.follow(dag, run_id):
                if task:
                    if state in TOLD:
                        self._say(f"{task:<26} {state}")
                    continue
                self._look(status)

    def _look(self, status: Status) -> None:
        try:
            self.release = self._find(self._store)
            if self.release is None:
                return
            for event in self._store.events(self.release.id):
                if event.seq > self._seq:
                    self._seq = event.seq
                    if words := tell(event):
                        self._say(f"  {words}")
            self._numbers(self.release, status)
        except LedgerError as error:
            if not self._silent:
                self._say(f"the ledger is silent, the release is not touched by that: {error.found}")
            self._silent = True
        else:
            self._silent = False

    def _numbers(self, release: Release, status: Status) -> None:
        status.update(f"{release.title}: {release.state}")
        if release.state not in WATCHED or time.monotonic() - self._samples_at < SAMPLES_S:
            return
        self._samples_at = time.monotonic()
        samples = self._store.samples(release.id)
        if samples:
            self._say(f"    {numbers(samples[-1])}")

    def _say(self, line: str) -> None:
        self._console.print(f"{time.monotonic() - self._begin:6.0f} s  {line}")


def tell(event: Event) -> str:
    """Return an event in a line, "" when it says nothing to somebody who watches."""
    from slipway.report.words import clean

    told = _TOLD.get(event.kind)
    return clean(told(event.payload)) if told is not None else ""


def _state(payload: Mapping[str, Any]) -> str:
    from slipway.ledger.states import MEANING

    state = ReleaseState(str(payload["to"]))
    reason = payload.get("reason")
    return f"{state}: {MEANING[state]}" + (f" ({reason})" if reason else "")


def _step(payload: Mapping[str, Any]) -> str:
    return f"weight {payload['weight']} %, watched for {payload['hold_s']:g} s at least"


def _verdict(payload: Mapping[str, Any]) -> str:
    rule = f" ({payload['rule']})" if payload.get("rule") else ""
    return f"{payload['stage']} {payload['verdict']}{rule}: {'; '.join(payload['reasons'])}"


def _truth(payload: Mapping[str, Any]) -> str:
    return f"{'proved' if payload['ok'] else 'NOT PROVED'}  {payload['truth']}: {payload['found']}"


def _finished(payload: Mapping[str, Any]) -> str:
    took = payload.get("duration_s")
    return f"{_state(payload)}{'' if took is None else f' {took:g} s'}"


_TOLD: dict[EventKind, Callable[[Mapping[str, Any]], str]] = {
    EventKind.STATE_CHANGED: _state,
    EventKind.DEPLOYED: _state,
    EventKind.MIGRATED: _state,
    EventKind.MONITORED: _state,
    EventKind.PROMOTED: _state,
    EventKind.ROLLBACK_STARTED: _state,
    EventKind.ROLLBACK_FINISHED: _finished,
    EventKind.ROLLBACK_FAILED: _state,
    EventKind.IMAGE_BUILT: lambda payload: f"image {payload['image']} {payload['digest'][:19]}",
    EventKind.STEP_STARTED: _step,
    EventKind.VERDICT: _verdict,
    EventKind.ABORTED: lambda payload: f"traffic taken back by {payload.get('by')}: {payload.get('reason')}",
    EventKind.TRUTH_PROVED: _truth,
    EventKind.WAIVED: lambda payload: f"waived: {payload.get('text')}",
    EventKind.FENCED: lambda payload: f"refused to an older holder: {payload.get('wanted')}",
}


def numbers(sample: Sample) -> str:
    """Return the numbers of one look in a line."""
    from slipway.report import words

    found = sample.numbers
    canary = f"{words.of(found.get('canary_errors'), found.get('canary_requests'))}, P95 {_p95(found, 'canary')}"
    stable = f"{words.of(found.get('stable_errors'), found.get('stable_requests'))}, P95 {_p95(found, 'stable')}"
    return (
        f"{sample.stage}  weight {words.count(found.get('weight'))} %, seen {words.rate(found.get('observed_share'))}  "
        f"errors of the canary {canary}; of the stable version {stable}"
    )


def _p95(found: Mapping[str, float | int | None], version: str) -> str:
    from slipway.report import words

    return words.seconds(found.get(f"{version}_p95_s"))


def require_promoted(release: Release | None, failures: list[Failure], link: str) -> None:
    """Return when the release is promoted.

    :param release: as it is after its run, None when it was never planned.
    :param failures: of the run's tasks, the first one being the cause.
    :raises VerdictError: it was taken back.
    :raises ClusterError: going back was not proved.
    :raises SlipwayError: what its first failed task said, of the same kind.
    """
    if release is not None:
        if release.state is ReleaseState.PROMOTED:
            return
        cause = _cause(failures)
        mend = f"slipway report {release.id} tells the whole story"
        if release.state is ReleaseState.ROLLED_BACK:
            raise VerdictError(f"{release.title} was taken back, and that was proved", found=cause, mend=mend)
        if release.state in (ReleaseState.ROLLBACK_FAILED, ReleaseState.ROLLING_BACK):
            raise ClusterError(f"{release.title} is {release.state}: act now", found=cause, mend=mend)
    raise _error(failures, link)


def require_back(release: Release | None, failures: list[Failure], link: str) -> None:
    """Return when the release is proved to be back.

    :raises SlipwayError: what the first failed task said, of the same kind.
    """
    if release is None or release.state is not ReleaseState.ROLLED_BACK:
        raise _error(failures, link)


def _cause(failures: list[Failure]) -> str | None:
    """Return what failed first and what was found there, in a line or two, without what was to be done."""
    if not failures:
        return None
    words = failures[0].text.partition("\n  do ")[0].replace("\n  found  ", ": ")
    return f"{failures[0].task}: {words}"


def _error(failures: list[Failure], link: str) -> SlipwayError:
    kind = getattr(errors, failures[0].kind, None) if failures else None
    if not (isinstance(kind, type) and issubclass(kind, SlipwayError)):
        kind = ExternalError
    # The text of a failure is an error of ours, laid out already: what, found, do.
    what = f"{failures[0].task}: {failures[0].text}" if failures else "the run has ended without what was wanted"
    return kind(f"{what}\n  log    {link}")
