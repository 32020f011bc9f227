"""The table of deliverables names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
TABLE = TEXT[TEXT.index("| story | deliverable | here |") :]
ROWS = re.findall(r"^\| ([\d., ]+) \| `([^`]+)` \| `([^`]+)` \|$", TABLE, re.MULTILINE)


def test_the_table_has_every_story_that_is_done() -> None:
    assert {story for story, _, _ in ROWS} >= {"7.1", "7.2", "7.3", "7.6"}


@pytest.mark.parametrize("here", [here for _, _, here in ROWS])
def test_each_deliverable_is_where_the_table_says(here: str) -> None:
    assert (ROOT / here).exists()
