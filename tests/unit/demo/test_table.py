"""The table of the demo is whole in a pipe, which has 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from demo.record import Met
from demo.table import Outcome, table


def test_nothing_is_cut_off_in_eighty_columns() -> None:
    outcomes = [
        Outcome("0.9.0", "first install", "PROMOTED", "PROMOTED", 57, Met(2246, 2288, 0, 9, 1), None, "", Path("x")),
        Outcome("1.0.1", "fails 20 % of its requests", "ROLLED_BACK", "ROLLBACK_FAILED", 56, Met(0, 14477, 9, 40, 3.9),
                12.9, "CANARY_UNAVAILABLE", Path("x")),
    ]  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=80).print(table(outcomes))
    text = out.getvalue()
    for part in (
        "PROMOTED", "0 of 2,288", "2,246 requests before the first version was there", "ROLLBACK_FAILED",
        "CANARY_UNAVAILABLE", "not ROLLED_BACK", "9 of 14,477", "3.9 s", "12.9 s",
    ):  # fmt: skip
        assert part in text, text
