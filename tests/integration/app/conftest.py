"""The backend application against a real PostgreSQL and a real Redis, both started here in a temporary folder.

Run with:
    .cache/app-backend-venv/bin/python -m pytest -c include/app/backend/pyproject.toml tests/integration/app
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from waiting import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

HOW = (
    "tests/integration/app: NOT run by this environment; run: .cache/app-backend-venv/bin/python -m pytest "
    "-c include/app/backend/pyproject.toml tests/integration/app"
)
IS_OUR_ENVIRONMENT = all(importlib.util.find_spec(name) for name in ("app", "celery", "psycopg"))
BACKEND = Path(__file__).parents[3] / "include/app/backend"
PG_BIN = Path("/usr/lib/postgresql/15/bin")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path.name.startswith("test_") and not IS_OUR_ENVIRONMENT else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not IS_OUR_ENVIRONMENT:
        terminalreporter.write_line(HOW)


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """Start PostgreSQL as the user postgres (it refuses root) and end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="app-pg-"))
    shutil.chown(folder, "postgres")
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data, port = folder / "data", free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60"

    def run(program: str, *arguments: str) -> None:
        command = [*as_postgres, str(PG_BIN / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    run("initdb", "-D", str(data), "-U", "hive", "--auth=trust", "--no-sync")
    run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield port
    run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: _listens(port), 10, "redis-server")
    yield port
    server.terminate()
    server.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Platform:
    """One database of the test, one Redis, and the processes of the application on them."""

    backend = BACKEND

    def __init__(self, postgres_port: int, redis_port: int, folder: Path) -> None:
        self.port, self.redis_port, self.folder = postgres_port, redis_port, folder
        self.closing = ExitStack()
        self.processes: list[subprocess.Popen[str]] = []
        self.environment: dict[str, str] = {}
        self.use(self.create_database())

    def use(self, database: str) -> None:
        self.database = database
        self.environment = {
            "APP_ENVIRONMENT": "development",
            "APP_VERSION": "1.0.0",
            "APP_DATABASE_URL": self.url(database),
            "APP_REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "APP_STORAGE_ROOTS": f"file://{self.folder}",
            "APP_DRAIN_S": "0.5",
            "APP_SCAN_SMALL_FILE_BYTES": "1000",
        }

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://hive@127.0.0.1:{self.port}/{database}"

    def admin(self, statement: str) -> None:
        import psycopg

        address = f"host=127.0.0.1 port={self.port} user=hive dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, template: str = "template1") -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine

        return create_engine(self.url(self.database), poolclass=NullPool)

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=BACKEND, env=self._env(changed), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def migrate(self, version: str = "1.0.0") -> None:
        done = self.run("app.migrate", APP_VERSION=version)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *arguments: str, log: str = "log", **changed: str) -> subprocess.Popen[str]:
        with (self.folder / log).open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=BACKEND, env=self._env(changed), stdout=output, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def log(self, name: str = "log") -> str:
        return (self.folder / name).read_text()

    def end(self) -> None:
        self.closing.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)

    def _env(self, changed: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        return {**kept, **self.environment, **changed}


@pytest.fixture
def platform(postgres_port: int, redis_port: int, tmp_path: Path) -> Iterator[Platform]:
    import redis

    with redis.Redis(port=redis_port) as broker:
        broker.flushall()
    made = Platform(postgres_port, redis_port, tmp_path)
    yield made
    made.end()
