"""The HTTP interface without PostgreSQL and Redis: on SQLite, with a broker that is down."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from unittest.mock import patch

import httpx
import pytest
from app.api.application import create_app
from app.api.middleware import SPARED
from app.db.models import Base
from app.release import current_release
from app.settings import load_settings
from sqlalchemy import create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi import FastAPI


class Client:
    """Calls the application in this process."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def call(self, method: str, path: str, **options: object) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **options)  # type: ignore[arg-type]

        return asyncio.run(send())

    def get(self, path: str) -> httpx.Response:
        return self.call("GET", path)

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.call("POST", f"/api/v1/{path}", json=body)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[object]:
    engines = []

    def made(pool: dict[str, int] | None = None, **changed: str) -> Client:
        environment = {
            "APP_DATABASE_URL": f"sqlite:///{tmp_path}/test.db",
            "APP_REDIS_URL": "redis://127.0.0.1:1/0",
            "APP_REDIS_TIMEOUT_S": "0.2",
            "APP_STORAGE_ROOTS": "file:///warehouse",
            **changed,
        }
        with patch.dict(os.environ, environment):
            current_release.cache_clear()
            settings = load_settings()
            current_release()
        engine = create_engine(settings.database_url, **(pool or {}))
        engines.append(engine)
        Base.metadata.create_all(engine)
        return Client(create_app(settings, engine))

    yield made
    for engine in engines:
        engine.dispose()


def test_health_needs_nothing(make) -> None:
    assert make().get("/health").json() == {"status": "alive"}


def test_ready_lists_every_problem(make) -> None:
    answer = make().get("/ready")
    assert answer.status_code == 503
    assert [problem.split(":")[0] for problem in answer.json()["problems"]] == ["wrong database", "redis"]


def test_a_scan_that_the_broker_does_not_take_waits_in_its_row(make) -> None:
    client = make()
    cluster = client.post("clusters", name="c1", root_url="file:///warehouse/a")
    assert cluster.status_code == 201
    task = client.post("scan-tasks", cluster_id=cluster.json()["id"])
    assert (task.status_code, task.json()["status"]) == (202, "pending")
    assert client.get("/api/v1/scan-tasks").json()["items"][0]["id"] == task.json()["id"]


def test_a_partition_is_merged_once_at_a_time(make) -> None:
    client = make()
    cluster = client.post("clusters", name="c1", root_url="file:///warehouse/a").json()
    wanted = {"cluster_id": cluster["id"], "database_name": "d", "table_name": "t", "partition": "p=1"}
    assert client.post("merge-tasks", **wanted).status_code == 202
    again = client.post("merge-tasks", **wanted)
    assert (again.status_code, again.json()["detail"]) == (409, "merge task 1 of this partition is not finished")


@pytest.mark.parametrize(
    "changed",
    [{"database_name": "../x"}, {"table_name": ".hidden"}, {"partition": "a=1/../b=2"}, {"partition": "/etc"}],
)
def test_names_that_lead_out_of_the_warehouse_are_refused(make, changed: dict[str, str]) -> None:
    body = {"cluster_id": 1, "database_name": "d", "table_name": "t", **changed}
    assert make().post("merge-tasks", **body).status_code == 422


@pytest.mark.parametrize("kind", ["clusters", "scan-tasks", "merge-tasks"])
@pytest.mark.parametrize("number", ["1", "0", "-1", str(2**70)])
def test_what_is_not_there_is_404(make, kind: str, number: str) -> None:
    assert make().get(f"/api/v1/{kind}/{number}").status_code == 404


def test_a_cluster_s_name_is_taken_once(make) -> None:
    client = make()
    assert client.post("clusters", name="c1", root_url="file:///warehouse/a").status_code == 201
    assert client.post("clusters", name="c1", root_url="file:///warehouse/b").status_code == 409


@pytest.mark.parametrize(("version", "features"), [("0.9.0", []), ("1.0.0", ["small-file-ratio"])])
def test_each_version_says_what_it_can_do(make, version: str, features: list[str]) -> None:
    client = make(APP_VERSION=version)
    answer = client.get("/api/v1/version")
    assert (answer.json()["version"], answer.json()["features"]) == (version, features)
    assert answer.headers["x-app-version"] == version
    assert client.get("/api/v1/tables?order=ratio").status_code == (200 if features else 422)


def test_a_fault_rate_of_one_fails_requests_and_no_probe(make) -> None:
    client = make(APP_FAULT_ERROR_RATE="1", APP_VERSION="1.0.1")
    first = [client.get("/api/v1/version").status_code for _ in range(SPARED)]
    assert first == [200] * SPARED, "a smoke test sees nothing of a drill"
    assert client.get("/api/v1/version").status_code == 500
    assert client.get("/health").status_code == 200
    wanted = 'http_requests_total{method="GET",route="/api/v1/version",status="500",version="1.0.1"} 1.0'
    assert wanted in client.get("/metrics").text


def test_strange_paths_and_methods_make_one_series(make) -> None:
    client = make()
    for number in range(5):
        client.call("BREW", f"/coffee/{number}")
    text = client.get("/metrics").text
    assert 'method="OTHER",route="(unmatched)",status="404"' in text
    assert "coffee" not in text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api/v1/docs"])
def test_the_interface_is_not_described_to_strangers(make, path: str) -> None:
    assert make().get(path).status_code == 404


def test_many_requests_share_one_connection(make) -> None:
    """A route that kept its connection until its answer is written would starve: nobody is left to write it."""
    client = make(pool={"pool_size": 1, "max_overflow": 0, "pool_timeout": 5})

    async def all_at_once() -> list[int]:
        transport = httpx.ASGITransport(client.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as many:
            answers = await asyncio.gather(*(many.get("/api/v1/clusters") for _ in range(100)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(all_at_once()) == [200] * 100
