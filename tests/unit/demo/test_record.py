"""What users met is counted from the moment on at which there was something to meet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from demo.record import Met, Request, met, read

if TYPE_CHECKING:
    from pathlib import Path


def request(at: float, status: int = 200, version: str = "1.0.0") -> Request:
    return Request(at, status, version, 0.01)


def test_counts_from_the_first_answer_of_any_version() -> None:
    nothing = [request(1, 404, ""), request(2, 0, "")]
    bad = [request(3), request(4, 500), request(5, 404, ""), request(6)]
    assert met(nothing + bad, 0, 10, "1.0.0") == Met(early=2, requests=4, failed=2, of_version=3, exposure_s=3)


def test_leaves_out_what_was_sent_before_or_after() -> None:
    assert met([request(1), request(2), request(3)], 2, 3, "1.0.0") == Met(0, 1, 0, 1, 0)


def test_knows_when_a_version_never_answered() -> None:
    assert met([request(1)], 0, 10, "1.0.1") == Met(0, 1, 0, 0, None)
    assert met([request(1, 404, "")], 0, 10, "1.0.1") == Met(1, 0, 0, 0, None)


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps([2, 200, "1.0.0", 0.1]) + "\n" + json.dumps([1, 500, "", 0.1]) + "\n[3, 20")
    assert read(path) == [Request(1, 500, "", 0.1), Request(2, 200, "1.0.0", 0.1)]
