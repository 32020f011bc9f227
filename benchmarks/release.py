"""Measures a release on the running testbed: ``python -m benchmarks.release --help``."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.call import Failed
from benchmarks.exposure import exposure, last_answer_after
from benchmarks.figures import Figure, Target, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.canary.judgement import Judgement

    from benchmarks.place import Place, Release
    from tests.e2e.load import Answer, Load

HELP = """Measure what a release does to its users and how long it takes, each figure beside its limit.

Each part installs the platform in namespaces and databases of its own, and removes them. Let nothing else work on the
machine meanwhile: load averages stand beside the figures. What was measured is kept in .cache/benchmarks/release.jsonl,
so that parts can be measured one after the other; --write puts all of it into benchmarks/release.md.

\b
  python -m benchmarks.release                         every part but the demo's, some fifteen minutes
  python -m benchmarks.release --only detection        one part; --runs 2 for a quick look
  python -m benchmarks.release demo                    the times of the last demo, from the ledger; reads only
  python -m benchmarks.release --write                 what was kept, into benchmarks/release.md; measures nothing

Exit code 0 when nothing missed its limit, 1 when something did.
"""

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "benchmarks/release.md"
KEPT = ROOT / ".cache/benchmarks/release.jsonl"
MARKER = "<!-- Below this line everything is written by: python -m benchmarks.release --write -->"
PROGRAM = "python -m benchmarks.release"
RATE = 100
WARM_S = 3.0
AFTER_S = 2.0
HEALTHY_S = 60.0
PARSES = 5
DAGS = ("release", "rollback", "watchdog")
LEDGER = "AIRFLOW_CONN_SLIPWAY_LEDGER"


class Part(StrEnum):
    """What can be measured by itself."""

    DETECTION = "detection"
    HEALTHY = "healthy"
    ROLLBACK = "rollback"
    PARSE = "parse"
    DEMO = "demo"


def _target(part: Part, what: str, unit: str = "s", most: float | None = None) -> Target:
    command = f"{PROGRAM} {part}" if part is Part.DEMO else f"{PROGRAM} --only {part}"
    # Where nothing is allowed, the worst run is looked at: a median of 0 would admit half of them.
    return Target(what, unit, most, command, by_median=most != 0)


class Judge(StrEnum):
    """Who watches the canary, and how often its pods are read."""

    SLIPWAY_5 = "slipway, all pods read every 5 s"
    SLIPWAY_1 = "slipway, the canary read every second"
    ARGO = "Argo Rollouts' background analysis (every 5 s over 30 s)"


MOST_S = {Judge.SLIPWAY_5: 9.0, Judge.SLIPWAY_1: 6.0}
EXPOSURE = {
    judge: _target(Part.DETECTION, f"20 % errors, {judge}: first bad to last canary answer", "s", MOST_S.get(judge))
    for judge in Judge
}
FAILED = {judge: _target(Part.DETECTION, f"20 % errors, {judge}: failed requests", "of them") for judge in Judge}
BACK = {
    judge: _target(Part.DETECTION, f"20 % errors, {judge}: the rest of the way back, to four truths proved", "s", 60)
    for judge in MOST_S
}
FALSE_ABORTS = {
    judge: _target(Part.HEALTHY, f"a healthy canary at 10 % for {HEALTHY_S:g} s, {judge}: taken back", "of 1", 0)
    for judge in (Judge.SLIPWAY_5, Judge.SLIPWAY_1)
}
BY_HAND = {
    "slipway": "`slipway rollback --direct`",
    "script": "`scripts/release/rollback.sh`",
}
LAST = {
    how: _target(Part.ROLLBACK, f"{name} at 50 %: command to last canary answer", "s", 3)
    for how, name in BY_HAND.items()
}
PROVED = {
    "slipway": _target(Part.ROLLBACK, f"{BY_HAND['slipway']} at 50 %: command to four truths proved", "s", 20),
    "script": _target(Part.ROLLBACK, f"{BY_HAND['script']} at 50 %: the whole command", "s", 20),
}
PROMOTED = {
    how: _target(Part.ROLLBACK, f"{name} after a promotion: the whole command", "s", 60)
    for how, name in BY_HAND.items()
}
PROMOTED_LAST = {
    how: _target(Part.ROLLBACK, f"{name} after a promotion: command to last answer of the bad version", "s", 60)
    for how, name in BY_HAND.items()
}
LOST = _target(Part.ROLLBACK, "rollbacks by hand: requests lost", "of them", 0)
PARSE = {name: _target(Part.PARSE, f"parse of dags/{name}.py after airflow.sdk", "s", 0.5) for name in DAGS}
MODULES = {
    name: _target(Part.PARSE, f"dags/{name}.py: modules added to those of airflow.sdk", "modules") for name in DAGS
}
HEAVY = _target(
    Part.PARSE, "all DAG files: clients, drivers or provider operators among the modules added", "modules", 0
)
REST = _target(Part.DEMO, "each release: its time without holds, image builds and pod starts", "s", 90)
WITH_PODS = _target(Part.DEMO, "each release: its time without holds and image builds, pod starts included")
DEMO = (
    _target(Part.DEMO, "first install: plan to promotion"),
    _target(Part.DEMO, "release: plan to promotion"),
    _target(Part.DEMO, "bad release: plan to rolled back"),
    REST,
    WITH_PODS,
    _target(Part.DEMO, "in Airflow: 10 % reached to the first look"),
    _target(Part.DEMO, "in Airflow: weight reached to the abort of the bad release"),
)
ORDER = (
    *EXPOSURE.values(), *FAILED.values(), *BACK.values(), *FALSE_ABORTS.values(), *LAST.values(), *PROVED.values(),
    *PROMOTED_LAST.values(), *PROMOTED.values(), LOST, *PARSE.values(), *MODULES.values(), HEAVY, *DEMO,
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """One value as it is kept between two calls.

    :param load: load average of one minute when it was taken.
    """

    what: str
    value: float
    load: float
    date: str
    commit: str


class Book:
    """Keeps values in a file, a line each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = time.monotonic()
        self._commit = _commit()

    def tell(self, what: str) -> None:
        """Print progress with the time and the load average."""
        spent = time.monotonic() - self._begin
        print(f"{spent:6.0f} s  {what} (load average {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)

    def keep(self, target: Target, value: float, load: float) -> None:
        """Keep a value, at once: a part that is stopped has kept what it measured."""
        self.tell(f"  {target.what}: {value:.2f} {target.unit}")
        one = Kept(target.what, round(value, 3), round(load, 1), datetime.now(UTC).date().isoformat(), self._commit)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one.__dict__) + "\n")

    def values(self) -> dict[str, list[Kept]]:
        """Return what was kept, by figure."""
        found: dict[str, list[Kept]] = {}
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        for line in lines:
            one = Kept(**json.loads(line))
            found.setdefault(one.what, []).append(one)
        return found

    def forget(self, part: Part) -> None:
        """Drop what was kept of a part, so that values of two versions of the code never make one figure."""
        gone = {target.what for target in ORDER if target.command.endswith(f" {part}")}
        kept = [one for values in self.values().values() for one in values if one.what not in gone]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(json.dumps(one.__dict__) + "\n" for one in kept), encoding="utf-8")


# -- a bad canary ----------------------------------------------------------------------------------------------------


def detection(book: Book, runs: int) -> None:
    """Let a version with 20 % errors meet 100 requests/s, under three judges in turn."""
    from benchmarks import place
    from tests.e2e.load import Load

    slow = place.Pace("bench-release-slow", 8, 5, 0)
    fast = place.Pace("bench-release-fast", 9, 5, 1)
    book.tell("install twice")
    with place.prepared(slow, fast, versions=(place.SERVES, place.FAILS)) as (by_5, by_1):
        place.peer(by_5.namespace)
        for number in range(runs):
            for judge in Judge:
                where = by_1 if judge is Judge.SLIPWAY_1 else by_5
                place.judged_by_argo(by_5.namespace, judged=judge is Judge.ARGO)
                with Load(where.namespace, RATE) as load:
                    book.tell(f"run {number + 1}: {judge}")
                    release = where.begin(place.FAILS)
                    # Whoever reads every 5 s is met at any moment between two readings.
                    time.sleep(random.uniform(0, 5))  # noqa: S311
                    before = os.getloadavg()[0]
                    _watch(judge, where, release)
                    time.sleep(AFTER_S)
                    met = exposure(load.stop(), place.FAILS)
                if met.seconds is None:
                    raise Failed(f"{judge}: no request failed")
                book.keep(EXPOSURE[judge], met.seconds, before)
                book.keep(FAILED[judge], met.failed, before)
                seconds = release.take_back("a benchmark's version that fails on purpose")
                if judge in BACK:
                    book.keep(BACK[judge], seconds, before)


def _watch(judge: Judge, where: Place, release: Release) -> None:
    from slipway.canary.plan import Stage
    from slipway.names import Verdict

    if judge is not Judge.ARGO:
        release.raise_weight(Stage.WEIGHT_10)
        found = _judged(release, within_s=60)
        if found.verdict is not Verdict.FAIL:
            raise Failed(f"{judge}: {found.verdict}, {found.reasons}")
        return
    where.serve(release)
    with where.rollout() as rollout:
        state = rollout.wait("taken back by Argo", lambda seen: seen.aborted and not seen.weight, within_s=90)
    if "errors" not in state.message:
        raise Failed(f"aborted by something else than the analysis: {state.describe()}")


def _judged(release: Release, *, within_s: float, stays: bool = False) -> Judgement:
    """Watch as the triggerer does, until there is a verdict.

    :param stays: whether to go on after a PASS until the time is over, and return the last look.
    """
    from slipway.canary.plan import Stage
    from slipway.flow.watch import watching
    from slipway.names import Verdict

    deadline = time.monotonic() + within_s
    with watching(release.id, Stage.WEIGHT_10) as watch:
        while True:
            found = watch.look().judgement
            is_over = found.verdict is Verdict.FAIL or (found.verdict is Verdict.PASS and not stays)
            if is_over or time.monotonic() > deadline:
                return found
            time.sleep(watch.poll_s)


def healthy(book: Book, runs: int) -> None:
    """Watch a good version for longer than its hold."""
    from slipway.canary.plan import Stage
    from slipway.names import Verdict

    from benchmarks import place
    from tests.e2e.load import Load

    paces = {
        Judge.SLIPWAY_5: place.Pace("bench-release-slow", 8, 5, 0),
        Judge.SLIPWAY_1: place.Pace("bench-release-fast", 9, 5, 1),
    }
    with place.prepared(*paces.values(), versions=(place.SERVES, place.HEALTHY)) as places:
        for _ in range(runs):
            for judge, where in zip(paces, places, strict=True):
                with Load(where.namespace, RATE) as load:
                    book.tell(str(judge))
                    release = where.begin(place.HEALTHY)
                    before = os.getloadavg()[0]
                    release.raise_weight(Stage.WEIGHT_10)
                    found = _judged(release, within_s=HEALTHY_S, stays=True)
                    load.stop()
                if found.verdict is Verdict.HOLD:
                    raise Failed(f"no verdict on a healthy canary in {HEALTHY_S:g} s: {found.reasons}")
                book.keep(FALSE_ABORTS[judge], float(found.verdict is Verdict.FAIL), before)
                release.take_back("a benchmark is over")


# -- rollbacks by hand -----------------------------------------------------------------------------------------------


def rollback(book: Book, runs: int) -> None:
    """Take a good version back by hand, before and after its promotion, under 100 requests/s."""
    from benchmarks import place

    # As production has it in this chart: all pods every 5 s, a canary's every second.
    with place.prepared(place.Pace("bench-release-hand", 9, 5, 1), versions=(place.SERVES, place.HEALTHY)) as (where,):
        for _ in range(runs):
            for how in BY_HAND:
                _by_hand(book, where, how, promoted=False)
                _by_hand(book, where, how, promoted=True)


def _by_hand(book: Book, where: Place, how: str, *, promoted: bool) -> None:
    from slipway.canary.plan import Stage

    from benchmarks import place
    from tests.e2e.load import Load, lost

    with Load(where.namespace, RATE) as load:
        release = where.begin(place.HEALTHY)
        if promoted:
            release.promote()
        else:
            release.raise_weight(Stage.WEIGHT_10)
            release.raise_weight(Stage.WEIGHT_50)
        _serves(load, place.HEALTHY)
        book.tell(f"{how}, {'after the promotion' if promoted else 'at 50 %'}")
        before = os.getloadavg()[0]
        started_at, started = time.time(), time.monotonic()
        _command(where, how)
        seconds = time.monotonic() - started
        time.sleep(AFTER_S)
        answers = load.stop()
    for answer in lost(answers):
        print(f"  lost: {answer}", file=sys.stderr, flush=True)
    last_s = last_answer_after(answers, place.HEALTHY, started_at)
    book.keep((PROMOTED_LAST if promoted else LAST)[how], last_s, before)
    book.keep((PROMOTED if promoted else PROVED)[how], seconds, before)
    book.keep(LOST, len(lost(answers)), before)
    if how == "script":
        release.take_back("the script has done its part; Helm and ledger follow")


def _serves(load: Load, version: str) -> None:
    """Wait until a version answers, so that its last answer is one that was waited for."""
    from tests.e2e.cluster import eventually

    asked = time.time()

    def answered() -> list[Answer]:
        return [one for one in load.answers() if one.version == version and one.at > asked]

    eventually(f"an answer of {version}", answered, within_s=20)
    time.sleep(WARM_S)


def _command(where: Place, how: str) -> None:
    from benchmarks import place
    from tests.e2e.application import RELEASE
    from tests.e2e.cluster import HOME

    by_slipway = [
        sys.executable, "-m", "slipway", "rollback", place.APPLICATION, "--env", place.ENVIRONMENT,
        "--reason", "a benchmark", "--direct",
    ]  # fmt: skip
    by_script = [
        str(ROOT / "scripts/release/rollback.sh"), "--namespace", where.namespace, "--rollout", f"{RELEASE}-backend",
        "--kubeconfig", str(HOME.kubeconfig), "--yes",
    ]  # fmt: skip
    done = subprocess.run(
        by_slipway if how == "slipway" else by_script,
        cwd=ROOT, env={**os.environ, **where.environ}, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr, file=sys.stderr)
    if done.returncode:
        raise Failed(f"{BY_HAND[how]}: exit code {done.returncode}")


# -- DAG files, and the demo -----------------------------------------------------------------------------------------


def parse(book: Book, runs: int) -> None:
    """Parse every DAG file in a process that has imported airflow.sdk, as the test of the same does."""
    from tempfile import TemporaryDirectory

    from tests.dags.test_parsing import heavy, parse

    with TemporaryDirectory() as home:
        every = []
        for name in DAGS:
            rounds = [parse(name, Path(home)) for _ in range(max(runs, PARSES))]
            for one in rounds:
                book.keep(PARSE[name], one.parse_s, os.getloadavg()[0])
            book.keep(MODULES[name], len(rounds[-1].added), os.getloadavg()[0])
            every += heavy(rounds[-1].added)
        book.keep(HEAVY, len(every), os.getloadavg()[0])


def demo(book: Book) -> None:
    """Read the times of the last demo from the ledger of the environment's Airflow."""
    from slipway.flow import credentials
    from slipway.ledger.store import Store
    from slipway.names import ReleaseState
    from slipway.spec.model import Reference

    from benchmarks.timeline import timeline

    if not os.environ.get(LEDGER):
        raise Failed(f'{LEDGER} is not set; do: eval "$(python -m runtime env)", after a demo')
    store = Store(credentials.login(Reference(connection="slipway_ledger")).postgres_dsn)
    ended = [
        one for one in reversed(store.recent("hive-platform", "local", 20))
        if one.state in (ReleaseState.PROMOTED, ReleaseState.ROLLED_BACK)
    ]  # fmt: skip
    if not ended:
        raise Failed("the ledger has no release that has ended")
    first, second, bad, rest, with_pods, look, verdict = DEMO
    load = os.getloadavg()[0]
    for one in ended:
        record = store.record(one.id)
        found = timeline(record)
        print(f"\n{one.id}: {one.state} after {found.whole_s:.1f} s", file=sys.stderr)
        for part, seconds in found.parts.items():
            print(f"  {seconds:7.1f} s  {part}", file=sys.stderr)
        failed = found.state is ReleaseState.ROLLED_BACK
        book.keep(bad if failed else second if one.previous else first, found.whole_s, load)
        book.keep(rest, found.rest_s, load)
        book.keep(with_pods, found.without_pods_s, load)
        if found.first_look_s is not None:
            book.keep(look, found.first_look_s, load)
        if found.verdict_s is not None:
            book.keep(verdict, found.verdict_s, load)


# -- the command -----------------------------------------------------------------------------------------------------

PARTS: dict[Part, Callable[[Book, int], None]] = {
    Part.DETECTION: detection, Part.HEALTHY: healthy, Part.ROLLBACK: rollback, Part.PARSE: parse,
}  # fmt: skip
RUNS = {Part.DETECTION: 5, Part.HEALTHY: 1, Part.ROLLBACK: 3, Part.PARSE: PARSES}

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)
Only = Annotated[list[Part] | None, typer.Option("--only", help="A part; may be given more than once.")]
Runs = Annotated[int, typer.Option(help="Runs of a part; 0: as many as its figures need.", min=0)]
Write = Annotated[bool, typer.Option("--write", help="Put what was kept into benchmarks/release.md; measures nothing.")]
More = Annotated[bool, typer.Option("--more", help="Add to what was kept of these parts, instead of beginning anew.")]


def figures(kept: dict[str, list[Kept]]) -> list[Figure]:
    """Return the figures of what was kept, in the order of the document."""
    return [
        Figure(target, tuple(one.value for one in kept[target.what]), max(one.date for one in kept[target.what]))
        for target in ORDER
        if target.what in kept
    ]


def document(kept: dict[str, list[Kept]]) -> str:
    """Return what stands below the line."""
    rows = []
    for figure in figures(kept):
        loads = [one.load for one in kept[figure.target.what]]
        cells = figure.cells()
        between = f"load {min(loads):.1f}" + (f" to {max(loads):.1f}" if min(loads) < max(loads) else "")
        rows.append((*cells[:2], f"{cells[2]}; {between}", *cells[3:]))
    commits = sorted({one.commit for values in kept.values() for one in values})
    machine = (
        f"Measured at commit {', '.join(commits)}: {os.cpu_count()} cores, Linux {platform.release()}, the testbed "
        "with three nodes on the same cores. `load` is the machine's load average of one minute when a run began."
    )
    return f"{machine}\n\n{table(rows)}\n\n{ratios(kept)}"


def ratios(kept: dict[str, list[Kept]]) -> str:
    """Return slipway beside Argo, as a table of medians and their quotients; "" while one is missing."""
    lines = [
        "| median | seconds of exposure | Argo's over it | failed requests | Argo's over it |",
        "|---|---|---|---|---|",
    ]
    middle = {
        judge: [median(one.value for one in kept[targets[judge].what]) for targets in (EXPOSURE, FAILED)]
        for judge in Judge
        if {EXPOSURE[judge].what, FAILED[judge].what} <= kept.keys()
    }
    if len(middle) < len(Judge):
        return ""
    argo = middle[Judge.ARGO]
    for judge, (seconds, failed) in middle.items():
        lines.append(f"| {judge} | {seconds:.1f} | {argo[0] / seconds:.1f} | {failed:g} | {argo[1] / failed:.1f} |")
    return "\n".join(lines) + "\n"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True, capture_output=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _write(kept: dict[str, list[Kept]]) -> None:
    head, marker, _ = DOCUMENT.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise Failed(f"{DOCUMENT} lacks the line {MARKER!r}")
    DOCUMENT.write_text(f"{head}{MARKER}\n\n{document(kept)}", encoding="utf-8")


@app.callback(help=HELP)
def main(ctx: typer.Context, *, only: Only = None, runs: Runs = 0, more: More = False, write: Write = False) -> None:
    """Measure, keep and print."""
    if ctx.invoked_subcommand is not None:
        return
    book = Book(KEPT)
    for part in only or ([] if write else list(PARTS)):
        if not more:
            book.forget(part)
        PARTS[part](book, runs or RUNS[part])
    _end(book, write=write)


@app.command("demo")
def of_the_demo() -> None:
    """Read the times of the last demo's releases from the ledger; do: eval "$(python -m runtime env)", after a demo."""
    book = Book(KEPT)
    book.forget(Part.DEMO)
    demo(book)
    _end(book, write=False)


def _end(book: Book, *, write: bool) -> None:
    kept = book.values()
    print(document(kept))
    if write:
        _write(kept)
    raise typer.Exit(any(figure.verdict == "MISS" for figure in figures(kept)))


if __name__ == "__main__":
    app()
