from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.sinks import slack
from testbed.sinks.slack import OK, Answer, Pace, Request, Webhooks, check_blocks, check_payload


def text(value: str, kind: str = "mrkdwn") -> dict[str, Any]:
    return {"type": kind, "text": value}


def header(length: int) -> dict[str, Any]:
    return {"type": "header", "text": text("h" * length, "plain_text")}


def section(length: int = 1, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": text("s" * length), **more}


def fields(count: int, length: int = 1) -> dict[str, Any]:
    return {"type": "section", "fields": [text("f" * length) for _ in range(count)]}


def request(payload: object, **changes: Any) -> Request:
    values: dict[str, Any] = {
        "team": "T0",
        "service": "B0",
        "token": "testbed",
        "content_type": "application/json",
        "body": payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
    }
    return Request(**{**values, **changes})


def webhooks() -> Webhooks:
    return Webhooks(["T0/B0/testbed"], ["#releases", "#alerts"])


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, OK),
        ({"team": "T1"}, Answer(404, "no_service")),
        ({"service": "B1"}, Answer(404, "no_service")),
        ({"token": "wrong"}, Answer(403, "invalid_token")),
        ({"body": b""}, Answer(400, "invalid_payload")),
        ({"body": b"text"}, Answer(400, "invalid_payload")),
        ({"body": b'"text"'}, Answer(400, "invalid_payload")),
        ({"body": b"\xff"}, Answer(400, "invalid_payload")),
        ({"body": b"{}"}, Answer(400, "no_text")),
        ({"body": b'{"text": ""}'}, Answer(400, "no_text")),
        ({"body": b'{"text": "a", "channel": "#nowhere"}'}, Answer(404, "channel_not_found")),
        ({"body": b'{"text": "a", "channel": "#alerts"}'}, OK),
        ({"body": b'{"text": "a", "channel": "alerts"}'}, OK),
    ],
)
def test_requests(changes: dict[str, Any], answer: Answer) -> None:
    assert webhooks().judge(request({"text": "a"}, **changes), 0.0) == answer


def test_a_form_carries_the_payload_too() -> None:
    form = "application/x-www-form-urlencoded"
    body = urllib.parse.urlencode({"payload": json.dumps({"text": "a & b"})}).encode()
    assert slack.parse(form, body) == {"text": "a & b"}
    assert slack.parse(form, b"payload") is None
    assert slack.parse(form, b"other=1") is None
    assert slack.parse(form, b"\xff=1") is None


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ({"text": "a" * 40_000}, OK),
        ({"text": "a" * 40_001}, slack.TOO_LONG),
        ({"text": 1}, slack.INVALID_PAYLOAD),
        ({"text": "a", "attachments": {}}, slack.INVALID_PAYLOAD),
        ({"blocks": []}, slack.NO_TEXT),
        ({"blocks": [section()]}, OK),
        ({"attachments": [{"text": "a"}] * 100}, OK),
        ({"attachments": [{"text": "a"}] * 101}, slack.TOO_MANY_ATTACHMENTS),
        ({"attachments": [{"blocks": [header(151)]}]}, slack.INVALID_BLOCKS),
        ({"text": "a", "blocks": {"type": "divider"}}, slack.INVALID_BLOCKS),
    ],
)
def test_payloads(payload: dict[str, Any], answer: Answer) -> None:
    assert check_payload(payload) == answer


@pytest.mark.parametrize(
    ("block", "good"),
    [
        (header(1), True),
        (header(150), True),
        (header(151), False),
        (header(0), False),
        ({"type": "header", "text": text("a", "mrkdwn")}, False),
        (section(3_000), True),
        (section(3_001), False),
        (section(0), False),
        ({"type": "section"}, False),
        (section(text="a"), False),
        (fields(10), True),
        (fields(11), False),
        (fields(0), False),
        (fields(1, 2_000), True),
        (fields(1, 2_001), False),
        ({"type": "context", "elements": [text("a")] * 10}, True),
        ({"type": "context", "elements": [text("a")] * 11}, False),
        ({"type": "context", "elements": [{"type": "image", "image_url": "u", "alt_text": "a"}]}, True),
        ({"type": "context", "elements": ["a"]}, False),
        ({"type": "image", "image_url": "u", "alt_text": "a"}, True),
        ({"type": "image", "image_url": "u"}, False),
        ({"type": "actions", "elements": [{"type": "button"}] * 25}, True),
        ({"type": "actions", "elements": [{"type": "button"}] * 26}, False),
        ({"type": "markdown", "text": "m" * 12_000}, True),
        ({"type": "markdown", "text": "m" * 12_001}, False),
        ({"type": "rich_text", "elements": []}, True),
        ({"type": "divider"}, True),
        ({"type": "divider", "block_id": "i" * 255}, True),
        ({"type": "divider", "block_id": "i" * 256}, False),
        ({"type": "unknown"}, False),
        ({"type": ["header"]}, False),
        ({}, False),
        ("header", False),
    ],
)
def test_limits_of_a_block(block: object, good: bool) -> None:
    assert check_blocks([block]) == (OK if good else slack.INVALID_BLOCKS)


def test_limits_of_all_blocks_together() -> None:
    assert check_blocks([{"type": "divider"}] * 50) == OK
    assert check_blocks([{"type": "divider"}] * 51) == slack.INVALID_BLOCKS
    assert check_blocks([{"type": "divider", "block_id": "same"}] * 2) == slack.INVALID_BLOCKS
    assert check_blocks([section(3_000)] * 4 + [section(1_200)]) == OK
    assert check_blocks([section(3_000)] * 4 + [section(1_201)]) == Answer(400, "msg_blocks_too_long")


def test_a_burst_goes_and_then_one_a_second() -> None:
    pace = Pace()
    assert [pace.wait_s("a", 0.0) for _ in range(6)] == [0, 0, 0, 0, 0, 1]
    assert pace.wait_s("b", 0.0) == 0
    assert pace.wait_s("a", 0.5) == 1
    assert pace.wait_s("a", 1.0) == 0
    assert pace.wait_s("a", 1.0) == 1
    assert [pace.wait_s("a", 100.0) for _ in range(6)] == [0, 0, 0, 0, 0, 1]


@given(st.lists(st.integers(0, 3_000), max_size=60))
def test_no_stretch_of_time_holds_more_than_the_burst_and_one_a_second(gaps_ms: list[int]) -> None:
    pace, now, sent = Pace(), 0, []
    for gap in gaps_ms:
        now += gap
        if not pace.wait_s("a", now / 1000):
            sent.append(now)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            assert last - first + 1 <= slack.BURST + (sent[last] - sent[first]) / 1000 + 1e-6


def test_too_fast_says_when_to_come_back() -> None:
    hooks = webhooks()
    answers = [hooks.judge(request({"text": "a"}), 0.0) for _ in range(6)]
    assert answers == [OK] * 5 + [Answer(429, "rate_limited", retry_after_s=1)]


def test_title_and_text_are_what_a_person_reads() -> None:
    payload = {"text": "notification", "blocks": [section(1), header(2), fields(2), {"type": "divider"}]}
    assert slack.read(payload) == ("hh", "s\nhh\nf\nf")
    assert slack.read({"text": "first\nsecond"}) == ("first", "first\nsecond")
    attachment = {
        "title": "FIRING",
        "text": "7.9 %",
        "fields": [{"title": "to", "value": "me"}],
        "fallback": "x",
    }
    assert slack.read({"attachments": [attachment]}) == ("FIRING", "FIRING\n7.9 %\nto: me")
    assert slack.read({"attachments": [{"fallback": "x", "blocks": [section(1)]}]}) == ("s", "s\nx")
    assert slack.read(None) == ("", "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "fields", "elements", "block_id", "title"]), inner)
    ),
    max_leaves=10,
)


@given(
    kind=st.sampled_from(["header", "section", "context", "image", "markdown"]),
    block=json_values,
    rest=json_values,
)
def test_no_payload_breaks_the_rules_or_the_reader(kind: str, block: object, rest: object) -> None:
    typed = {**block, "type": kind} if isinstance(block, dict) else block
    payload = {"blocks": [typed], "attachments": rest, "text": rest, "channel": rest}
    assert isinstance(check_payload(payload), Answer)
    title, body = slack.read(payload)
    assert isinstance(title + body + webhooks().channel(payload), str)
