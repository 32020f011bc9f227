from __future__ import annotations

import dataclasses
import os
import socket
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from runtime import start
from runtime.parts import PARTS
from testbed.errors import MachineError, StartError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings

API, SCHEDULER = PARTS[:2]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_refuses_a_busy_port_and_changes_nothing(chosen: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(MachineError) as refused:
            start.up(dataclasses.replace(chosen, port=port), Console(quiet=True))
    assert str(refused.value) == (
        f"port {port} of 127.0.0.1 is taken, and Airflow would listen there\n"
        "  found  Address already in use\n"
        f"  do     SLIPWAY_RUNTIME_PORT={port + 1}, or end what listens: ss -ltnp sport = :{port}"
    )
    assert not chosen.home.folder.exists()


def test_refuses_another_user(chosen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError) as refused:
        start.up(chosen, Console(quiet=True))
    assert str(refused.value) == (
        "Airflow runs as root here: tasks build images, and processes get namespaces of their own\n"
        "  found  user 1000\n"
        "  do     sudo make demo, or docker-compose.yaml, which needs no root"
    )


def test_refuses_a_dag_folder_that_is_not_there(chosen: Settings, tmp_path: Path) -> None:
    with pytest.raises(MachineError) as refused:
        start.up(dataclasses.replace(chosen, dags=tmp_path / "nowhere"), Console(quiet=True))
    assert str(refused.value) == (
        f"the folder with the DAG files does not exist: {tmp_path}/nowhere\n  do     set SLIPWAY_RUNTIME_DAGS=FOLDER"
    )


def test_says_when_there_is_no_postgresql_and_shows_no_password(chosen: Settings) -> None:
    with socket.socket() as held:  # bound, and nobody listens: a connection is refused for sure
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        away = dataclasses.replace(
            chosen, postgres=f"postgresql://root:hunter2@127.0.0.1:{port}/postgres", port=_free()
        )
        with pytest.raises(StartError) as refused:
            start.up(away, Console(quiet=True))
    text = str(refused.value)
    assert text.startswith(
        f"PostgreSQL on 127.0.0.1:{port} does not take connections, and Airflow keeps its state there\n  found  "
    )
    assert "hunter2" not in text


def test_down_without_postgresql_removes_the_files_and_says_what_stays(chosen: Settings) -> None:
    chosen.home.create()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        away = dataclasses.replace(chosen, postgres=f"postgresql://root@127.0.0.1:{port}/postgres")
        assert start.down(away) == (
            True,
            f"PostgreSQL on 127.0.0.1:{port} is gone already; if it comes back with its databases, call down again",
        )
        assert not chosen.home.folder.exists()
        assert start.down(away) == (False, "")


@pytest.mark.parametrize(
    ("health", "api", "scheduler"),
    [
        ({}, False, False),
        ({"metadatabase": "healthy"}, True, False),
        ({"metadatabase": "healthy", "scheduler": "healthy"}, True, True),
        ({"metadatabase": "unhealthy", "scheduler": "None"}, False, False),
    ],
    ids=["no answer", "no scheduler", "all", "no database"],
)
def test_a_part_is_well_when_the_api_server_says_so(health: dict[str, str], api: bool, scheduler: bool) -> None:
    assert (start.is_well(health, API), start.is_well(health, SCHEDULER)) == (api, scheduler)


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
