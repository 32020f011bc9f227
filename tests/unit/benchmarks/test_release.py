"""What was measured in parts is joined, judged by its median, and set beside the peer's; nothing is measured here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks import release
from benchmarks.figures import Figure, Target
from benchmarks.release import EXPOSURE, FAILED, ORDER, PARSE, Book, Judge, Part

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "deep/kept.jsonl")


def test_each_figure_has_a_name_of_its_own() -> None:
    assert len({target.what for target in ORDER}) == len(ORDER)


def test_parts_that_were_measured_one_after_the_other_are_joined(book: Book) -> None:
    target = EXPOSURE[Judge.SLIPWAY_5]
    for value in (5.0, 12.0, 6.0):
        book.keep(target, value, 1.25)

    (figure,) = release.figures(book.values())

    assert (figure.values, figure.verdict, figure.limit) == ((5.0, 12.0, 6.0), "PASS", "median <= 9 s")
    row = release.document(book.values()).splitlines()[4]
    assert "min 5.00, median 6.00, max 12.0 s (n=3); load 1.2 | PASS" in row


def test_a_median_above_the_limit_misses_it(book: Book) -> None:
    for value in (5.0, 12.0, 9.5):
        book.keep(EXPOSURE[Judge.SLIPWAY_5], value, 1.0)

    assert [figure.verdict for figure in release.figures(book.values())] == ["MISS"]


def test_the_worst_run_counts_where_no_median_was_asked_for() -> None:
    assert Figure(Target("what", "s", 9, "how"), (5.0, 12.0, 6.0), "2026-11-24").verdict == "MISS"


def test_a_part_that_begins_anew_forgets_its_own_values_alone(book: Book, tmp_path: Path) -> None:
    book.keep(EXPOSURE[Judge.ARGO], 12.0, 1.0)
    book.keep(PARSE["release"], 0.1, 1.0)

    book.forget(Part.DETECTION)

    assert set(book.values()) == {PARSE["release"].what}
    kept = (tmp_path / "deep/kept.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["value"] for line in kept] == [0.1]


def test_the_peer_is_compared_only_when_all_three_were_measured(book: Book) -> None:
    for judge, seconds, failed in ((Judge.SLIPWAY_5, 6.0, 12), (Judge.SLIPWAY_1, 4.0, 8)):
        book.keep(EXPOSURE[judge], seconds, 1.0)
        book.keep(FAILED[judge], failed, 1.0)
    assert release.ratios(book.values()) == ""

    book.keep(EXPOSURE[Judge.ARGO], 12.0, 1.0)
    book.keep(FAILED[Judge.ARGO], 24, 1.0)

    rows = release.ratios(book.values()).splitlines()
    assert rows[2] == f"| {Judge.SLIPWAY_5} | 6.0 | 2.0 | 12 | 2.0 |"
    assert rows[3] == f"| {Judge.SLIPWAY_1} | 4.0 | 3.0 | 8 | 3.0 |"
