"""Faults in the middle of a canary: the users are back on the stable version, whoever died.

Slow, because each fault needs a release of its own up to its canary: about a minute and a half each.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.airflow import Airflow, Run, runtime
from tests.e2e.cluster import eventually, get
from tests.e2e.release import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.ledger.models import Release
    from slipway.ledger.store import Store

    from tests.e2e.release import Demo

ROLLOUT = "hive-platform-backend"
VERSION = "1.2.0"


@pytest.fixture
def airflow(demo: Demo) -> Iterator[Airflow]:
    with Airflow.login(environ=demo.environment) as client:
        yield client


@pytest.fixture
def store(demo: Demo) -> Store:
    from slipway.ledger.address import ledger_dsn
    from slipway.ledger.store import Store

    return Store(ledger_dsn(demo.environment))


def status() -> dict[str, Any]:
    return dict(get("rollout", ROLLOUT, namespace=NAMESPACE)["status"])


def weight() -> int:
    return int(status().get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0))


def at_ten_percent(airflow: Airflow) -> Run:
    """Start a release and wait until users meet it."""
    conf = {"application": "hive-platform", "version": VERSION, "environment": "local", "summary": "a fault"}
    run = airflow.trigger("release", conf, f"fault-{time.time_ns()}")
    airflow.wait_for_task(run, "canary.watch_10", {"deferred"}, within_s=200)
    eventually("a canary at 10 %", lambda: weight() == 10, within_s=30)
    return run


def release_of(airflow: Airflow, store: Store, run: Run) -> Release:
    return store.release(str(airflow.xcom(run, "configure.plan")))


def gone(airflow: Airflow, run: Run) -> bool:
    try:
        airflow.remove(run)
    except httpx.HTTPStatusError as error:
        return error.response.status_code == httpx.codes.NOT_FOUND
    return True


def assert_back(stable: str) -> None:
    found = status()
    assert (found["phase"], found["stableRS"], found["currentPodHash"]) == ("Healthy", stable, stable)
    assert weight() == 0


@pytest.mark.timeout(600)
def test_scheduler_and_triggerer_die_and_a_person_marks_the_run_failed(airflow: Airflow, store: Store) -> None:
    stable = status()["stableRS"]
    run = at_ten_percent(airflow)
    for part in ("triggerer", "scheduler"):
        killed = runtime("kill", part)
        assert killed.returncode == 0, killed.stderr
    eventually("Airflow's parts again", lambda: "not" not in runtime("status").stdout, within_s=90, every_s=2)
    assert weight() == 10, "a dead triggerer is no reason to take a canary back"

    marked = time.monotonic()
    airflow.mark_failed(run)
    eventually("the users on the stable version", lambda: weight() == 0, within_s=60)
    print(f"run marked failed -> weight 0: {time.monotonic() - marked:.1f} s")
    eventually(
        "a release that is rolled back", lambda: release_of(airflow, store, run).state == "ROLLED_BACK", within_s=120
    )
    assert_back(stable)
    assert airflow.wait(run, within_s=60) == "failed"


@pytest.mark.timeout(600)
def test_a_run_is_deleted_and_the_watchdog_finishes_its_release(airflow: Airflow, store: Store) -> None:
    stable = status()["stableRS"]
    run = at_ten_percent(airflow)
    release = release_of(airflow, store, run)
    airflow.mark_failed(run)  # Airflow deletes no run that goes on
    eventually("a run that is gone", lambda: gone(airflow, run), within_s=20)
    eventually("the watchdog's end of it", lambda: store.release(release.id).state == "ROLLED_BACK", within_s=200)
    assert_back(stable)
    decided = [event.actor for event in store.events(release.id) if event.kind == "rollback-started"]
    assert decided[0] in ("settle", "watchdog"), "whichever was quicker; nobody else can have done it"
