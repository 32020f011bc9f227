"""Airflow's UI as a person meets it, in headless Chromium; ``python -m tests.e2e.ui --pictures`` draws docs/pictures.

Elements are found by what a person sees or hears of them: role, name, label, and the description of a field.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from playwright.sync_api import Locator, Page

    from tests.e2e.airflow import Airflow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ADDRESS = "SLIPWAY_AIRFLOW_URL"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZE = (1280, 800)
"""Width and height of the window, in CSS pixels."""
COLOURS = 128
LARGEST_BYTES = 200_000
TIMEOUT_MS = 20_000
"""For one element to come; a page of Airflow takes 2 s on a quiet machine."""
NODE = ".react-flow__node"
ENDED = re.compile(r"^(Success|Failed)$")


class Field:
    """A field of the form: its label, what is typed into it, and the sentence below it."""

    def __init__(self, dialog: Locator, title: str) -> None:
        label = re.compile(rf"^{re.escape(title)}\s*\*?$")
        self.group = dialog.get_by_role("group").filter(has=dialog.page.get_by_text(label))
        self.entry = self.group.locator("input:not([type=hidden]), textarea").first

    def text(self) -> str:
        """Return all that the field says."""
        return self.group.inner_text()

    def type(self, text: str) -> None:
        """Replace what stands in the field."""
        self.entry.fill(text)

    def choices(self) -> list[str]:
        """Open the list, return what it offers, and close it."""
        self.entry.click()
        options = self.group.get_by_role("option")
        options.first.wait_for()
        offered = options.all_inner_texts()
        self.entry.press("Tab")  # Escape would close the whole dialogue
        return offered

    def choose(self, text: str) -> None:
        """Pick an entry of the list."""
        self.entry.click()
        self.group.get_by_role("option", name=text, exact=True).click()


class Form:
    """The dialogue behind the button Trigger."""

    def __init__(self, page: Page) -> None:
        self.dialog = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Trigger Dag"))
        self.button = self.dialog.get_by_role("button", name="Trigger", exact=True)
        self.field("Version").entry.wait_for()

    def field(self, title: str) -> Field:
        """Return a field by its label."""
        return Field(self.dialog, title)

    def name_the_run(self, run_id: str) -> None:
        """Give the run a name, under Advanced Options, and come back to the parameters."""
        self.dialog.get_by_role("button", name="Advanced Options").click()
        self.dialog.get_by_role("textbox", name="Run ID").fill(run_id)
        self.dialog.get_by_role("button", name="Run Parameters").click()
        self.field("Version").entry.wait_for()

    def trigger(self) -> None:
        """Press the button, which is off as long as Airflow wants more to be typed."""
        from playwright.sync_api import expect

        expect(self.button, "Trigger stays off: another field is wanted that a person leaves empty").to_be_enabled()
        self.button.click()

    def close(self) -> None:
        """Go away without a run."""
        self.dialog.get_by_role("button", name="Close").click()
        self.dialog.wait_for(state="hidden")


class Ui:
    """One window of one user.

    :param page: an empty page.
    :param address: of Airflow, without a slash at the end.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address

    def log_in(self, user: str, password: str) -> None:
        """Open the first page and log in."""
        self.page.goto(self.address)
        self.page.get_by_role("textbox", name="Username").fill(user)
        self.page.get_by_role("textbox", name="Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("link", name="Dags", exact=True).first.wait_for()

    def open_dag(self, dag_id: str) -> None:
        """Find a DAG in the list, as somebody who was given no link."""
        self.page.goto(self.address)
        self.page.get_by_role("link", name="Dags", exact=True).first.click()
        # A tag is a link too, and may have the same name.
        to_dag = self.page.locator(f"a[href$='/dags/{dag_id}']")
        self.page.get_by_role("link", name=dag_id, exact=True).and_(to_dag).first.click()
        self.page.get_by_role("heading", name=dag_id, exact=True).wait_for()

    def docs(self) -> str:
        """Return what the DAG says of itself, and close that again."""
        self.page.get_by_role("button", name="Dag Docs").click()
        dialog = self.page.get_by_role("dialog").filter(has=self.page.get_by_role("heading", name="Dag Documentation"))
        dialog.get_by_role("heading", level=1).wait_for()
        text = dialog.inner_text()
        dialog.get_by_role("button", name="Close").click()
        dialog.wait_for(state="hidden")
        return text

    def form(self) -> Form:
        """Open the form."""
        self.page.get_by_role("button", name="Trigger Dag").click()
        return Form(self.page)

    def open_run(self, dag_id: str, run_id: str) -> None:
        """Open a run, as the links in the messages do."""
        self.page.goto(f"{self.address}/dags/{dag_id}/runs/{run_id}")
        self.page.get_by_role("heading", name=run_id).wait_for()

    def end_of_run(self, *, within_s: float) -> str:
        """Watch the run that is open until it has ended; the page follows by itself.

        :returns: Success or Failed, as the badge beside the run's name says.
        """
        badge = self.page.get_by_test_id("header-card").get_by_test_id("state-badge").filter(has_text=ENDED)
        badge.wait_for(timeout=within_s * 1000)
        return badge.inner_text().strip()

    def widen_grid(self) -> None:
        """Give the grid more room: at this width it hides the newest runs behind the details."""
        self.page.get_by_role("separator").press("ArrowRight")

    def unfold(self, group: str) -> None:
        """Show the tasks of a group in the grid."""
        self.page.get_by_role("link", name=f"{group} Toggle group").locator("svg").click()

    def show_graph(self) -> None:
        """Show the graph instead of the grid."""
        self.page.get_by_role("button", name="Show Graph").click()
        self.page.locator(NODE).first.wait_for()

    def graph(self) -> list[str]:
        """Return what stands in the boxes of the graph, from left to right; all places are read at one moment."""
        script = "boxes => boxes.map(box => [box.getBoundingClientRect().x, box.innerText])"
        placed = self.page.locator(NODE).evaluate_all(script)
        return [text for _, text in sorted(placed)]

    def open_task(self, task_id: str) -> None:
        """Open a task of the run that is open, by its line in the table."""
        self.page.get_by_role("table").get_by_role("link", name=task_id, exact=True).click()
        self.page.get_by_role("heading", name=task_id, exact=True).wait_for()

    def errors_of_log(self) -> Locator:
        """Show only the errors of the log of the task that is open, with long lines wrapped, and return its text."""
        self.page.get_by_role("combobox").filter(has_text="All Log Levels").click()
        self.page.get_by_role("option", name="ERROR").click()
        self.page.keyboard.press("Escape")
        self.page.get_by_role("button", name="Log Settings").click()
        self.page.get_by_role("menuitem", name="Wrap").click()
        return self.page.get_by_role("code").filter(has_text="Task Identity").first

    def take_picture(self, path: Path) -> None:
        """Write what the window shows, in few colours, so that a repository can carry it.

        :raises ValueError: the picture is too large all the same.
        """
        from PIL import Image

        self.page.get_by_test_id("main-content").hover(position={"x": 1, "y": 1}, force=True)
        shown = Image.open(io.BytesIO(self.page.screenshot(animations="disabled"))).convert("RGB")
        path.parent.mkdir(parents=True, exist_ok=True)
        shown.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST_BYTES}: fewer colours")


@contextlib.contextmanager
def window(environment: Mapping[str, str]) -> Iterator[Ui]:
    """Open a browser and log in.

    :param environment: with the SLIPWAY_AIRFLOW_* variables of ``python -m runtime env``.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root has no sandbox of Chromium, and a container's /dev/shm is small.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce")
            page.set_default_timeout(TIMEOUT_MS)
            opened = Ui(page, environment[ADDRESS].rstrip("/"))
            opened.log_in(environment["SLIPWAY_AIRFLOW_USER"], environment["SLIPWAY_AIRFLOW_PASSWORD"])
            yield opened
        finally:
            browser.close()


def take_pictures(ui: Ui, run_id: str) -> None:
    """Draw all pictures of the docs.

    :param run_id: a release that was taken back at 10 %.
    """
    ui.open_dag("release")
    ui.show_graph()
    ui.page.get_by_role("button", name="Collapse Details Panel").click()
    ui.page.get_by_role("button", name="Fit View").click()
    _settle(ui)
    ui.take_picture(PICTURES / "release-graph.png")

    form = ui.form()
    form.field("Version").type("1.1.0")
    form.field("Summary").type("Tables can be merged on a schedule.")
    # The date of a picture would change it each time, and says nothing: the fields are what it is for.
    form.field("Application").group.scroll_into_view_if_needed()
    ui.take_picture(PICTURES / "release-form.png")
    form.close()
    ui.page.get_by_role("button", name="Show Grid").click()

    ui.open_run("release", run_id)
    ui.widen_grid()
    ui.unfold("canary")
    ui.page.get_by_role("table").get_by_role("link", name="settle", exact=True).wait_for()
    _settle(ui)
    ui.take_picture(PICTURES / "release-run.png")

    ui.page.goto(f"{ui.page.url}/tasks/canary.watch_10")
    log = ui.errors_of_log()
    log.get_by_text("the canary failed at weight-10").wait_for()
    ui.take_picture(PICTURES / "release-verdict.png")

    ui.open_run("release", run_id)
    ui.page.get_by_role("button", name="Mark Dag Run as").click()
    ui.page.get_by_role("menuitem", name="Failed").click()
    ui.page.get_by_role("dialog").get_by_role("button", name="Confirm").wait_for()
    ui.take_picture(PICTURES / "release-stop.png")


def _settle(ui: Ui) -> None:
    """Wait until the page asks for nothing: what it draws is what it knows."""
    ui.page.wait_for_load_state("networkidle")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the pictures."""
    from tests.e2e.airflow import Airflow

    parser = argparse.ArgumentParser(prog="python -m tests.e2e.ui", description=__doc__)
    parser.add_argument("--pictures", metavar="RUN_ID", nargs="?", const="", help="the run of a release taken back")
    chosen = parser.parse_args(arguments)
    if chosen.pictures is None:
        parser.error("nothing to do: say --pictures")
    if CHROMIUM is None or ADDRESS not in os.environ:
        print('no chromium on PATH, or no Airflow: make demo, then eval "$(python -m runtime env)"', file=sys.stderr)
        return 2
    with Airflow.login() as airflow:
        run_id = chosen.pictures or _taken_back(airflow)
    with window(os.environ) as opened:
        take_pictures(opened, run_id)
    for path in sorted(PICTURES.glob("release-*.png")):
        print(f"{path.relative_to(PICTURES.parents[1])}  {path.stat().st_size / 1000:.0f} kB")
    return 0


def _taken_back(airflow: Airflow) -> str:
    runs = airflow.get("/dags/release/dagRuns", params={"state": "failed", "run_id_pattern": "demo-1.0.1-%"}).json()
    return str(runs["dag_runs"][-1]["dag_run_id"])


if __name__ == "__main__":
    sys.exit(main())
