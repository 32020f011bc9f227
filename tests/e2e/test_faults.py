"""Faults in the middle of a canary that take their time: nobody reports them, so a heartbeat or a watchdog has to.

The quicker ones, which are the greater part, are in test_second_application.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest
from slipway.names import EventKind, ReleaseState

from tests.e2e.cluster import eventually
from tests.e2e.page import FAULTY, RUN_S, nothing_is_lost

if TYPE_CHECKING:
    from tests.e2e.airflow import Run
    from tests.e2e.page import Page

pytestmark = pytest.mark.slow
HEARTBEAT_S = 120
"""After such a silence Airflow calls a task dead whose worker has died with it (runtime/environment.py)."""


def gone(page: Page, run: Run) -> bool:
    """Delete a run, as soon as Airflow lets it."""
    try:
        page.airflow.remove(run)
    except httpx.HTTPStatusError as error:
        return error.response.status_code == httpx.codes.NOT_FOUND
    return True


@pytest.mark.timeout(RUN_S + 200)
def test_a_run_is_deleted_and_its_release_is_finished_all_the_same(page: Page, served: str) -> None:
    with page.users() as load:
        run = page.at_ten_percent(FAULTY)
        release = page.release_of(run)
        page.airflow.mark_failed(run)  # Airflow deletes no run that goes on
        eventually("a run that is gone", lambda: gone(page, run), within_s=20)
        eventually(
            "an end of it", lambda: page.store.release(release.id).state is ReleaseState.ROLLED_BACK, within_s=200
        )
        nothing_is_lost(load.stop())
    page.assert_back_on(served)
    decided = [event.actor for event in page.store.events(release.id) if event.kind is EventKind.ROLLBACK_STARTED]
    assert decided[0] in ("settle", "watchdog"), "whichever was quicker; nobody else can have done it"


@pytest.mark.timeout(RUN_S + 3 * HEARTBEAT_S)
def test_a_task_dies_with_the_worker_that_would_have_reported_it(page: Page, served: str) -> None:
    with page.users() as load:
        run = page.trigger(FAULTY)
        process = eventually("a smoke test", lambda: page.task_process(run, "canary.smoke_test"), within_s=150)
        worker = process.parent()
        assert worker is not None
        begun = time.monotonic()
        # In one go, so that neither lives to tell of the other.
        for one in (worker, process):
            one.suspend()
        for one in (worker, process):
            one.kill()
        page.ends(run, ReleaseState.ROLLED_BACK, within_s=HEARTBEAT_S + 120)
        print(f"task and worker dead -> release rolled back: {time.monotonic() - begun:.0f} s")
        nothing_is_lost(load.stop())
    page.assert_back_on(served)
