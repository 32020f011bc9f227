"""Releases that never get their lock end all the same, and their tasks say why in a sentence.

The Airflow is one of its own, with the second application and two environments that ask for an approval; all releases
wait at the same time, so the module takes about as long as its slowest.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slipway.flow import credentials
from slipway.ledger.store import Store
from slipway.names import ReleaseState
from slipway.spec.model import Reference

from tests.e2e.airflow import Airflow, runtime
from tests.e2e.cluster import eventually
from tests.e2e.release import sourced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Release

    from tests.e2e.airflow import Run

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parent / "second/project"
APPLICATION = "echo-page"
RUNTIME = {
    "SLIPWAY_RUNTIME_HOME": "/var/lib/slipway-runtime-approval",
    "SLIPWAY_RUNTIME_PORT": "8296",
    "SLIPWAY_RUNTIME_SUFFIX": "_approval",
}
TASK_S = 60
"""Longest that one task may take here, its turn in the queue included."""


@pytest.fixture(scope="module")
def environ(bed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of an Airflow with two environments that ask for an approval: `guarded` waits, `hasty` does not."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT, project, dirs_exist_ok=True)
    bench = (project / "include/config/bench.yaml").read_text()
    for name, timeout_s in (("guarded", 600), ("hasty", 5)):
        asks = f"approval:\n  required: true\n  approvers: [admin, ann]\n  timeout_s: {timeout_s}"
        text = bench.replace("name: bench", f"name: {name}").replace("approval:\n  required: false", asks)
        (project / f"include/config/{name}.yaml").write_text(text)
    state = tmp_path_factory.mktemp("state")
    given = {**os.environ, **RUNTIME, "SLIPWAY_HOME": str(project), "SLIPWAY_STATE": str(state)}
    runtime("down", environ=given)
    up = runtime("up", environ=given)
    assert up.returncode == 0, up.stderr
    yield given
    down = runtime("down", environ=given)
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def airflow(environ: dict[str, str]) -> Iterator[Airflow]:
    with Airflow.login("admin", environ) as session:
        yield session


@pytest.fixture(scope="module")
def store(environ: dict[str, str]) -> Store:
    variables = sourced(runtime("env", environ=environ).stdout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_SLIPWAY_LEDGER", variables["AIRFLOW_CONN_SLIPWAY_LEDGER"])
        return Store(credentials.login(Reference(connection="slipway_ledger")).postgres_dsn)


def ask(airflow: Airflow, run_id: str, environment: str = "guarded") -> Run:
    conf = {"application": APPLICATION, "environment": environment, "version": "1.0.0"}
    return airflow.trigger("release", conf, run_id)


def release_of(store: Store, run: Run) -> Release:
    (found,) = [one for one in store.recent(APPLICATION) if one.run_id == run.run_id]
    return found


def reason_of(store: Store, run: Run) -> str:
    release = eventually(
        f"the end of {run.run_id}",
        lambda: found if (found := release_of(store, run)).state is ReleaseState.CANCELLED else None,
        within_s=150,
    )
    return str(store.events(release.id)[-1].payload["reason"])


@pytest.mark.timeout(420)
def test_what_nobody_approves_is_cancelled_and_says_why(airflow: Airflow, store: Store) -> None:
    rejected, alone, left = ask(airflow, "rejected"), ask(airflow, "alone"), ask(airflow, "left")
    silent = ask(airflow, "silent", "hasty")
    for run in (left, rejected, alone):
        airflow.wait_for_task(run, "configure.approve", {"awaiting_input"}, within_s=TASK_S)
    assert release_of(store, left).state is ReleaseState.PLANNED
    airflow.mark_failed(left)
    airflow.respond(rejected, "configure.approve", "Reject")
    airflow.respond(alone, "configure.approve", "Approve")

    for run, actor, reason in (
        (rejected, "admin", "admin has rejected it"),
        (alone, "admin", "admin asked for this release and may not approve it, too"),
        (silent, "slipway", "nobody has approved it within 5 s"),
        # Airflow calls a run green that was marked as failed before its setup; the release does not depend on it.
        (left, "watchdog", f"its run left ended as {airflow.wait(left, within_s=TASK_S)}"),
    ):
        assert reason_of(store, run) == reason
        assert store.events(release_of(store, run).id)[-1].actor == actor
    assert airflow.wait(rejected, within_s=TASK_S) == "failed"

    log = airflow.log(rejected, "configure.approve")
    assert log.count("admin has rejected it\n  do     ask why, and start a new run") == 1, log
    assert "Traceback" not in log
    assert "hitl.py" not in log, "no frame of a traceback"
