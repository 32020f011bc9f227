"""The page in a real browser, under the headers that nginx sends, in front of an API that does as it is told."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PLAYWRIGHT = importlib.util.find_spec("playwright")


def _load_fake() -> Any:
    spec = importlib.util.spec_from_file_location("frontend_fake", Path(__file__).with_name("fake.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["frontend_fake"] = module
    spec.loader.exec_module(module)
    return module


fake = _load_fake()
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and PLAYWRIGHT), reason="no chromium on PATH, or no playwright: the page was not looked at"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def platform() -> Any:
    """A warehouse that was scanned, with one table of two partitions and one without small files."""
    made = fake.Platform()
    made.add_cluster("eu", "webhdfs://hive@namenode:9870/warehouse")
    made.add_scan(1, "success", tables=2, files=30, small_files=20)
    made.add_table(1, "sales.orders", 20, 25, ("dt=1", "dt=2"))
    made.add_table(1, "sales.<img src=x onerror=alert(1)>", 0, 5, ())
    return made


@pytest.fixture
def page(browser: Browser, platform: Any) -> Iterator[Page]:
    """The opened page. A script error or a breach of the policy fails the test."""
    server = fake.FakeServer(platform)
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(8000)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    opened.goto(server.url)
    opened.get_by_text("Up to date").wait_for()
    yield opened
    context.close()
    server.close()
    assert wrong == []


def test_it_shows_what_the_api_says_and_takes_names_for_text(page: Page) -> None:
    assert page.locator("#figures .figure-value").all_inner_texts() == ["20", "2", "1", "0"]
    heads = page.locator("#tables-body th").all_inner_texts()
    assert heads == ["Table", "Small files", "Share", "Mean file", "Size"]
    assert page.locator("#tables-body tbody tr").count() == 2
    assert page.get_by_text("<img src=x onerror=alert(1)>").is_visible()
    assert page.locator("#versions").inner_text() == "API 1.0.0"


def test_the_older_version_has_no_share(page: Page, platform: Any) -> None:
    platform.versions = ("0.9.0",)
    page.reload()
    page.get_by_text("API 0.9.0", exact=True).wait_for()
    page.get_by_role("button", name="sales.orders").wait_for()
    assert page.locator("#tables-body th").all_inner_texts() == ["Table", "Small files", "Size"]
    assert page.locator("#table-order option").all_inner_texts() == ["Most small files", "Name"]


def test_a_canary_shows_both_versions_and_keeps_the_share(page: Page, platform: Any) -> None:
    platform.versions = ("0.9.0",)
    platform.add_scan(1, "running")
    page.get_by_role("button", name="Scan eu").click()  # asks at once, and then every two seconds
    pills = page.locator("#versions .pill")
    pills.nth(1).wait_for()
    assert {text.split("\n")[0].split(" ")[1][:5] for text in pills.all_inner_texts()} == {"0.9.0", "1.0.0"}
    assert page.locator(".pill-latest").inner_text().startswith("API 0.9.0")
    assert "80 %" in page.locator("#tables-body tbody tr").first.inner_text()


def test_a_cluster_is_registered_with_the_keyboard_and_a_refusal_is_shown_in_place(page: Page, platform: Any) -> None:
    page.get_by_role("button", name="Register").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Name").fill("eu")
    page.get_by_label("Root of the warehouse").fill("file:///data")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("a cluster named eu is there already").wait_for()
    page.get_by_role("textbox", name="Name").fill("lab")
    page.keyboard.press("Enter")
    page.get_by_text("lab is registered. Scan it to find its small files.").wait_for()
    page.get_by_role("button", name="Scan lab").wait_for()
    assert [cluster["name"] for cluster in platform.clusters] == ["eu", "lab"]
    assert page.evaluate("document.activeElement.textContent").strip() == "Register"


def test_a_scan_is_started_and_its_end_is_told(page: Page, platform: Any) -> None:
    page.get_by_role("button", name="Scan eu").click()
    page.get_by_text("Scan 2 is asked for.").wait_for()
    page.locator("#scan-body").get_by_text("Waiting").wait_for()
    with platform.lock:
        platform.scans[-1] |= {"status": "success", "small_files": 1, "tables": 1, "files": 9}
    page.get_by_text("Scan 2 is done: 1 small file in 1 table.").wait_for()


def test_a_merge_is_proposed_confirmed_and_only_then_asked_for(page: Page, platform: Any) -> None:
    opener = page.get_by_role("button", name="sales.orders")
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name="Merge dt=2").click()
    assert page.locator("#merge-what").inner_text() == "sales.orders / dt=2"
    assert page.locator("#merge-size").inner_text() == "10 small files, 10 MiB together"
    assert platform.merges == []
    page.get_by_role("button", name="Start the merge").click()
    page.locator("#merge-body").get_by_text("Waiting").wait_for()
    assert [(task["table_name"], task["partition"]) for task in platform.merges] == [("orders", "dt=2")]
    page.locator(".grid-inner tbody tr").nth(1).get_by_text("Waiting").wait_for()
    assert page.get_by_role("button", name="Merge dt=1").is_visible()


def test_when_the_api_is_away_the_data_stays_and_comes_back(page: Page, platform: Any) -> None:
    platform.broken = 503
    page.get_by_role("button", name="Scan eu").click()
    page.get_by_text("The scan was not started: HTTP 503").wait_for()
    banner = page.locator(".banner-poor")
    banner.wait_for()
    assert re.search(r"HTTP 503\. What you see is of \d\d:\d\d:\d\d\.", banner.inner_text())
    assert page.get_by_role("button", name="sales.orders").is_visible()
    platform.broken = None
    banner.get_by_role("button", name="Try now").click()
    banner.wait_for(state="detached")


def test_a_first_visit_without_an_api_says_so(page: Page, platform: Any) -> None:
    platform.broken = 0
    page.reload()
    page.locator(".banner-poor").get_by_text("No connection to the API. Nothing was read yet.").wait_for()
    assert page.get_by_text("Not read yet", exact=True).count() == 4


def test_an_empty_platform_says_what_to_do(page: Page, platform: Any) -> None:
    platform.clusters, platform.scans, platform.tables = [], [], []
    page.reload()
    for text in ("No cluster yet", "No tables yet", "No scans yet", "No merges yet"):
        page.get_by_text(text).wait_for()


def test_a_hidden_page_asks_nothing(page: Page, platform: Any) -> None:
    hide = "(value) => Object.defineProperty(document, 'hidden', {value, configurable: true})"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    page.clock.install()  # the page's hour is not ours
    page.reload()
    page.get_by_role("button", name="sales.orders").wait_for()
    with page.expect_response("**/api/v1/tables*"):
        page.clock.fast_forward("00:11")
    page.get_by_text("Up to date").wait_for()
    page.evaluate(hide, True)
    page.evaluate(tell)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.clock.fast_forward("01:00:00")
    page.evaluate("fetch('/favicon.svg').then((answer) => answer.ok)")  # what came before it would stand before it
    assert asked == ["favicon.svg"]
    page.evaluate(hide, False)
    with page.expect_response("**/api/v1/tables*"):
        page.evaluate(tell)


def test_the_focus_stays_when_the_lists_are_brought_up_to_date(page: Page, platform: Any) -> None:
    page.get_by_role("button", name="sales.orders").focus()
    platform.add_table(1, "sales.worse", 90, 90, ("",))
    page.evaluate("document.querySelector('#table-order').dispatchEvent(new Event('change', {bubbles: true}))")
    page.get_by_role("button", name="sales.worse").wait_for()
    assert page.evaluate("document.activeElement.textContent").startswith("sales.orders")


def test_nothing_sticks_out_of_the_screen(page: Page, platform: Any) -> None:
    name, partition = "a_table_with_a_name_of_some_length_" * 3, "dt=2026-11-24/hour=23/part=x" * 4
    platform.add_merge(1, "sales", name, partition, "failed", error="RowMismatchError: 12 rows read, 11 written")
    platform.add_table(1, f"sales.{name}", 9, 9, (partition,))
    page.reload()
    page.locator("#tables-body .opener").nth(1).click()
    page.get_by_role("button", name="Merge dt=2026").wait_for()
    page.locator("#merge-body").get_by_text("Failed").wait_for()
    too_wide = "[...document.querySelectorAll('html, section')].filter((box) => box.scrollWidth > box.clientWidth + 1)"
    for width in (320, 640, 768, 1100, 1440):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate(f"{too_wide}.map((box) => box.innerText.slice(0, 60))") == [], width
