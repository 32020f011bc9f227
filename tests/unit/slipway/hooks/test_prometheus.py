"""Prometheus through a transport that answers as its API does, and as a broken one would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx
import pytest
from slipway.errors import MetricsError
from slipway.hooks.prometheus import Prometheus, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> Prometheus:
    return Prometheus(httpx.Client(base_url="https://prometheus.test", transport=httpx.MockTransport(answer)))


def vector(*series: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [1764000000.25, value]} for labels, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_an_instant_query_is_posted_with_its_moment_and_a_limit() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, parse_qs(request.content.decode())))
        return httpx.Response(200, json=vector())

    assert answering(answer).ask('up{job="a"}', at=AT) == []
    assert asked == [
        ("POST", "/api/v1/query", {"query": ['up{job="a"}'], "timeout": ["4s"], "time": [f"{AT.timestamp():.3f}"]})
    ]


def test_series_come_with_sorted_labels_and_without_their_name() -> None:
    body = vector(({"status": "200", "__name__": "requests", "pod": "a"}, "17"), ({"pod": "b"}, "NaN"))

    first, second = answering(lambda _: httpx.Response(200, json=body)).ask("requests")

    assert first == Sample((("pod", "a"), ("status", "200")), 17.0)
    assert (first.label("pod"), first.label("nothing")) == ("a", "")
    assert first.without("status") == (("pod", "a"),)
    assert second.value != second.value


def test_a_value_that_is_no_number_is_no_scalar() -> None:
    for value in ("NaN", "+Inf"):
        body = vector(({}, value))
        assert answering(lambda _, body=body: httpx.Response(200, json=body)).scalar("x") is None  # type: ignore[misc]
    assert answering(lambda _: httpx.Response(200, json=vector())).scalar("x") is None
    assert answering(lambda _: httpx.Response(200, json=vector(({}, "3.5")))).scalar("x") == 3.5


def test_a_scalar_of_two_series_is_refused() -> None:
    with pytest.raises(MetricsError, match="more than one value"):
        answering(lambda _: httpx.Response(200, json=vector(({"a": "1"}, "1"), ({"a": "2"}, "1")))).scalar("x")


@pytest.mark.parametrize("kind", ["matrix", "scalar", "string"])
def test_another_type_of_result_is_a_wrong_query(kind: str) -> None:
    body = {"status": "success", "data": {"resultType": kind, "result": []}}

    with pytest.raises(MetricsError, match=f"gives a {kind} and not a vector"):
        answering(lambda _: httpx.Response(200, json=body)).ask("up[5m]")


def test_a_refused_query_is_shown_with_the_servers_words() -> None:
    body = {"status": "error", "errorType": "bad_data", "error": "1:4: parse error: unexpected end of input"}

    with pytest.raises(MetricsError) as caught:
        answering(lambda _: httpx.Response(400, json=body)).ask("sum(" * 200)

    assert caught.value.found == "1:4: parse error: unexpected end of input"
    assert len(caught.value.what) < 400


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Sign in</html>"),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(200, content=b"\xff\xfe\x00"),
        httpx.Response(200, text=""),
    ],
)
def test_something_that_is_no_json_is_not_an_answer(answer: httpx.Response) -> None:
    with pytest.raises(MetricsError, match="no JSON"):
        answering(lambda _: answer).ask("up")


@pytest.mark.parametrize("body", [[], "no", None, {"status": "success"}, {"status": "success", "data": {}}])
def test_json_of_another_shape_is_not_an_answer(body: object) -> None:
    with pytest.raises(MetricsError):
        answering(lambda _: httpx.Response(200, json=body)).ask("up")


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")]
)
def test_silence_blames_no_canary(error: httpx.HTTPError) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(MetricsError, match="does not answer") as caught:
        answering(answer).ask("up")

    assert "no canary is blamed" in str(caught.value)
