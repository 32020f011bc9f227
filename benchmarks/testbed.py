"""Measures the testbed's figures: ``python -m benchmarks.testbed --help``."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import psutil
import typer

from benchmarks.call import Failed, Run, call
from benchmarks.figures import Figure, Target, merged, nodes_ready, pss_kib, rows_of, table, written
from testbed import cgroups, network, sandbox
from testbed.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HELP = """Measure what the testbed costs, each figure beside its limit: PASS when the worst run is within it, else MISS.

It brings the testbed up and down several times, so WHAT IS IN THE CLUSTER IS LOST; afterwards a testbed runs again if
one ran before, with as many nodes. Let nothing else work on the machine meanwhile. Progress goes to stderr, the table
to stdout. Takes about five minutes; with --cold the build of everything comes on top.

\b
  python -m benchmarks.testbed                       all but the cold build, as a table
  python -m benchmarks.testbed --write               the same into benchmarks/testbed.md
  python -m benchmarks.testbed --cold --write        with the cold build: a quarter of an hour more, 10 GB of disk

Exit code 0 when nothing missed its limit, 1 when something did or failed, 2 when the request does not fit.
"""

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "benchmarks" / "testbed.md"
NODES = 3
WARM_RUNS = 3
AGAIN_RUNS = 5
SETTLE_S = 20.0
IDLE_S = 30.0
BUILD_TIMEOUT_S = 3600.0
UP_TIMEOUT_S = 300.0
DOWN_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 600.0
GIT_TIMEOUT_S = 10.0
KIB_PER_GIB = 1 << 20
BYTES_PER_GIB = 1 << 30

COLD = Target("cold build, with every download", "s", 1080, "python -m benchmarks.testbed --cold")
UP = Target("warm `up` until every add-on is Ready", "s", 60, "python -m testbed up")
READY = Target("of which three nodes Ready", "s", 10, "python -m testbed up")
AGAIN = Target("`up` on a running testbed", "s", 2, "python -m testbed up")
DOWN = Target("`down`", "s", 5, "python -m testbed down")
MEMORY = Target("idle memory: PSS of the process tree", "GiB", 3, "python -m benchmarks.testbed")
CGROUP = Target("idle memory: cgroup of the pods, page cache included", "GiB", None, "python -m benchmarks.testbed")
CPU = Target(f"idle CPU time in {IDLE_S:g} s", "s", None, "python -m benchmarks.testbed")
CHECK = Target("`make check`", "s", 120, "make check")
ALL = (COLD, UP, READY, AGAIN, DOWN, MEMORY, CGROUP, CPU, CHECK)

app = typer.Typer(add_completion=False, rich_markup_mode=None)
Cold = Annotated[bool, typer.Option("--cold", help="Build everything anew as well, in a temporary folder.")]
Write = Annotated[bool, typer.Option("--write", help="Write the table into benchmarks/testbed.md; keep older rows.")]


class Bench:
    """Takes the measurements, one after the other, and keeps their figures.

    :param home: the testbed of this user.
    """

    def __init__(self, home: Home) -> None:
        self.figures: list[Figure] = []
        self._home = home
        self._restored = True
        self._begin = time.monotonic()

    def everything(self, *, cold: bool) -> None:
        """Measure, and leave a testbed behind if one was there, else none."""
        before = sandbox.find(self._home)
        try:
            if cold:
                self._cold()
            self._lives()
            self._idle()
            self._again()
        except Failed as failure:
            self.tell(f"stopped: {failure}")
        finally:
            self._restore(before.nodes if before else None)
        self._check()

    def tell(self, line: str) -> None:
        """Print progress, with the time since the start."""
        print(f"{time.monotonic() - self._begin:6.0f} s  {line}", file=sys.stderr, flush=True)

    def missed(self) -> bool:
        """Say whether a figure is over its limit or could not be taken, or the testbed is not as it was."""
        return not self._restored or any(figure.verdict == "MISS" for figure in self.figures)

    def _cold(self) -> None:
        """Build with nothing cached, beside the user's own folders."""
        self.tell("cold: ends the running testbed, and builds everything anew; this takes a quarter of an hour")
        self._testbed("down", timeout=DOWN_TIMEOUT_S)
        with fresh_folder(self._home) as folder, self._recording(COLD):
            environment = cold_environment(folder, os.environ, go_settings())
            try:
                done = self._testbed("up", f"--nodes={NODES}", timeout=BUILD_TIMEOUT_S, env=environment)
            finally:
                self._testbed("down", timeout=DOWN_TIMEOUT_S, env=environment)
            self._keep(COLD, done.seconds)

    def _lives(self) -> None:
        """Measure ``down`` and the ``up`` after it, several times."""
        self.tell("warm: brings the testbed up once, so that the cache is filled")
        with self._recording(UP, READY, DOWN):
            self._testbed("up", f"--nodes={NODES}", timeout=BUILD_TIMEOUT_S)
            downs, ups, nodes = [], [], []
            for run in range(1, WARM_RUNS + 1):
                self.tell(f"warm: down and up, {run} of {WARM_RUNS}")
                downs.append(self._testbed("down", timeout=DOWN_TIMEOUT_S).seconds)
                done = self._testbed("up", f"--nodes={NODES}", timeout=UP_TIMEOUT_S)
                ups.append(done.seconds)
                nodes.append(nodes_ready(done.lines, NODES))
            self._keep(UP, *ups)
            self._keep(READY, *nodes)
            self._keep(DOWN, *downs)

    def _idle(self) -> None:
        """Measure memory and CPU time of a testbed that nobody uses."""
        self.tell(f"idle: waits {SETTLE_S:g} s, then measures for {IDLE_S:g} s")
        with self._recording(MEMORY, CPU):
            time.sleep(SETTLE_S)
            running = sandbox.find(self._home)
            if running is None or running.init is None:
                raise Failed("the testbed ended by itself")
            init = psutil.Process(running.init)
            self._keep(MEMORY, memory(tree(init)) / KIB_PER_GIB)
            if pods := cgroup_bytes(cgroups.detect()):
                self._keep(CGROUP, pods / BYTES_PER_GIB)
            before = cpu_seconds(tree(init))
            time.sleep(IDLE_S)
            self._keep(CPU, cpu_seconds(tree(init)) - before)

    def _again(self) -> None:
        """Measure ``up`` when there is nothing to do."""
        self.tell(f"again: up on the running testbed, {AGAIN_RUNS} times")
        with self._recording(AGAIN):
            runs = [self._testbed("up", timeout=UP_TIMEOUT_S).seconds for _ in range(AGAIN_RUNS)]
            self._keep(AGAIN, *runs)

    def _check(self) -> None:
        self.tell("make check")
        try:
            with self._recording(CHECK):
                command = ["make", "check"]
                done = call(command, timeout=CHECK_TIMEOUT_S, cwd=ROOT, env=os.environ, tell=self._echo)
                self._keep(CHECK, done.seconds)
        except Failed as failure:
            self.tell(f"make check: {failure}")

    def _restore(self, nodes: int | None) -> None:
        """Make it as it was: a testbed with so many nodes, or none."""
        self.tell(f"afterwards: {f'a testbed with --nodes {nodes} again' if nodes else 'no testbed, as before'}")
        try:
            if nodes:
                self._testbed("up", f"--nodes={nodes}", timeout=BUILD_TIMEOUT_S)
            else:
                self._testbed("down", timeout=DOWN_TIMEOUT_S)
        except Failed as failure:
            self._restored = False
            self.tell(f"the testbed is NOT as it was: {failure}")

    def _testbed(self, *arguments: str, timeout: float, env: Mapping[str, str] | None = None) -> Run:
        command = [sys.executable, "-m", "testbed", *arguments]
        return call(command, timeout=timeout, cwd=ROOT, env=os.environ if env is None else env, tell=self._echo)

    def _echo(self, line: str) -> None:
        print(f"          | {line}", file=sys.stderr, flush=True)

    def _keep(self, target: Target, *values: float) -> None:
        figure = Figure(target, values, today())
        self.figures.append(figure)
        self.tell(f"{figure.verdict:<4}  {target.what}: {figure.measured} (limit {figure.limit})")

    @contextmanager
    def _recording(self, *targets: Target) -> Iterator[None]:
        """Turn a failure into figures that say so, and pass it on: what comes after would measure nothing."""
        try:
            yield
        except (Failed, ValueError, psutil.NoSuchProcess) as error:
            reason = str(error).splitlines()[0][:200]
            have = {figure.target for figure in self.figures}
            self.figures += [Figure(item, (), today(), reason) for item in targets if item not in have]
            raise Failed(reason) from error


@contextmanager
def fresh_folder(home: Home) -> Iterator[Path]:
    """Give an empty folder on the file system of the cache, and remove it with all that came into it."""
    beside = home.cache.parent
    beside.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="cold-", dir=beside))
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder in which Go has made folders read-only."""
    for current, _, _ in os.walk(folder):
        path = Path(current)
        path.chmod(path.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(folder)


def cold_environment(folder: Path, environment: Mapping[str, str], settings: str) -> dict[str, str]:
    """Return an environment in which nothing is cached.

    :param folder: where all goes.
    :param settings: the file of the user's own settings for Go, which say where modules come from.
    """
    kept = {key: value for key, value in environment.items() if key not in {"GOPATH", "GOBIN", "GOTMPDIR"}}
    places = {
        "HOME": "home",
        "XDG_CACHE_HOME": "cache",
        "GOCACHE": "go-build",
        "GOMODCACHE": "go-mod",
        "SLIPWAY_TESTBED_STATE": "state",
    }
    for name in places.values():
        (folder / name).mkdir(exist_ok=True)
    return {**kept, **{key: str(folder / name) for key, name in places.items()}, "GOENV": settings}


def go_settings() -> str:
    """Return the file that ``go env -w`` writes."""
    return _output("go", "env", "GOENV") or "off"


def tree(init: psutil.Process) -> list[psutil.Process]:
    """Return the supervisor and everything below it: pods, too, as their shims belong to it."""
    return [init, *init.children(recursive=True)]


def memory(processes: list[psutil.Process]) -> int:
    """Sum the proportional set size in KiB: what is shared is counted once."""
    total = 0
    for process in processes:
        try:
            total += pss_kib(Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Sum the CPU time, that of ended children too: health checks live for milliseconds."""
    total = 0.0
    for process in processes:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def cgroup_bytes(found: cgroups.Cgroups) -> int | None:
    """Return what the cgroup of all pods says that it uses, None where it does not say."""
    for hierarchy in found.hierarchies:
        for name in ("memory.current", "memory.usage_in_bytes"):
            file = hierarchy.path / network.CGROUP / name
            if file.exists():
                return int(file.read_text(encoding="ascii"))
    return None


def machine() -> str:
    """Describe what it was measured on, in one sentence."""
    memory_gib = psutil.virtual_memory().total / BYTES_PER_GIB
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    return (
        f"Measured on {today()} at commit {commit}: {os.cpu_count()} cores, {memory_gib:.0f} GiB of memory, "
        f"Linux {platform.release()}, cgroups {cgroups.detect().mode}, Python {platform.python_version()}, "
        f"{_output('go', 'version').removeprefix('go version ') or 'no Go'}."
    )


def today() -> str:
    """Return the date, as it stands in the table."""
    return datetime.now(UTC).date().isoformat()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, text=True, capture_output=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _end(*_: object) -> NoReturn:
    """Unwind on SIGTERM as on Ctrl-C, so that the testbed is left as it was."""
    sys.exit(143)


@app.command(help=HELP)
def main(cold: Cold = False, write: Write = False) -> None:  # noqa: D103 - HELP says it
    if os.environ.get("SLIPWAY_KUBECONTEXT"):
        print("error: SLIPWAY_KUBECONTEXT is set, so `up` would start nothing; unset it", file=sys.stderr)
        raise typer.Exit(2)
    if os.geteuid() != 0:
        print("error: the testbed needs root; run this with sudo", file=sys.stderr)
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, _end)
    bench = Bench(Home.default())
    bench.everything(cold=cold)
    rows = [figure.cells() for target in ALL for figure in bench.figures if figure.target == target]
    print(f"{machine()}\n\n{table(rows)}")
    if write:
        document = DOCUMENT.read_text(encoding="utf-8")
        kept = merged(rows_of(document), rows, [target.what for target in ALL])
        DOCUMENT.write_text(written(document, machine(), kept), encoding="utf-8")
        bench.tell(f"written: {DOCUMENT.relative_to(ROOT)}")
    raise typer.Exit(1 if bench.missed() else 0)


if __name__ == "__main__":
    app()
