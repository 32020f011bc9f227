"""A person in Airflow's UI triggers, watches and reads a release: headless Chromium on the Airflow of a demo.

The version is one that is released already, so the run is refused in its first task and touches nothing.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
from slipway.ledger.address import ledger_dsn
from slipway.ledger.store import Store

from tests.e2e.airflow import Airflow, Run
from tests.e2e.ui import CHROMIUM, Ui, window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Demo

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: nobody looked at Airflow's UI")
REFUSED_WITHIN_S = 90


@pytest.fixture(scope="module")
def ui(demo: Demo) -> Iterator[Ui]:
    """A window, logged in."""
    with window(demo.environment) as opened:
        yield opened


@pytest.fixture(scope="module")
def airflow(demo: Demo) -> Iterator[Airflow]:
    """Airflow's API, for what a test leaves behind."""
    with Airflow.login(environ=demo.environment) as opened:
        yield opened


@pytest.fixture(scope="module")
def released(demo: Demo) -> str:
    """The version that has all of the traffic."""
    found = Store(ledger_dsn(demo.environment)).last_promoted("hive-platform", "local")
    assert found, "nothing was promoted"
    return found.version


@pytest.fixture
def run_id(airflow: Airflow) -> Iterator[str]:
    """A name for a run, which is removed afterwards."""
    name = f"ui-{uuid.uuid4().hex[:8]}"
    yield name
    with contextlib.suppress(httpx.HTTPStatusError):  # the run never began: the test has said why
        airflow.remove(Run("release", name))


def test_the_dag_says_what_it_does_and_how_to_stop_it(ui: Ui) -> None:
    ui.open_dag("release")
    text = ui.docs()
    for phase in ("configure", "build", "deploy", "migrate", "monitoring", "canary", "announce", "settle"):
        assert phase in text
    assert "To stop a release, mark the run as failed" in text
    assert "trigger the DAG rollback" in text


def test_the_graph_shows_the_phases_in_their_order(ui: Ui) -> None:
    ui.open_dag("release")
    ui.show_graph()
    shown = [box.split()[0] for box in ui.graph() if box]
    assert shown == ["configure", "build", "deploy", "migrate", "monitoring", "canary", "announce", "settle"]
    ui.page.get_by_role("button", name="Show Grid").click()


def test_the_form_explains_each_field_and_offers_what_can_be_chosen(ui: Ui) -> None:
    ui.open_dag("release")
    form = ui.form()
    sentences = {
        "Application": "What is released: the name of a file in include/releases.",
        "Version": "Version to release, for example 1.0.0 or 1.1.0-rc.1; released once.",
        "Environment": "Where it goes: the name of a file in include/config.",
        "Summary": "What changes for users, in a few sentences; messages and dossier say it.",
    }
    assert {title: sentence for title, sentence in sentences.items() if sentence in form.field(title).text()} == (
        sentences
    )
    assert form.field("Application").choices() == ["hive-platform"]
    assert form.field("Environment").choices() == ["local", "production", "staging"]
    assert form.button.is_disabled(), "no version has been typed"
    form.close()


def test_a_bad_version_is_refused_by_its_pattern_and_no_run_begins(ui: Ui, airflow: Airflow) -> None:
    before = airflow.get("/dags/release/dagRuns").json()["total_entries"]
    ui.open_dag("release")
    form = ui.form()
    form.field("Version").type("v1.0")
    form.trigger()
    form.dialog.get_by_text("Invalid input for param version: 'v1.0' does not match").wait_for()
    form.close()
    assert airflow.get("/dags/release/dagRuns").json()["total_entries"] == before


def test_a_release_is_triggered_watched_and_its_refusal_read(ui: Ui, released: str, run_id: str) -> None:
    """Version and summary are all that a person types: nobody gives a reason for a freeze that there is not."""
    ui.open_dag("release")
    form = ui.form()
    form.field("Version").type(released)
    form.field("Environment").choose("local")
    form.field("Summary").type("Somebody releases what is released already.")
    form.name_the_run(run_id)
    form.trigger()
    form.dialog.wait_for(state="hidden")

    ui.open_run("release", run_id)
    assert ui.end_of_run(within_s=REFUSED_WITHIN_S) == "Failed"
    ui.open_task("configure.check")
    log = ui.errors_of_log()
    log.get_by_text(f"hive-platform {released} cannot be released to local").wait_for()
    said = log.inner_text()
    assert f"version {released} is released already, by hive-platform-{released}-local-" in said
    assert "mend what is listed; nothing was touched" in said
