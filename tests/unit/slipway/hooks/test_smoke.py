"""The smoke test of one pod, over the API server's proxy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from slipway.errors import GateError
from slipway.hooks import smoke
from slipway.spec.release import SmokeCheck

if TYPE_CHECKING:
    from collections.abc import Callable

HEALTH = SmokeCheck(path="/health", fields={"status": "alive"})
VERSION = SmokeCheck(path="/api/v1/version", fields={"version": "$version"})


def client(answer: Callable[[httpx2.Request], httpx2.Response]) -> Any:
    """Return as much of lightkube's client as the smoke test uses."""
    http = httpx2.Client(base_url="https://api.test", transport=httpx2.MockTransport(answer))
    return SimpleNamespace(namespace="shop", _client=SimpleNamespace(_client=http))


def examine(answer: Callable[[httpx2.Request], httpx2.Response], *checks: SmokeCheck) -> list[str]:
    lines: list[str] = []
    smoke.examine(client(answer), "backend-1", 8000, checks, "1.0.0", lines.append)
    return lines


def test_every_check_is_asked_of_this_pod() -> None:
    paths = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        paths.append(request.url.path)
        return httpx2.Response(200, json={"status": "alive", "version": "1.0.0"})

    lines = examine(answer, HEALTH, VERSION)

    pod = "/api/v1/namespaces/shop/pods/backend-1:8000/proxy"
    assert paths == [f"{pod}/health", f"{pod}/api/v1/version"]
    assert [line.partition(" in ")[0] for line in lines] == ["backend-1 /health: 200", "backend-1 /api/v1/version: 200"]


def test_every_wrong_answer_is_listed() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/health"):
            return httpx2.Response(503, text="starting")
        return httpx2.Response(200, json={"version": "0.9.0"})

    with pytest.raises(GateError) as caught:
        examine(answer, HEALTH, VERSION)

    assert caught.value.found == (
        "/health: status 503 in place of 200: 'starting'; /api/v1/version: version is '0.9.0' and not '1.0.0'"
    )


@pytest.mark.parametrize("text", ["alive", "", "[]", "null", '"alive"', '{"status": {"alive": true}}'])
def test_an_answer_without_the_field_is_wrong(text: str) -> None:
    with pytest.raises(GateError, match="failed before any user met it"):
        examine(lambda _: httpx2.Response(200, text=text), HEALTH)


def test_a_field_is_found_by_its_path() -> None:
    check = SmokeCheck(path="/ready", fields={"database.revision": "0005", "ok": True})

    assert examine(lambda _: httpx2.Response(200, json={"database": {"revision": "0005"}, "ok": True}), check)
    with pytest.raises(GateError, match="failed before"):
        examine(lambda _: httpx2.Response(200, json={"database": None, "ok": True}), check)


def test_an_expected_refusal_is_good() -> None:
    assert examine(lambda _: httpx2.Response(401, text="no"), SmokeCheck(path="/admin", status=401))


def test_a_pod_that_does_not_answer_is_wrong_and_the_rest_is_still_asked() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/health"):
            raise httpx2.ReadTimeout("slow")
        return httpx2.Response(200, json={"version": "0.9.0"})

    with pytest.raises(GateError) as caught:
        examine(answer, HEALTH, VERSION)

    assert "ReadTimeout" in str(caught.value.found)
    assert "0.9.0" in str(caught.value.found)


def test_a_long_wrong_answer_is_cut() -> None:
    with pytest.raises(GateError) as caught:
        examine(lambda _: httpx2.Response(500, text="x" * 100_000), HEALTH)

    assert len(str(caught.value)) < 1000
