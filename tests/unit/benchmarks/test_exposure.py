"""What users met of a version is read from their own record, and never from too little of it."""

from __future__ import annotations

import pytest

from benchmarks.exposure import Exposure, exposure, last_answer_after
from tests.e2e.load import Answer

ANSWERS = [
    Answer(10.0, 200, "new", 0.1),
    Answer(11.0, 500, "new", 0.2),
    Answer(12.0, 200, "old", 0.1),
    Answer(13.0, 500, "new", 0.1),
    Answer(14.0, 200, "new", 0.5),
    Answer(15.0, 0, "", 10.0, "timeout"),
    Answer(16.0, 200, "old", 0.1),
]


def test_exposure_is_first_bad_to_last_answer_of_the_version() -> None:
    assert exposure(ANSWERS, "new") == Exposure(pytest.approx(3.3), 3, 4)


def test_a_version_without_failures_exposed_nobody() -> None:
    assert exposure(ANSWERS, "old") == Exposure(None, 3, 2)


def test_the_last_answer_counts_from_the_command_to_the_end_of_the_answer() -> None:
    assert last_answer_after(ANSWERS, "new", 13.5) == pytest.approx(1.0)
    assert last_answer_after(ANSWERS, "new", 14.9) == 0.0


def test_a_version_that_did_not_serve_before_proves_no_rollback() -> None:
    with pytest.raises(ValueError, match="did not serve before"):
        last_answer_after(ANSWERS, "new", 10.0)


def test_the_last_answer_is_one_that_was_asked_for() -> None:
    with pytest.raises(ValueError, match="nobody asked after"):
        last_answer_after(ANSWERS[:5], "new", 13.5)
