"""Three releases, one after the other, told as they happen."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.names import EventKind, ReleaseState

from demo import record
from demo.table import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.flow.site import Site
    from slipway.hooks.airflow import Airflow
    from slipway.ledger.store import Store

TOLD = frozenset({"running", "deferred", "success", "failed"})
QUIET = ("build.images", "configure.approve")
"""Tasks that say nothing a viewer would want to know."""


@dataclass(frozen=True)
class Act:
    """One release of the demo.

    :param drill: share of requests that this version fails on purpose.
    """

    version: str
    what: str
    summary: str
    expected: ReleaseState
    drill: float = 0.0


ACTS = (
    Act("0.9.0", "first install", "The first version in this environment.", ReleaseState.PROMOTED),
    Act("1.0.0", "healthy", "Shows the small-file ratio of each table.", ReleaseState.PROMOTED),
    Act("1.0.1", "fails 20 % of its requests", "A mistake that nobody has noticed.", ReleaseState.ROLLED_BACK, 0.2),
)


@contextmanager
def traffic(site: Site, rate: float, target: Path) -> Iterator[None]:
    """Send https requests all the while, in a process of its own."""
    ca = site.environment.network.ca_file or ""
    command = [
        sys.executable, "-m", "demo.traffic", site.here.url, site.address(site.here.url) or "", ca, str(rate),
        str(target),
    ]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


class Story:
    """Tells the releases of the demo.

    :param say: takes a line.
    """

    def __init__(
        self, site: Site, airflow: Airflow, store: Store, requests: Path, say: Callable[[str], object]
    ) -> None:
        self._site = site
        self._airflow = airflow
        self._store = store
        self._requests = requests
        self._say = say

    def play(self, act: Act) -> Outcome:
        """Release one version and see how it ends."""
        begin = time.time()
        run = f"demo-{act.version}-{int(begin)}"
        conf: dict[str, object] = {
            "application": self._site.spec.application, "version": act.version,
            "environment": self._site.environment.name, "summary": act.summary,
        }  # fmt: skip
        if act.drill:
            conf["drill_error_rate"] = act.drill
        self._say(f"\n[bold]{act.version}[/], {act.what}")
        self._airflow.trigger("release", conf, run)
        told: set[int] = set()
        for task, state in self._airflow.follow("release", run):
            if task and state in TOLD and not task.startswith(QUIET):
                self._say(f"  {time.time() - begin:5.0f} s  {task:<24} {state}")
            self._tell_verdicts(run, told, begin)
        return self._outcome(act, run, begin)

    def _tell_verdicts(self, run: str, told: set[int], begin: float) -> None:
        release_id = self._airflow.xcom("release", run, "configure.plan")
        if release_id is None:
            return
        for event in self._store.events(release_id):
            if event.seq in told or event.kind not in (EventKind.VERDICT, EventKind.TRUTH_PROVED):
                continue
            told.add(event.seq)
            if event.kind is EventKind.VERDICT:
                words = f"{event.payload['verdict']}: {event.payload['reasons'][0]}"
            else:
                words = f"{event.payload['truth']}: {event.payload['found']}"
            self._say(f"  {event.at.timestamp() - begin:5.0f} s    {words}")

    def _outcome(self, act: Act, run: str, begin: float) -> Outcome:
        from slipway.flow.finish import dossier

        release_id = self._airflow.xcom("release", run, "configure.plan") or ""
        state, rule, rollback_s = "not planned", "", None
        if release_id:
            state = str(self._store.release(release_id).state)
            for event in self._store.events(release_id):
                if event.kind is EventKind.ABORTED:
                    rule = str(event.payload.get("rule") or "")
                elif event.kind is EventKind.ROLLBACK_FINISHED:
                    rollback_s = float(event.payload["duration_s"])
        met = record.met(record.read(self._requests), begin, time.time(), act.version)
        return Outcome(
            act.version, act.what, str(act.expected), state, time.time() - begin, met, rollback_s, rule,
            dossier(release_id, self._store) if release_id else self._requests,
        )  # fmt: skip
