from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from slipway.errors import RefusedError
from slipway.names import EventKind
from slipway.report import charts, files, html, markdown, words
from slipway.report.dossier import assemble

from .records import ID, Recorder, bad, good

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> {{ 7*7 }} </table> | a | b |\n# title\n"
    "[click](https://evil.example) ![x](http://evil.example/p.png) @everyone `code` **bold** \u202egnp.exe \x1b[31m"
)


class Page(HTMLParser):
    """The tags, the attributes and the text of a page, and of each element with text of its own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")], "an event handler"

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("td", "dd", "dt", "th") else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_everything_that_the_ledger_knows() -> None:
    dossier = assemble(bad())
    page = Page(html.render(dossier, charts.draw(dossier)))
    text = " ".join(page.text.split())
    for said in (
        "hive-platform 1.0.1 in local", "✕ ROLLED BACK", ID, "Merge faster", "hive-platform 1.0.0 in local",
        "grace, 2026-11-24 18:20:01 UTC: after lunch", "2 min 40 s", "sha256:" + "a" * 64, "142.3 MB",
        "WAIVED CVE-2026-1234 in libssl: not reachable (by grace, until 2026-12-01)",
        "FAIL ERROR_RATE: 20 % of the requests failed, limit 5 %", "32 of 160 (20 %)", "4 of 1,440 (0.278 %)",
        "213 ms / 201 ms", "evidence needed log10 3.4", "9, unchanged", "50.5 s at up to 10 %", "32 of 460 (6.96 %)",
        "Aborted at 18:22:28 UTC by slipway, rule ERROR_RATE: 20 % > 5 %.",
        "all proved after 11.4 s, last response of the new version after 2.1 s; within the budget of 1 min 0 s",
        "+2.6 s truth proved", "7f3a -> 9c1d", "errcode 0", "connection refused", "Every event (19)",
        "All 19 events are unchanged; head",
    ):  # fmt: skip
        assert said in text, said


def test_the_page_stands_alone() -> None:
    dossier = assemble(bad())
    page = Page(html.render(dossier, charts.draw(dossier)))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(address.startswith("#") for address in page.addresses)
    assert page.tags.count("svg") == 1


@pytest.mark.parametrize("place", ["summary", "payload", "actor", "key", "verdict", "link"])
def test_foreign_text_is_only_text(place: str) -> None:
    def here(name: str) -> str:
        return HOSTILE if place == name else "x"

    recorder = Recorder(change_summary=here("summary"), link=here("link"))
    recorder.tell(1, EventKind.WAIVED, {"what": here("payload")})
    recorder.tell(2, EventKind.NOTED, {here("key"): 1}, actor=here("actor"))
    recorder.sample(3, HOSTILE, canary_requests=1, weight=10)
    if place == "verdict":
        recorder.verdict(4, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    dossier = assemble(recorder.record())
    page = Page(html.render(dossier, charts.draw(dossier)))
    assert not {"script", "img", "a", "iframe"} & set(page.tags)
    shown = markdown.render(dossier)
    for text in (page.text, shown):
        assert "\u202e" not in text
        assert "\x1b" not in text
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    for raw in ("<script", "<img", "](https://", "://", "@everyone", "`code`", "**bold**"):
        assert raw not in shown, raw


def test_each_row_of_a_markdown_table_has_the_cells_of_its_head() -> None:
    recorder = Recorder(change_summary=HOSTILE)
    recorder.tell(1, EventKind.NOTED, {"a|b\\": "c\\|d"}, actor="x|\\")
    width = 0
    for line in markdown.render(assemble(recorder.record())).splitlines():
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        assert cells in (0, width) or width == 0
        width = cells


def test_the_markdown_says_the_same() -> None:
    text = markdown.render(assemble(bad()), "x.svg")
    for said in (
        "# hive-platform 1.0.1 in local: ✕ ROLLED BACK", "> **WAIVED** CVE-2026-1234 in libssl",
        "| **decided by** | FAIL ERROR_RATE: 20 % of the requests failed, limit 5 % |", "](<x.svg>)",
        "| 18:22:28 | ROLLING_BACK | 11.4 s | slipway |", "## Going back", "| +0.2 s | rollback started |",
        "| 18:22:29 | aborted | email | failed | 1 | connection refused |", "All 19 events are unchanged",
    ):  # fmt: skip
        assert said in text, said


def test_a_broken_chain_is_said_first_and_loudly() -> None:
    from dataclasses import replace

    record = bad()
    broken = replace(record, events=(replace(record.events[0], actor="eve"), *record.events[1:]))
    dossier = assemble(broken)
    said = "The hash chain is broken: event 1 was changed"
    shown = markdown.render(dossier)
    assert shown.index(said) < shown.index("## Timeline")
    page = html.render(dossier)
    assert page.index(said) < page.index("<dl>")
    assert "unchanged; head" not in page + shown


def test_a_release_without_samples_has_no_charts_and_says_what_is_not_known() -> None:
    dossier = assemble(Recorder().record())
    assert charts.draw(dossier) is None
    page = html.render(dossier)
    assert "<svg" not in page
    for said in ("No user has met this version.", "No verdict was recorded.", "No image was recorded.",
                 "Nobody was notified.", "not yet ended"):  # fmt: skip
        assert said in page
        assert said in markdown.render(dossier)


def test_the_charts_show_both_versions_the_weights_and_the_verdicts() -> None:
    svg = charts.draw(assemble(bad()))
    assert svg is not None
    text = " ".join("".join(ET.fromstring(svg.decode()).itertext()).split())  # noqa: S314 - our own drawing
    for said in ("new version", "stable", "✕ FAIL ERROR_RATE", "10 %", "limit 5 %", "limit 1.5 x stable", "observed"):
        assert said in text, said
    assert charts.CANARY.lower() in svg.decode()
    assert charts.STABLE.lower() in svg.decode()
    good_svg = charts.draw(assemble(good()))
    assert good_svg is not None
    assert good_svg.decode().count("✓ PASS") == 2
    assert {f"{weight} %" for weight in (10, 50, 100)} <= set(re.findall(r">(\d+ %)<", good_svg.decode()))


def test_the_same_dossier_is_the_same_picture() -> None:
    assert charts.draw(assemble(bad())) == charts.draw(assemble(bad()))


def test_charts_are_told_in_words_too() -> None:
    assert charts.alternative(assemble(bad())) == (
        "Charts over time for new and stable version: error rate of the new version at most 20 %, "
        "its P95 at most 222 ms, its weight at most 10 %."
    )


def test_one_sample_and_unknown_numbers_can_be_drawn() -> None:
    recorder = Recorder()
    recorder.sample(1, "canary-10", canary_requests=None, canary_p95_s=None)
    svg = charts.draw(assemble(recorder.record()))
    assert svg is not None
    assert b"<svg" in svg


def test_writes_the_files_side_by_side(tmp_path: Path) -> None:
    written = files.save(assemble(bad()), tmp_path / "dossiers")
    assert sorted(path.name for path in (tmp_path / "dossiers").iterdir()) == [f"{ID}.html", f"{ID}.md", f"{ID}.svg"]
    assert f"](<{ID}.svg>)" in written.markdown.read_text()
    assert files.save(assemble(Recorder().record()), tmp_path).charts is None
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedError, match="cannot be written to"):
        files.save(assemble(bad()), tmp_path / "file")


def test_nothing_heavy_is_loaded_before_something_is_drawn() -> None:
    code = (
        "import sys; import slipway.report.files, slipway.report.dossier, slipway.cli.report;"
        "sys.exit(bool({'matplotlib', 'psycopg', 'airflow', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0.35, "0.35 s"), (3, "3 s"), (7.54, "7.5 s"), (59.96, "1 min 0 s"), (200, "3 min 20 s"),
     (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_durations_in_words(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


def test_long_foreign_text_is_cut() -> None:
    assert words.clean("x" * 2_500) == "x" * 2_000 + " ... (500 characters more)"
