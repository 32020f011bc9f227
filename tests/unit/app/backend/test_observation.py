"""What leaves the process: logs, errors, series."""

from __future__ import annotations

import json
import logging
from itertools import pairwise

import pytest
from app.logs import JsonFormatter
from app.monitoring import prometheus_metrics as metrics
from app.monitoring.prometheus_metrics import buckets
from app.monitoring.sentry_integration import scrubber
from app.redaction import Redactor
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

SECRET = "correct-horse"  # noqa: S105
REDACTOR = Redactor([SecretStr(SECRET)])


@pytest.mark.parametrize("bounds", [metrics.REQUEST_BUCKETS, metrics.TASK_BUCKETS, buckets(1e-4, 1e5)])
def test_buckets_grow_by_at_most_ten_percent(bounds: tuple[float, ...]) -> None:
    ratios = [following / bound for bound, following in pairwise(bounds)]
    assert max(ratios) <= 1.1
    assert min(ratios) > 1.08, "finer than needed costs series"


def test_requests_are_measured_from_a_millisecond_to_half_a_minute() -> None:
    assert (metrics.REQUEST_BUCKETS[0], metrics.REQUEST_BUCKETS[-2] < 30 <= metrics.REQUEST_BUCKETS[-1]) == (
        0.001,
        True,
    )
    assert len(metrics.REQUEST_BUCKETS) < 120


def test_no_series_is_labelled_with_a_table() -> None:
    declared = [metric for metric in vars(metrics).values() if hasattr(metric, "_labelnames")]
    assert len(declared) > 15
    allowed = {"version", "component", "method", "route", "status", "task", "queue", "strategy"}
    assert {label for metric in declared for label in metric._labelnames} <= allowed


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"connecting to redis://:{SECRET}@h/0",
        "GET /x?token=abcdef0123",
        "Authorization: Bearer abcdef0123",
        "{'api_key': 'abcdef0123'}",
        "postgresql://u:abcdef0123@h",
    ],
)
def test_secrets_are_masked_in_text(text: str) -> None:
    masked = REDACTOR.text(text)
    assert SECRET not in masked
    assert "abcdef0123" not in masked
    assert "***" in masked


def test_a_refusal_stays_readable() -> None:
    sentence = "APP_DATABASE_PASSWORD: the secret is missing"
    assert REDACTOR.text(sentence) == sentence


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_a_known_secret_is_found_however_deep(tree: object) -> None:
    masked = REDACTOR.tree({"a": tree, "b": [f"x{SECRET}y", {"c": SECRET}]})
    assert SECRET not in json.dumps(masked)


def test_a_log_line_is_one_line_of_json_without_secrets() -> None:
    formatter = JsonFormatter("api", REDACTOR)
    try:
        raise ValueError(f"cannot log in with {SECRET}")  # noqa: TRY301
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "two\nlines", None, (type(error), error, None))
    record.__dict__["password"] = SECRET
    line = formatter.format(record)
    assert "\n" not in line
    assert SECRET not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["component"], parsed["message"]) == ("ERROR", "api", "two\nlines")


def test_an_error_report_has_no_personal_data_and_no_secret() -> None:
    event = {
        "release": "hive-platform@1.0.0",
        "user": {"ip_address": "10.1.2.3"},
        "request": {
            "method": "POST",
            "url": "https://h/api?token=1",
            "cookies": {"a": "b"},
            "headers": {"Authorization": "x"},
            "data": {"name": "Li Lei"},
            "query_string": "token=1",
        },
        "exception": {"values": [{"value": f"cannot connect with {SECRET}"}]},
        "extra": {"db_password": "hunter2"},
    }
    assert scrubber(REDACTOR)(event, {}) == {  # type: ignore[arg-type]
        "release": "hive-platform@1.0.0",
        "request": {"method": "POST", "url": "https://h/api"},
        "exception": {"values": [{"value": "cannot connect with ***"}]},
        "extra": {"db_password": "***"},
    }
