"""A second application, a page behind a chart of its own, is released by the same DAG: slipway knows none by name.

It is the least that a release spec admits: one container, no database, no followers, no settings, no secrets, and
other names everywhere. Slipway is given its folder by SLIPWAY_HOME; the Airflow is one of its own, beside that of this
machine.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slipway.canary.plan import argo_steps
from slipway.flow import credentials
from slipway.ledger.store import Store
from slipway.names import EventKind, ReleaseState
from slipway.spec.catalog import Catalog
from slipway.spec.model import Reference

from tests.e2e.airflow import Airflow, runtime
from tests.e2e.cluster import get, visit
from tests.e2e.load import Answer, Load, lost
from tests.e2e.release import sourced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Record

    from tests.e2e.airflow import Run

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "second/project"
APPLICATION, ENVIRONMENT, NAMESPACE = "echo-page", "bench", "test-second-application"
FIRST, SECOND = "1.0.0", "1.1.0"
REQUESTS_PER_S = 40
RELEASE_S = 240
"""Longest release here; on a quiet machine one takes 40 to 70 s, three times 8 s of them holds."""
RUNTIME = {
    "SLIPWAY_RUNTIME_HOME": "/var/lib/slipway-runtime-second",
    "SLIPWAY_RUNTIME_PORT": "8293",
    "SLIPWAY_RUNTIME_SUFFIX": "_second",
}


@pytest.fixture(scope="module")
def environ(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of a running Airflow that finds the second project."""
    assert namespace == NAMESPACE
    state = tmp_path_factory.mktemp("state")
    given = {**os.environ, **RUNTIME, "SLIPWAY_HOME": str(PROJECT), "SLIPWAY_STATE": str(state)}
    runtime("down", environ=given)
    up = runtime("up", environ=given)
    assert up.returncode == 0, up.stderr
    yield given
    down = runtime("down", environ=given)
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def store(environ: dict[str, str]) -> Store:
    """The ledger of that Airflow."""
    variables = sourced(runtime("env", environ=environ).stdout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_SLIPWAY_LEDGER", variables["AIRFLOW_CONN_SLIPWAY_LEDGER"])
        return Store(credentials.login(Reference(connection="slipway_ledger")).postgres_dsn)


def test_slipway_does_not_know_it_by_name() -> None:
    """All that tells the page from the platform stands in its own folder."""
    workload = Catalog(PROJECT).release(APPLICATION).workload
    names = (APPLICATION, workload.stable_service, workload.canary_service, workload.metrics.latency_histogram)
    code = [
        path
        for folder in ("plugins", "dags", "runtime", "scripts", "include")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".yaml", ".tpl", ".sh", ".json", ".md", ".j2"}
    ]
    assert len(code) > 100, "the search is blind"
    assert [path for path in code if any(name in path.read_text(encoding="utf-8") for name in names)] == []


@pytest.mark.timeout(2 * RELEASE_S + 240)
def test_it_is_installed_and_then_released_by_the_same_dag(environ: dict[str, str], store: Store) -> None:
    users = Load(APPLICATION, REQUESTS_PER_S, ("/version", "/?say=hi"))
    with Airflow.login("admin", environ) as airflow, users as load:
        offered = airflow.get("/dags/release/details").json()["params"]["application"]["schema"]["enum"]
        assert offered == [APPLICATION]
        first = release(airflow, store, FIRST)
        installed_at = time.time()
        second = release(airflow, store, SECOND)
        answers = load.stop()

    assert [one.state for one in store.recent(APPLICATION, ENVIRONMENT)] == [ReleaseState.PROMOTED] * 2
    assert passed(first) == ["weight-100"], "a first version shares its traffic with none"
    assert passed(second) == ["weight-10", "weight-50", "weight-100"]
    assert second.previous is not None
    assert second.previous.version == FIRST

    page = visit(APPLICATION)
    assert (page.status_code, f"<title>echo {SECOND}</title>" in page.text) == (200, True), page.text
    served = [answer for answer in answers if answer.at > installed_at]
    assert lost(served) == []
    assert shares(second, served) == {10: pytest.approx(0.1, abs=0.08), 50: pytest.approx(0.5, abs=0.1)}
    assert served[-1].version == SECOND

    rollout = get("rollout", "page", namespace=NAMESPACE)
    assert rollout["spec"]["strategy"]["canary"]["steps"] == argo_steps()
    assert rollout["status"]["stableRS"] == rollout["status"]["currentPodHash"]


def release(airflow: Airflow, store: Store, version: str) -> Record:
    """Release a version as a person does, and return its record."""
    begun = time.monotonic()
    conf = {"application": APPLICATION, "environment": ENVIRONMENT, "version": version}
    run = airflow.trigger("release", conf, f"second-{version}")
    state = airflow.wait(run, within_s=RELEASE_S)
    assert state == "success", told(airflow, run)
    print(f"{APPLICATION} {version}: {time.monotonic() - begun:.0f} s")
    [found] = [one for one in store.recent(APPLICATION, ENVIRONMENT) if one.version == version]
    return store.record(found.id)


def told(airflow: Airflow, run: Run) -> str:
    """Return what the failed tasks of a run said."""
    failed = [item for item in airflow.instances(run) if item["state"] == "failed"]
    return "\n".join(
        f"{item['task_id']}:\n{airflow.log(run, item['task_id'], index=item['map_index'])}" for item in failed
    )


def passed(record: Record) -> list[str]:
    """Return the stages that the judge passed, in their order."""
    verdicts = [event.payload for event in record.events if event.kind is EventKind.VERDICT]
    return [str(one["stage"]) for one in verdicts if one["verdict"] == "PASS"]


def shares(record: Record, answers: list[Answer]) -> dict[int, float]:
    """Return the new version's share of the requests at each weight below 100 %, as the users saw it."""
    found = {}
    for event in record.events:
        if event.kind is EventKind.STEP_STARTED and event.payload["weight"] < 100:
            # A second for the router to hear of it; the weight stays for the hold at least.
            start = datetime.fromisoformat(event.payload["start"]).timestamp()
            heard = [one for one in answers if start + 1 <= one.at <= start + event.payload["hold_s"]]
            found[event.payload["weight"]] = sum(one.version == SECOND for one in heard) / len(heard)
    return found
