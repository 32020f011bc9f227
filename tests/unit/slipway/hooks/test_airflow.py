"""Airflow's REST API as a client sees it: runs started, followed, and their failures in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from slipway.errors import ExternalError, RefusedError, SlipwayError, SpecError
from slipway.hooks import airflow as hook
from slipway.hooks.airflow import Airflow, Failure, Login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGIN = Login("https://airflow.test", "ann", "s3cret")


def task(name: str, state: str | None, start: str | None = "2026-11-24T12:00:00Z", index: int = -1) -> dict[str, Any]:
    return {
        "task_id": name, "state": state, "start_date": start, "map_index": index, "rendered_map_index": None,
        "try_number": 1,
    }  # fmt: skip


class Server:
    """What Airflow answers, by method and path; a list is answered one after the other, its last item for ever."""

    def __init__(self, **routes: Any) -> None:
        self.routes = routes
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": f"token{len(self.asked)}"})
        name = f"{request.method.lower()}_{request.url.path.rsplit('/', 1)[-1].replace('-', '_')}"
        answer = self.routes[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


@pytest.fixture
def connect() -> Iterator[Callable[[Server], Airflow]]:
    made: list[Airflow] = []

    def make(server: Server) -> Airflow:
        made.append(Airflow(LOGIN, transport=httpx.MockTransport(server)))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "LOOK_S", 0)


def test_a_run_is_started_with_its_id_and_parameters(connect: Callable[[Server], Airflow]) -> None:
    server = Server(get_release={"is_paused": False}, post_dagRuns={})

    connect(server).trigger("release", {"version": "1.0.0"}, "shop-1.0.0-1")

    posted = server.asked[-1]
    assert posted.url.path == "/api/v2/dags/release/dagRuns"
    assert json.loads(posted.content) == {
        "dag_run_id": "shop-1.0.0-1", "logical_date": None, "conf": {"version": "1.0.0"},
    }  # fmt: skip
    assert posted.headers["Authorization"] == "Bearer token1"
    assert [one.url.path for one in server.asked].count("/auth/token") == 1


def test_nothing_is_started_while_the_dag_is_switched_off(connect: Callable[[Server], Airflow]) -> None:
    server = Server(get_release={"is_paused": True})

    with pytest.raises(RefusedError, match="is paused"):
        connect(server).trigger("release", {}, "run")

    assert {one.method for one in server.asked if one.url.path != "/auth/token"} == {"GET"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, RefusedError), (400, SpecError), (422, SpecError), (404, RefusedError), (500, ExternalError)],
)
def test_a_refusal_is_of_the_kind_that_its_reason_is(
    connect: Callable[[Server], Airflow], status: int, kind: type[SlipwayError]
) -> None:
    server = Server(
        get_release={"is_paused": False}, post_dagRuns=httpx.Response(status, json={"detail": "Param version"})
    )

    with pytest.raises(kind) as caught:
        connect(server).trigger("release", {}, "run")

    assert type(caught.value) is kind
    assert "Param version" in str(caught.value.found)


def test_a_wrong_login_is_refused_and_the_password_never_shown() -> None:
    with (
        Airflow(LOGIN, transport=httpx.MockTransport(lambda _: httpx.Response(401, text="s3cret"))) as client,
        pytest.raises(RefusedError) as caught,
    ):
        client.trigger("release", {}, "run")

    assert "s3cret" not in str(caught.value) + repr(LOGIN)


def test_an_expired_token_is_renewed_once(connect: Callable[[Server], Airflow]) -> None:
    server = Server(get_release=[httpx.Response(401), {"is_paused": False}], post_dagRuns={})

    connect(server).trigger("release", {}, "run")

    assert [one.url.path for one in server.asked].count("/auth/token") == 2


def test_following_tells_each_change_once_and_ends_with_the_run(connect: Callable[[Server], Airflow]) -> None:
    server = Server(
        get_run=[{"state": "queued"}, {"state": "running"}, {"state": "failed"}],
        get_taskInstances=[
            {"task_instances": [task("b", None, None), task("a", "running")]},
            {"task_instances": [task("b", "queued", None), task("a", "success")]},
            {"task_instances": [task("b", "failed", "9"), task("a", "success"), task("c", "success", index=0)]},
        ],
    )  # fmt: skip

    told = list(connect(server).follow("release", "run"))

    assert [one for one in told if one != ("", "")] == [
        ("a", "running"), ("a", "success"), ("b", "queued"), ("c 0", "success"), ("b", "failed"), ("", "failed"),
    ]  # fmt: skip
    assert told.count(("", "")) == 2


def test_following_lives_through_a_restart_of_the_server(connect: Callable[[Server], Airflow]) -> None:
    server = Server(
        get_run=[httpx.ConnectError("refused"), httpx.Response(503, text="starting"), {"state": "success"}],
        get_taskInstances={"task_instances": []},
    )

    assert list(connect(server).follow("release", "run"))[-1] == ("", "success")


def test_a_silence_without_end_ends_the_watch(
    connect: Callable[[Server], Airflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "SILENCE_S", -1.0)

    with pytest.raises(ExternalError, match="does not answer"):
        list(connect(Server(get_run=httpx.ConnectError("refused"))).follow("release", "run"))


def test_a_deleted_run_ends_the_watch_at_once(connect: Callable[[Server], Airflow]) -> None:
    with pytest.raises(RefusedError, match="404"):
        list(connect(Server(get_run=httpx.Response(404, json={"detail": "404"}))).follow("release", "run"))


def test_the_id_of_a_run_stays_in_its_place(connect: Callable[[Server], Airflow]) -> None:
    server = Server(get_return_value={"value": "shop-1"})

    assert connect(server).xcom("release", "manual__2026-11-24T12:00:00+00:00/..", "plan") == "shop-1"
    assert b"manual__2026-11-24T12%3A00%3A00%2B00%3A00%2F.." in server.asked[-1].url.raw_path


def test_what_a_task_did_not_return_is_none(connect: Callable[[Server], Airflow]) -> None:
    assert connect(Server(get_return_value=httpx.Response(404))).xcom("release", "run", "plan") is None


def test_a_failure_is_told_in_the_words_of_its_exception(connect: Callable[[Server], Airflow]) -> None:
    detail = {"exc_type": "RefusedError", "exc_value": "Secret shop/secrets does not exist"}
    server = Server(
        get_taskInstances={
            "task_instances": [task("settle", "failed", "2"), task("check", "failed", "1"), task("a", "success")]
        },
        get_1=[
            {"content": [{"event": "begin"}, {"event": "Task failed", "error_detail": [detail]}, {"event": "end"}]},
            {"content": ["lines", "without form"]},
        ],
    )  # fmt: skip

    assert connect(server).failures("release", "run") == [
        Failure("check", "RefusedError", "Secret shop/secrets does not exist"), Failure("settle", "", ""),
    ]  # fmt: skip


def test_an_error_of_ours_is_told_in_its_own_sentence(connect: Callable[[Server], Airflow]) -> None:
    said = {"event": "Secret shop/secrets does not exist", "logger": "slipway.ending", "error": "RefusedError"}
    server = Server(
        get_taskInstances={"task_instances": [task("check", "failed", "1")]},
        get_1={"content": [{"event": "begin"}, said, {"event": "Task exited", "exit_code": 1}]},
    )

    assert connect(server).failures("release", "run") == [
        Failure("check", "RefusedError", "Secret shop/secrets does not exist")
    ]


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(RefusedError) as caught:
        Login.from_environment({"SLIPWAY_AIRFLOW_URL": "http://x", "SLIPWAY_AIRFLOW_USER": ""})

    assert caught.value.found == "not set: SLIPWAY_AIRFLOW_USER, SLIPWAY_AIRFLOW_PASSWORD"
