from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.notifications.text import Unit, line, number, paragraph, scrub, web_address


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0794, Unit.RATIO, "7.9 %"),
        (0.00042, Unit.RATIO, "0.04 %"),
        (0.0, Unit.RATIO, "0.0 %"),
        (1.0, Unit.RATIO, "100.0 %"),
        (0.84, Unit.SECONDS, "840 ms"),
        (7.42, Unit.SECONDS, "7.4 s"),
        (59.97, Unit.SECONDS, "1 min"),
        (125, Unit.SECONDS, "2 min 5 s"),
        (3780, Unit.SECONDS, "1 h 3 min"),
        (7200, Unit.SECONDS, "2 h"),
        (1, Unit.REQUESTS, "1 request"),
        (90_210, Unit.REQUESTS, "90,210 requests"),
        (99.96, Unit.PER_SECOND, "100.0/s"),
        (3, Unit.COUNT, "3"),
        (2.5, Unit.COUNT, "2.50"),
        (1e300, Unit.SECONDS, "1.00e+300"),
        (None, Unit.RATIO, "no data"),
        (float("nan"), Unit.COUNT, "no data"),
        (float("inf"), Unit.SECONDS, "no data"),
    ],
)
def test_numbers_have_units(value: float | None, unit: Unit, expected: str) -> None:
    assert number(value, unit) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connect to postgresql://hive:hu/nter2@db:5432/x", "connect to postgresql://***@db:5432/x"),
        ("connect to postgresql://hive:hunter2@db:5432/x", "connect to postgresql://***@db:5432/x"),
        ("at postgresql://u:p@ss@db/x", "at postgresql://***@db/x"),
        ("POST /robot/send?access_token=abc123&sign=x%2Fy%3D", "POST /robot/send?access_token=***&sign=***"),
        ("PGPASSWORD=hunter2 pg_dump", "PGPASSWORD=*** pg_dump"),
        ('{"api_key": "k-1", "n": 2}', '{"api_key": "***", "n": 2}'),
        ("Authorization: Bearer eyJhbGciOi.J9", "Authorization: Bearer ***"),
        ("https://hooks.slack.com/services/T0/B0/XyZ failed", "https://hooks.slack.com/services/T0/B0/*** failed"),
        ("secret SEC" + "0f" * 32, "secret SEC***"),
        ("password authentication failed for user hive", "password authentication failed for user hive"),
        ("design: blue; assign: alice", "design: blue; assign: alice"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, expected: str) -> None:
    assert scrub(text) == expected


def test_a_credential_is_not_cut_in_half_before_it_is_masked() -> None:
    assert line("x" * 80 + " postgresql://hive:hunter2@db/x", 100) == "x" * 80 + " postgresql://***@d…"


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_line_is_one_printable_line_within_its_limit(text: str, limit: int) -> None:
    made = line(text, limit)
    assert len(made) <= limit
    assert made.isprintable()


@given(st.text(alphabet=st.sampled_from("ab \r\n\x0b\x0c\x85\u2028\u2029\x00")))
def test_a_paragraph_keeps_only_plain_line_breaks(text: str) -> None:
    made = paragraph(text, 200)
    assert all(row and row.isprintable() for row in made.split("\n") if made)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://grafana.example.com/d/x?var-a=1&b=(2)#t", "https://grafana.example.com/d/x?var-a=1&b=%282%29#t"),
        ("https://user:pw@grafana.example.com/d", "https://grafana.example.com/d"),
        ("https://x.example.com/?token=abc", "https://x.example.com/?token=***"),
        ("https://x.example.com/a|b>c d", "https://x.example.com/a%7Cb%3Ec%20d"),
        ("http://[::1]:8080/ü", "http://[::1]:8080/%C3%BC"),
        ("javascript:alert(1)", None),
        ("ftp://x.example.com", None),
        ("https://", None),
        ("https://x.example.com:8080/a@b", "https://x.example.com:8080/a%40b"),
        ("https://[broken", None),
        ("", None),
    ],
)
def test_only_web_addresses_without_credentials_become_links(url: str, expected: str | None) -> None:
    assert web_address(url) == expected
