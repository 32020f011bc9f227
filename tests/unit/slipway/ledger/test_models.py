from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from slipway.errors import RefusedError
from slipway.ledger.models import check_names, new_id


def test_an_id_says_what_when_and_where_in_utc() -> None:
    at = datetime(2026, 11, 25, 2, 20, tzinfo=timezone(timedelta(hours=8)))
    assert new_id("hive-platform", "1.0.0", "local", at, "ab12") == "hive-platform-1.0.0-local-20261124T182000Z-ab12"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("Hive", "1.0.0", "local", "r"), "The application cannot be recorded.\n  found  'Hive'\n"),
        (("hive", "1.0.0; rm -rf /", "local", "r"), "The version cannot be recorded.\n  found  '1.0.0; rm -rf /'\n"),
        (("hive", "{{ 7*7 }}", "local", "r"), "The version cannot be recorded.\n  found  '{{ 7*7 }}'\n"),
        (("hive", "1.0.0", "../etc", "r"), "The environment cannot be recorded.\n  found  '../etc'\n"),
        (("hive", "1.0.0", "local", "a\nb"), "The run id cannot be recorded.\n  found  'a\\nb'\n"),
        (("hive", "1.0.0\n", "local", "r"), "The version cannot be recorded.\n  found  '1.0.0\\n'\n"),
    ],
)
def test_refuses_names_that_are_more_than_names(names: tuple[str, str, str, str], text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_names(*names)
    assert str(refused.value).startswith(text)


def test_takes_usual_names() -> None:
    check_names("hive-platform", "1.0.0-rc.1+build.5", "staging-2", "manual__2026-11-24T18:20:00+00:00")
