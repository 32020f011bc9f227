"""The second application in an Airflow of its own, for the tests that break something in the middle of a release.

It is the quickest whole release there is: one container, no database, no followers. About half a minute lies between
the trigger and a canary that users meet.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
import yaml
from psycopg import sql
from slipway.flow import credentials
from slipway.ledger.store import Store
from slipway.spec.model import Reference

from runtime import settings, tree
from tests.e2e.airflow import Airflow, runtime
from tests.e2e.cluster import HOME, apply, eventually, get
from tests.e2e.load import Load, lost
from tests.e2e.release import sourced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Record, Release
    from slipway.names import ReleaseState

    from tests.e2e.airflow import Run
    from tests.e2e.load import Answer

PROJECT = Path(__file__).parent / "second/project"
APPLICATION, ENVIRONMENT = "echo-page", "bench"
FIRST, SECOND, THIRD = "1.0.0", "1.1.0", "1.2.0"
FAULTY = "1.3.0"
"""The version that something always happens to, so that it is built once."""
WRITTEN_FOR = "test-second-application"
"""The namespace that stands in the project's files."""
ROLLOUT = "page"
HELM_RELEASE = "echo"
REQUESTS_PER_S = 40
PATHS = ("/version", "/?say=hi")
RELEASE_S = 240
"""Longest release here; on a quiet machine one takes 40 to 70 s, three times 8 s of them holds."""
SETTLED_S = 120
RUN_S = SETTLED_S + RELEASE_S
"""Longest release that something happens to."""
RUNTIME = {
    "SLIPWAY_RUNTIME_HOME": "/var/lib/slipway-runtime-second",
    "SLIPWAY_RUNTIME_PORT": "8293",
    "SLIPWAY_RUNTIME_SUFFIX": "_second",
}


@dataclass(frozen=True)
class Page:
    """The application, its Airflow, and its ledger.

    :param environ: variables of `python -m runtime` for this Airflow.
    :param project: the folder of the application's specs, a copy.
    """

    environ: dict[str, str]
    project: Path
    namespace: str
    airflow: Airflow
    store: Store

    # -- releases ------------------------------------------------------------------------------------------------

    def trigger(self, version: str, **conf: Any) -> Run:
        """Start a release, as a person does."""
        asked = {"application": APPLICATION, "environment": ENVIRONMENT, "version": version, **conf}
        return self.airflow.trigger("release", asked, f"page-{time.time_ns()}")

    def release(self, version: str, **conf: Any) -> Record:
        """Release a version, wait until it is promoted, and return its record."""
        begun = time.monotonic()
        run = self.trigger(version, **conf)
        state = self.airflow.wait(run, within_s=RELEASE_S)
        assert state == "success", self.told(run)
        print(f"{APPLICATION} {version}: {time.monotonic() - begun:.0f} s")
        return self.store.record(self.release_of(run).id)

    def ensure_installed(self) -> None:
        """Install the first version, unless one is there already; it is judged by its users, as every version is."""
        self.store.ensure()
        if self.store.last_promoted(APPLICATION, ENVIRONMENT) is None:
            with Load(APPLICATION, REQUESTS_PER_S, PATHS):
                self.release(FIRST)

    def release_of(self, run: Run) -> Release:
        """Return the release that a run carries."""
        return self.store.release(str(self.airflow.xcom(run, "configure.plan")))

    def at_ten_percent(self, version: str, **conf: Any) -> Run:
        """Start a release and wait until users meet it."""
        run = self.trigger(version, **conf)
        self.airflow.wait_for_task(run, "canary.watch_10", {"deferred"}, within_s=150)
        eventually("a canary at 10 %", lambda: self.weight() == 10, within_s=30)
        return run

    def ends(self, run: Run, state: ReleaseState, *, within_s: float = SETTLED_S) -> Release:
        """Wait until a release has its end and its run is red, and return it."""
        try:
            eventually(f"a release that is {state}", lambda: self.release_of(run).state is state, within_s=within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.release_of(run).state}; {self.told(run)}") from None
        assert self.airflow.wait(run, within_s=60) == "failed"
        return self.release_of(run)

    def told(self, run: Run) -> str:
        """Return what the failed tasks of a run said."""
        failed = [item for item in self.airflow.instances(run) if item["state"] == "failed"]
        return "\n".join(
            f"{item['task_id']}:\n{self.airflow.log(run, item['task_id'], index=item['map_index'])}" for item in failed
        )

    # -- the cluster ---------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return the status of the Rollout."""
        return dict(get("rollout", ROLLOUT, namespace=self.namespace)["status"])

    def weight(self) -> int:
        """Return the canary's share of the requests in percent, as Argo Rollouts says."""
        return int(self.status().get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0))

    def stable(self) -> str:
        """Return the pod-template hash of the version that serves, which has to be the only one."""
        found = self.status()
        assert (found["phase"], found["currentPodHash"]) == ("Healthy", found["stableRS"]), found
        return str(found["stableRS"])

    def helm(self) -> dict[int, str]:
        """Return the status of each revision that Helm has."""
        labels = [one["metadata"]["labels"] for one in get("secrets", namespace=self.namespace, owner="helm")["items"]]
        return {int(one["version"]): one["status"] for one in labels if one["name"] == HELM_RELEASE}

    def touched(self) -> tuple[int, dict[int, str]]:
        """Return what changes when anything is done to the application: the Rollout's generation, Helm's revisions."""
        return get("rollout", ROLLOUT, namespace=self.namespace)["metadata"]["generation"], self.helm()

    def assert_back_on(self, stable: str) -> None:
        """Make sure that the users and Helm are where they were."""
        assert self.stable() == stable
        assert self.weight() == 0
        revisions = self.helm()
        assert revisions[max(revisions)] == "deployed", revisions

    # -- users ---------------------------------------------------------------------------------------------------

    @contextmanager
    def users(self) -> Iterator[Load]:
        """Let users come while the block lasts; the first of them have been served when it begins."""
        with Load(APPLICATION, REQUESTS_PER_S, PATHS) as load:
            eventually("traffic", lambda: len(load.answers()) >= REQUESTS_PER_S, within_s=20)
            yield load

    # -- the ledger ----------------------------------------------------------------------------------------------

    @contextmanager
    def ledger_away(self) -> Iterator[None]:
        """Let nobody reach the ledger while the block lasts, as when its PostgreSQL is down; Airflow's own stays."""
        chosen = settings.read(self.environ)
        name = sql.Identifier(chosen.ledger)
        with psycopg.connect(chosen.postgres, autocommit=True) as administrator:
            administrator.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            try:
                end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                administrator.execute(end, [chosen.ledger])
                yield
            finally:
                administrator.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    # -- Airflow's processes -------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Return every process of this Airflow."""
        running = tree.find(settings.read(self.environ).home)
        assert running, "this Airflow does not run"
        return psutil.Process(running.pid).children(recursive=True)

    def kill(self, part: str) -> None:
        """Send SIGKILL to a part of Airflow."""
        killed = runtime("kill", part, environ=self.environ)
        assert killed.returncode == 0, killed.stderr

    def task_process(self, run: Run, task_id: str) -> psutil.Process | None:
        """Return the process that works at a task, None while there is none."""
        found = [item for item in self.airflow.instances(run) if item["task_id"] == task_id]
        titles = {f"airflow worker -- {item['id']}" for item in found}
        return next((one for one in self.processes() if command(one) in titles), None)

    def kill_task(self, run: Run, task_id: str, *, doing: str = "", within_s: float = 120) -> list[psutil.Process]:
        """Wait until a task is at work, send SIGKILL to its process, and return the programs that it ran.

        Its supervisor finds a dead child and calls the task failed, as after an OOM kill.

        :param doing: a program that it has to be running by then.
        """

        def at_work() -> tuple[psutil.Process, list[psutil.Process]] | None:
            process = self.task_process(run, task_id)
            if process is None:
                return None
            try:
                below = process.children(recursive=True)
            except psutil.NoSuchProcess:
                return None
            is_due = not doing or any(command(one).split()[:1] == [doing] for one in below)
            return (process, below) if is_due else None

        process, below = eventually(f"{task_id} at work {doing}", at_work, within_s=within_s, every_s=0.1)
        process.send_signal(signal.SIGKILL)
        return below


def command(process: psutil.Process) -> str:
    """Return a process's command, or the title that it gave itself; empty when it has ended meanwhile."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def processes_of(version: str) -> list[psutil.Process]:
    """Return the processes in the containers of one version: the nodes are on this machine."""
    return [process for process in psutil.process_iter() if _serves(process, version)]


def _serves(process: psutil.Process, version: str) -> bool:
    try:
        if process.cmdline()[1:] != ["/srv/server.py"]:
            return False
        return process.environ().get("ECHO_VERSION") == version
    except psutil.Error:
        return False


def nothing_is_lost(answers: list[Answer]) -> None:
    """Make sure that no user noticed anything."""
    print(f"{len(answers)} requests, by version: {dict(Counter(answer.version for answer in answers))}")
    assert lost(answers) == [], lost(answers)[:5]


@contextmanager
def brought_up(namespace: str, folder: Path) -> Iterator[Page]:
    """Run an Airflow that releases the second application and the broken ones beside it.

    :param namespace: to release to; the project is copied for it.
    :param folder: takes the copy, and slipway's own state.
    """
    project = folder / "project"
    shutil.copytree(PROJECT, project)
    config = project / f"include/config/{ENVIRONMENT}.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace(WRITTEN_FOR, namespace), encoding="utf-8")
    break_copies(project)
    check_in(project)
    tell_prometheus(project, namespace)
    given = {**os.environ, **RUNTIME, "SLIPWAY_HOME": str(project), "SLIPWAY_STATE": str(folder / "state")}
    runtime("down", environ=given)
    up = runtime("up", environ=given)
    assert up.returncode == 0, up.stderr
    try:
        variables = sourced(runtime("env", environ=given).stdout)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_SLIPWAY_LEDGER", variables["AIRFLOW_CONN_SLIPWAY_LEDGER"])
            store = Store(credentials.login(Reference(connection="slipway_ledger")).postgres_dsn)
        with Airflow.login("admin", given) as airflow:
            yield Page(given, project, namespace, airflow, store)
    finally:
        down = runtime("down", environ=given)
    assert down.returncode == 0, down.stderr


def tell_prometheus(project: Path, namespace: str) -> None:
    """Apply the chart's PodMonitor before its time, as Helm would, so that it adopts it.

    A new one is in Prometheus' configuration once the kubelet has brought it there, which takes up to 90 s: most of
    them are over while Airflow starts.
    """
    chart = project / "include/charts/echo-page"
    anything = "--set=host=any,image.repository=any,image.digest=any"
    command = [str(HOME.bin / "helm"), "template", HELM_RELEASE, str(chart), f"--namespace={namespace}",
               "--show-only=templates/traffic.yaml", anything]  # fmt: skip
    rendered = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    [monitor] = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] == "PodMonitor"]
    monitor["metadata"] |= {
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": HELM_RELEASE, "meta.helm.sh/release-namespace": namespace},
    }
    apply(namespace, monitor)


def check_in(project: Path) -> None:
    """Make the folder a repository, as slipway says of each image what it is made from; the same commit every time."""
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in COMMITTED.items()}
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=As it is")):
        subprocess.run(["git", *arguments], cwd=project, env={**os.environ, **who}, check=True, timeout=30)


COMMITTED = {"NAME": "tests", "EMAIL": "tests@testbed.internal", "DATE": "2026-01-01T00:00:00Z"}

# -- specs with one fault each ---------------------------------------------------------------------------------------

NO_SECRET, NO_KEY, NO_CHART, NO_ROLLOUT, MISSPELT = "locked-out", "no-key", "no-chart", "no-rollout", "misspelt"
BROKEN = (MISSPELT, NO_CHART, NO_KEY, NO_ROLLOUT, NO_SECRET)
"""Copies of the application that cannot be released, by what is wrong with each."""
SECRET = "page-key"  # noqa: S105 - its name


def break_copies(project: Path) -> None:
    """Write the broken applications beside the one that works, each with one fault."""
    releases, config = project / "include/releases", project / f"include/config/{ENVIRONMENT}.yaml"
    good = (releases / f"{APPLICATION}.yaml").read_text(encoding="utf-8")
    faults = {
        NO_SECRET: f"{good}\nsecrets: {{name: nowhere, keys: {{local: [TOKEN]}}}}\n",
        NO_KEY: f"{good}\nsecrets: {{name: {SECRET}, keys: {{local: [TOKEN, OTHER]}}}}\n",
        NO_CHART: replaced(good, "path: include/charts/echo-page", "path: include/charts/no-chart"),
        NO_ROLLOUT: replaced(good, "\n  rollout: page\n", "\n  rollout: pages\n"),
        MISSPELT: replaced(good, "\n  stable_service: page-old\n", "\n  stabel_service: page-old\n"),
    }
    for name, text in faults.items():
        named = replaced(text, f"application: {APPLICATION}\n", f"application: {name}\n")
        (releases / f"{name}.yaml").write_text(named, encoding="utf-8")
        with config.open("a", encoding="utf-8") as file:
            file.write(f"  {name}: {{url: https://{name}.testbed.internal}}\n")
    shutil.copytree(project / "include/charts/echo-page", project / "include/charts/no-chart")
    template = project / "include/charts/no-chart/templates/traffic.yaml"
    template.write_text('{{ fail "nobody has written this chart yet" }}\n', encoding="utf-8")


def replaced(text: str, old: str, new: str) -> str:
    """Replace a part of a text that has to be there once."""
    assert len(re.findall(re.escape(old), text)) == 1, old
    return text.replace(old, new)
