from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.sinks import dingtalk
from testbed.sinks.dingtalk import (
    OK,
    Answer,
    Request,
    Robot,
    Robots,
    Throttle,
    check_payload,
    check_signature,
)

NOW_S = 1_700_000_000.0
NOW_MS = 1_700_000_000_000
MARKDOWN = {
    "msgtype": "markdown",
    "markdown": {"title": "rolled back", "text": "### rolled back\n7.9 % errors"},
}


def request(payload: object = MARKDOWN, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "token": "testbed",
        "timestamp": str(NOW_MS),
        "sign": dingtalk.sign("SECtestbed", NOW_MS),
        "content_type": "application/json; charset=utf-8",
        "body": payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
    }
    return Request(**{**fields, **changes})


def judge(payload: object = MARKDOWN, robot: Robot | None = None, **changes: Any) -> Answer:
    return Robots({"testbed": robot or Robot("SECtestbed")}).judge(request(payload, **changes), NOW_S)


@pytest.mark.parametrize(
    ("secret", "timestamp", "expected"),
    [
        # Computed with: printf '%s\n%s' MS SECRET | openssl dgst -sha256 -hmac SECRET -binary | base64
        ("SECtestbed", 1_700_000_000_000, "I86HjFNhcdMmKfogBMSMxpMSYaQP7dK8pqlTgXGpA0I="),
        ("this is secret", 1_577_262_236_757, "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="),
    ],
)
def test_signature_vectors(secret: str, timestamp: int, expected: str) -> None:
    assert dingtalk.sign(secret, timestamp) == expected


@pytest.mark.skipif(shutil.which("openssl") is None, reason="compares with openssl")
def test_signature_agrees_with_another_implementation() -> None:
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "SECother", "-binary"],
        input=f"{NOW_MS}\nSECother".encode(),
        capture_output=True,
        check=True,
    ).stdout
    encoded = subprocess.run(["base64", "-w0"], input=digest, capture_output=True, check=True).stdout.decode()
    assert dingtalk.sign("SECother", NOW_MS) == encoded


@given(
    secret=st.text(st.characters(codec="ascii"), min_size=1),
    timestamp=st.integers(NOW_MS - 3_600_000, NOW_MS + 3_600_000),
)
def test_the_right_signature_is_taken(secret: str, timestamp: int) -> None:
    assert check_signature(secret, str(timestamp), dingtalk.sign(secret, timestamp), NOW_S) == OK


@given(position=st.integers(0, 43), letter=st.characters())
def test_any_changed_letter_of_the_signature_is_refused(position: int, letter: str) -> None:
    right = dingtalk.sign("SECtestbed", NOW_MS)
    wrong = right[:position] + letter + right[position + 1 :]
    answer = check_signature("SECtestbed", str(NOW_MS), wrong, NOW_S)
    assert answer == (OK if wrong == right else dingtalk.BAD_SIGN)


@given(secret=st.binary(min_size=1, max_size=60).map(lambda data: data.hex()), flip=st.integers(0))
def test_any_changed_bit_of_the_secret_is_refused(secret: str, flip: int) -> None:
    data = bytearray(secret, "ascii")
    data[flip % len(data)] ^= 1
    signature = dingtalk.sign(data.decode("ascii"), NOW_MS)
    assert check_signature(secret, str(NOW_MS), signature, NOW_S) == dingtalk.BAD_SIGN


@given(offset=st.integers(-3_600_000, 3_600_000).filter(bool))
def test_a_signature_holds_for_its_own_moment_only(offset: int) -> None:
    signature = dingtalk.sign("SECtestbed", NOW_MS)
    assert check_signature("SECtestbed", str(NOW_MS + offset), signature, NOW_S) == dingtalk.BAD_SIGN


@pytest.mark.parametrize(("offset_ms", "fresh"), [(0, True), (3_600_000, True), (3_600_001, False)])
@pytest.mark.parametrize("direction", [-1, 1])
def test_a_timestamp_is_good_for_an_hour_either_way(offset_ms: int, direction: int, fresh: bool) -> None:
    moment = NOW_MS + direction * offset_ms
    answer = check_signature("SECtestbed", str(moment), dingtalk.sign("SECtestbed", moment), NOW_S)
    assert answer == (OK if fresh else dingtalk.BAD_TIMESTAMP)


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1700000000", " 1700000000000", "1_700_000_000_000", "9" * 5000, "-1"]
)
def test_odd_timestamps_are_refused(timestamp: str) -> None:
    answer = check_signature("SECtestbed", timestamp, dingtalk.sign("SECtestbed", timestamp), NOW_S)
    assert answer == dingtalk.BAD_TIMESTAMP


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, OK),
        ({"token": None}, dingtalk.NO_TOKEN),
        ({"token": ""}, dingtalk.NO_TOKEN),
        ({"token": "other"}, dingtalk.UNKNOWN_TOKEN),
        ({"sign": None}, dingtalk.BAD_SIGN),
        ({"timestamp": None}, dingtalk.BAD_SIGN),
        ({"content_type": "text/plain"}, dingtalk.NOT_JSON_TYPE),
        ({"content_type": ""}, dingtalk.NOT_JSON_TYPE),
        ({"body": b""}, dingtalk.NO_JSON),
        ({"body": b"[]"}, dingtalk.NO_JSON),
        ({"body": b"{"}, dingtalk.NO_JSON),
        ({"body": b'{"msgtype": NaN}'}, dingtalk.NO_JSON),
        ({"body": b'{"msgtype": "\\ud800"}'}, dingtalk.NO_JSON),
        ({"body": b"[" * 10_000}, dingtalk.NO_JSON),
        ({"body": b'{"a":' * 100 + b"1" + b"}" * 100}, dingtalk.NO_JSON),
        ({"body": b" " * 20_001}, dingtalk.TOO_LONG),
    ],
)
def test_requests(changes: dict[str, Any], answer: Answer) -> None:
    assert judge(**changes) == answer


def test_codes_of_the_refusals() -> None:
    assert judge(token="other") == Answer(300005, "token is not exist")  # noqa: S106
    assert judge(sign="other") == Answer(310000, "sign not match")
    assert judge(timestamp="0") == Answer(310000, "invalid timestamp")
    assert judge(token=None).errcode == judge(body=b"").errcode == 40035


def test_a_robot_without_a_secret_asks_for_no_signature() -> None:
    assert judge(robot=Robot(""), sign=None, timestamp=None) == OK


def test_a_keyword_must_be_in_title_or_text() -> None:
    assert judge(robot=Robot("SECtestbed", ("alarm", "rolled back"))) == OK
    assert judge(robot=Robot("SECtestbed", ("alarm",))) == dingtalk.NO_KEYWORD


CARD = {"title": "a", "text": "b"}
GOOD: list[dict[str, Any]] = [
    MARKDOWN,
    {"msgtype": "text", "text": {"content": "a"}},
    {
        "msgtype": "text",
        "text": {"content": "a"},
        "at": {"atMobiles": ["138"], "atUserIds": [], "isAtAll": False},
    },
    {"msgtype": "text", "text": {"content": "a"}, "at": {"atMobiles": None}},
    {"msgtype": "link", "link": {"title": "a", "text": "b", "messageUrl": "http://c", "picUrl": ""}},
    {"msgtype": "actionCard", "actionCard": {**CARD, "singleTitle": "c", "singleURL": "http://d"}},
    {"msgtype": "actionCard", "actionCard": {**CARD, "btns": [{"title": "c", "actionURL": "http://d"}]}},
    {
        "msgtype": "feedCard",
        "feedCard": {"links": [{"title": "a", "messageURL": "http://b", "picURL": "http://c"}]},
    },
]


@pytest.mark.parametrize("payload", GOOD)
def test_every_msgtype_is_taken(payload: dict[str, Any]) -> None:
    assert check_payload(payload) == OK


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"msgtype": "text"}, "text"),
        ({"msgtype": "text", "text": "a"}, "text"),
        ({"msgtype": "text", "text": {"content": " "}}, "text.content"),
        ({"msgtype": "text", "text": {"content": 1}}, "text.content"),
        ({"msgtype": "markdown", "markdown": {"text": "a"}}, "markdown.title"),
        ({"msgtype": "markdown", "markdown": {"title": "a"}}, "markdown.text"),
        ({"msgtype": "link", "link": CARD}, "link.messageUrl"),
        ({"msgtype": "actionCard", "actionCard": CARD}, "actionCard.btns"),
        ({"msgtype": "actionCard", "actionCard": {**CARD, "btns": []}}, "actionCard.btns"),
        ({"msgtype": "actionCard", "actionCard": {**CARD, "btns": ["x"]}}, "actionCard.btns[0].title"),
        ({"msgtype": "actionCard", "actionCard": {**CARD, "singleTitle": "c"}}, "actionCard.singleURL"),
        ({"msgtype": "feedCard", "feedCard": {}}, "feedCard.links"),
        ({"msgtype": "feedCard", "feedCard": {"links": [CARD]}}, "feedCard.links[0].messageURL"),
        ({**MARKDOWN, "at": []}, "at"),
        ({**MARKDOWN, "at": {"atMobiles": "138"}}, "at.atMobiles"),
        ({**MARKDOWN, "at": {"atUserIds": [{}]}}, "at.atUserIds"),
        ({**MARKDOWN, "at": {"isAtAll": "yes"}}, "at.isAtAll"),
    ],
)
def test_a_missing_field_is_named(payload: dict[str, Any], field: str) -> None:
    answer = check_payload(payload)
    assert answer == Answer(400402, f"param {field} is missing or has a wrong format")


@pytest.mark.parametrize("kind", [None, "image", 1, ["text"], {}])
def test_an_unknown_msgtype_is_refused(kind: object) -> None:
    assert check_payload({"msgtype": kind, "text": {"content": "a"}}) == dingtalk.BAD_MSGTYPE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([*dingtalk.REQUIRED, "x"]),
    part=st.dictionaries(
        st.sampled_from(["content", "title", "text", "btns", "links", "singleTitle", "messageUrl"]),
        json_values,
    )
    | json_values,
    at=json_values,
)
def test_no_payload_breaks_the_rules_or_the_reader(kind: str, part: object, at: object) -> None:
    payload = {"msgtype": kind, kind: part, "at": at}
    assert isinstance(check_payload(payload), Answer)
    title, text = dingtalk.read(payload)
    assert isinstance(title, str)
    assert isinstance(text, str)


def test_title_and_text_are_what_a_person_reads() -> None:
    assert dingtalk.read(MARKDOWN) == ("rolled back", "### rolled back\n7.9 % errors")
    assert dingtalk.read(GOOD[1]) == ("a", "a")
    assert dingtalk.read(GOOD[4]) == ("a", "b\nhttp://c")
    assert dingtalk.read(GOOD[5]) == ("a", "b\n[c] http://d")
    assert dingtalk.read(GOOD[6]) == ("a", "b\n[c] http://d")
    assert dingtalk.read(GOOD[7]) == ("a http://b", "a http://b")
    assert dingtalk.read(None) == ("", "")


def test_the_twenty_first_message_of_a_minute_is_refused() -> None:
    throttle = Throttle()
    assert [throttle.admit("a", float(second)) for second in range(21)] == [True] * 20 + [False]


def test_a_message_counts_for_a_minute_and_no_longer() -> None:
    throttle = Throttle()
    assert all(throttle.admit("a", 0.0) for _ in range(20))
    assert throttle.admit("a", 60.0)
    late = Throttle()
    assert all(late.admit("a", 0.0) for _ in range(20))
    assert not late.admit("a", 59.999)


def test_too_many_messages_silence_the_robot_for_ten_minutes_and_no_other() -> None:
    throttle = Throttle()
    assert [throttle.admit("a", 0.0) for _ in range(21)][-1] is False
    assert throttle.admit("b", 0.0)
    assert not throttle.admit("a", 61.0)
    assert not throttle.admit("a", 599.999)  # trying does not prolong it
    assert throttle.admit("a", 600.0)


def test_refused_messages_do_not_count() -> None:
    robots = Robots({"testbed": Robot("SECtestbed")})
    for _ in range(30):
        assert not robots.judge(request(sign="wrong"), NOW_S).ok
        assert not robots.judge(request({"msgtype": "text"}), NOW_S).ok
    answers = [robots.judge(request(), NOW_S) for _ in range(21)]
    assert answers == [OK] * 20 + [Answer(130101, "send too fast, exceed 20 times per minute")]


def test_a_secret_is_in_no_representation() -> None:
    assert "SECtestbed" not in repr(Robot("SECtestbed"))
