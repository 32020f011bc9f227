"""Measures the application on the running testbed: ``python -m benchmarks.application --help``."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.call import Failed
from benchmarks.figures import Figure, Target, table
from tests.e2e.application import RELEASE, Application, build_images, install, merged
from tests.e2e.cluster import eventually, kubectl, query
from tests.e2e.load import Answer, Load, lost, quantile

if TYPE_CHECKING:
    from collections.abc import Iterator

HELP = """Measure what the application does on the running testbed, each figure beside its limit.

It installs both versions, one after the other, in a namespace and a database of its own, and removes them. Let nothing
else work on the machine meanwhile: load averages stand beside the figures. Progress goes to stderr, the table to
stdout. Takes about four minutes.

\b
  python -m benchmarks.application                     the table
  python -m benchmarks.application --write             the same into benchmarks/application.md

Exit code 0 when nothing missed its limit, 1 when something did.
"""

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "benchmarks/application.md"
MARKER = "<!-- Below this line everything is written by: python -m benchmarks.application --write -->"
NAMESPACE = "bench-application"
REDIS = 8
PODS = 3
OLD, NEW = "0.9.0", "1.0.0"
RATE, DISTURBED_RATE = 200, 50
RUN_S = 30.0
WARM_S = 5.0
SLICE_S = 5.0
"""A disturbance from elsewhere on the machine shows in one slice, a slow service in all of them."""
COMMAND = "python -m benchmarks.application"

READY = Target("`helm upgrade --install` until everything is Ready, migration included", "s", 60, COMMAND)
P50 = Target(f"API at {RATE} requests/s for {RUN_S:g} s: P50", "ms", None, COMMAND)
P95 = Target(f"API at {RATE} requests/s for {RUN_S:g} s: P95", "ms", 100, COMMAND)
SLICES = Target(f"API at {RATE} requests/s: P95 of each {SLICE_S:g} s", "ms", None, COMMAND)
LOST = Target(f"API at {RATE} requests/s for {RUN_S:g} s: requests lost", "of them", 0, COMMAND)
COST = Target("API: processor time a request, in its pods", "ms", None, COMMAND)
CLIENT = Target("API: processor time a request, in the load generator", "ms", None, COMMAND)
RESTART = Target(f"rolling restart under {DISTURBED_RATE} requests/s: requests lost", "of them", 0, COMMAND)
DRAIN = Target(f"drain of a node under {DISTURBED_RATE} requests/s: requests lost", "of them", 0, COMMAND)
MIGRATION = Target(f"migration {OLD} to {NEW} under {DISTURBED_RATE} requests/s: requests lost", "of them", 0, COMMAND)
MIGRATION_S = Target(f"migration {OLD} to {NEW}: the Job, from its creation to its end", "s", None, COMMAND)
MIGRATION_P95 = Target(f"migration {OLD} to {NEW} under {DISTURBED_RATE} requests/s: P95", "ms", None, COMMAND)

app = typer.Typer(add_completion=False, rich_markup_mode=None)
Write = Annotated[bool, typer.Option("--write", help="Write the table into benchmarks/application.md.")]
Records = Annotated[int, typer.Option(help="Rows of the scans' history that the migration fills.", min=1)]


class Bench:
    """Takes the measurements, one after the other, and keeps their figures.

    :param records: rows that the migration fills.
    """

    def __init__(self, records: int) -> None:
        self.figures: dict[Target, list[float]] = {}
        self.loads: list[str] = []
        self._records = records
        self._begin = time.monotonic()

    def everything(self) -> None:
        """Measure the new version's service, then the old version's migration."""
        with self._installed(NEW) as application:
            application.scan(application.add_cluster())
            self._serve()
            self._restart(application)
            self._drain(application)
        with self._installed(OLD) as application:
            self._migrate(application)

    def tell(self, what: str) -> None:
        """Print progress with the time and the load average, and remember the latter."""
        load = os.getloadavg()[0]
        self.loads.append(f"{what} {load:.1f}")
        print(f"{time.monotonic() - self._begin:6.0f} s  {what} (load average {load:.1f})", file=sys.stderr, flush=True)

    def table(self) -> list[Figure]:
        """Return the figures in the order in which they were taken."""
        today = datetime.now(UTC).date().isoformat()
        return [Figure(target, tuple(values), today) for target, values in self.figures.items()]

    def _keep(self, target: Target, value: float) -> None:
        self.figures.setdefault(target, []).append(value)

    def _keep_lost(self, target: Target, answers: list[Answer]) -> None:
        for answer in lost(answers):
            print(f"  lost: {answer}", file=sys.stderr, flush=True)
        self._keep(target, len(lost(answers)))

    @contextmanager
    def _installed(self, version: str) -> Iterator[Application]:
        images = build_images(version)
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
        kubectl("create", "namespace", NAMESPACE)
        self.tell(f"install {version}")
        try:
            # More pods would only share the same two cores, and starting one takes from what is measured.
            made = install(NAMESPACE, images, redis=REDIS, backend={"autoscaling": {"maxReplicas": PODS}})
            self._keep(READY, made.seconds["ready"])
            eventually("the API's pods", lambda: len(made.ready_since()) == PODS, within_s=60)
            yield made
            made.helm("uninstall", RELEASE)
            made.drop_database()
        finally:
            kubectl("delete", "namespace", NAMESPACE, "--wait=false")

    def _serve(self) -> None:
        with Load(NAMESPACE, RATE) as load:
            time.sleep(WARM_S)
            warm = len(load.answers())
            self.tell(f"{RATE} requests/s")
            before = _cpu_s()
            time.sleep(RUN_S)
            after = _cpu_s()
            every = load.stop()
            client_s = load.cpu_s
        run = sorted(every)[warm : warm + int(RATE * RUN_S)]
        self._keep(P50, 1000 * quantile(run, 0.5))
        self._keep(P95, 1000 * quantile(run, 0.95))
        size = int(RATE * SLICE_S)
        for begin in range(0, len(run), size):
            self._keep(SLICES, 1000 * quantile(run[begin : begin + size], 0.95))
        self._keep_lost(LOST, run)
        self._keep(COST, 1000 * (after - before) / len(run))
        self._keep(CLIENT, 1000 * client_s / len(every))

    def _restart(self, application: Application) -> None:
        old = set(application.ready_since())
        with Load(NAMESPACE, DISTURBED_RATE) as load:
            _flows(load)
            self.tell("restart")
            application.restart()
            eventually("new pods", lambda: application.has_replaced(old, PODS), within_s=180)
            self._keep_lost(RESTART, load.stop())

    def _drain(self, application: Application) -> None:
        node = application.pods("backend")[0]["spec"]["nodeName"]
        old = {pod["metadata"]["name"] for pod in application.pods("backend") if pod["spec"]["nodeName"] == node}
        with Load(NAMESPACE, DISTURBED_RATE) as load:
            _flows(load)
            self.tell("drain")
            try:
                application.drain(node)
                eventually("pods elsewhere", lambda: application.has_replaced(old, PODS), within_s=180)
            finally:
                kubectl("uncordon", node)
            self._keep_lost(DRAIN, load.stop())

    def _migrate(self, application: Application) -> None:
        application.fill_history(application.scan(application.add_cluster()), self._records)
        with Load(NAMESPACE, DISTURBED_RATE) as load:
            _flows(load)
            self.tell(f"migration of {self._records} rows")
            begun = time.monotonic()
            application.migrate(merged(application.values, build_images(NEW).values()), within_s=900)
            self._keep(MIGRATION_S, time.monotonic() - begun)
            answers = load.stop()
        self._keep_lost(MIGRATION, answers)
        self._keep(MIGRATION_P95, 1000 * quantile(answers, 0.95))


def _flows(load: Load) -> list[Answer]:
    return eventually("traffic", lambda: load.answers()[DISTURBED_RATE:], within_s=30)


def _cpu_s() -> float:
    """Return the processor seconds that the API's pods have taken so far; scraped every two seconds."""
    found = query(f'sum(process_cpu_seconds_total{{namespace="{NAMESPACE}", job="{NAMESPACE}/{RELEASE}-backend"}})')
    if not found:
        raise Failed("Prometheus has no series of the API's pods")
    return float(found[0]["value"][1])


def machine(bench: Bench) -> str:
    """Return what the figures were measured on, and what else the machine had to do."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True, capture_output=True, check=True, timeout=10
    ).stdout.strip()
    today = datetime.now(UTC).date().isoformat()
    loads = "; ".join(bench.loads)
    return (
        f"Measured on {today} at commit {commit}: {os.cpu_count()} cores, Linux {platform.release()}, the testbed with "
        f"three nodes on the same cores. Load average of one minute when each part began: {loads}."
    )


@app.command(help=HELP)
def main(*, write: Write = False, records: Records = 200_000) -> None:
    """Measure and print."""
    bench = Bench(records)
    bench.everything()
    figures = bench.table()
    text = f"{machine(bench)}\n\n{table([figure.cells() for figure in figures])}\n"
    print(text)
    if write:
        head, marker, _ = DOCUMENT.read_text(encoding="utf-8").partition(MARKER)
        if not marker:
            raise Failed(f"{DOCUMENT} lacks the line {MARKER!r}")
        DOCUMENT.write_text(f"{head}{MARKER}\n\n{text}", encoding="utf-8")
    raise typer.Exit(any(figure.verdict == "MISS" for figure in figures))


if __name__ == "__main__":
    app()
