from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime import start
from runtime.api import Api, Parsed
from testbed.errors import StartError

if TYPE_CHECKING:
    from runtime.settings import Settings

SINCE = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEFORE, AFTER = "2026-11-24T11:59:59Z", "2026-11-24T12:00:01Z"
DAG = "from airflow.sdk import dag\n"


def serve(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[httpx.Request]:
    """Answer in place of Airflow; a value that is a number is a status."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        value = answers[request.url.path]
        return httpx.Response(value) if isinstance(value, int) else httpx.Response(200, json=value)

    original = httpx.Client.__init__

    def with_answers(self: httpx.Client, **options: Any) -> None:
        original(self, **{**options, "transport": httpx.MockTransport(answer)})

    monkeypatch.setattr(httpx.Client, "__init__", with_answers)
    return asked


def airflow(dags: list[dict[str, Any]], errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "/auth/token": {"access_token": "t0ken"},
        "/api/v2/dags": {"dags": dags},
        "/api/v2/importErrors": {"import_errors": errors},
    }


def parsed(name: str, at: str | None) -> dict[str, Any]:
    return {"dag_id": name, "relative_fileloc": f"{name}.py", "last_parsed_time": at}


def test_knows_what_was_parsed_since_and_not_what_is_left_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    old_error = {"filename": "old.py", "timestamp": BEFORE, "stack_trace": "x"}
    answers = airflow([parsed("fresh", AFTER), parsed("old", BEFORE), parsed("never", None)], [old_error])
    asked = serve(monkeypatch, answers)
    with Api("http://airflow", "admin", "pw") as api:
        assert api.parsed(SINCE) == Parsed(frozenset({"fresh.py"}), ("fresh",), {})
        api.parsed(SINCE)
    assert [request.url.path for request in asked].count("/auth/token") == 1
    assert all(request.headers["Authorization"] == "Bearer t0ken" for request in asked[1:])


@pytest.mark.parametrize("answer", [500, 404, {"scheduler": {"status": None}}])
def test_an_answer_that_is_none_is_no_health(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    serve(monkeypatch, {"/api/v2/monitor/health": answer})
    with Api("http://airflow", "", "") as api:
        assert "healthy" not in api.health().values()


def test_waits_until_every_file_is_parsed(monkeypatch: pytest.MonkeyPatch, chosen: Settings) -> None:
    folder(chosen, "release.py")
    asked = 0

    class Slow(Api):
        def parsed(self, since: datetime) -> Parsed:
            nonlocal asked
            assert since == SINCE
            asked += 1
            return Parsed(frozenset({"release.py"} if asked == 3 else set()), ("release",), {})

    monkeypatch.setattr(start, "POLL_S", 0)
    with Slow("http://airflow", "", "") as api:
        assert start._wait_for_dags(chosen, api, SINCE).dags == ("release",)
    assert asked == 3


def test_names_the_file_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, chosen: Settings) -> None:
    folder(chosen, "release.py")
    trace = "Traceback (most recent call last):\n  ...\nImportError: no module named slipwey\n"
    serve(monkeypatch, airflow([], [{"filename": "release.py", "timestamp": AFTER, "stack_trace": trace}]))
    with Api("http://airflow", "admin", "pw") as api, pytest.raises(StartError) as refused:
        start._wait_for_dags(chosen, api, SINCE)
    assert str(refused.value) == (
        f"1 of the DAG files in {chosen.dags} cannot be imported\n"
        "  found  release.py: ImportError: no module named slipwey\n"
        "  do     mend them; Airflow runs, reads them again by itself, and shows the whole trace on http://127.0.0.1:8282"
    )


def test_names_the_file_without_a_dag(monkeypatch: pytest.MonkeyPatch, chosen: Settings) -> None:
    folder(chosen, "release.py", "empty.py")
    serve(monkeypatch, airflow([parsed("release", AFTER)], []))
    monkeypatch.setattr(start, "PARSE_S", 0)
    with Api("http://airflow", "admin", "pw") as api, pytest.raises(StartError) as refused:
        start._wait_for_dags(chosen, api, SINCE)
    assert str(refused.value) == (
        f"Airflow found no DAG in some files of {chosen.dags} within 0 s\n"
        "  found  empty.py\n"
        "  do     define a DAG there, or begin its name with an underscore; python -m runtime logs dag-processor"
    )


def folder(chosen: Settings, *names: str) -> None:
    for name in names:
        (chosen.dags / name).write_text(DAG, encoding="utf-8")
