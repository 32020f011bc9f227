"""The runtime: a real Airflow comes up, works for its users, survives the death of its parts, and leaves nothing.

It is one of its own beside the one of this machine: another folder, port and other databases.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import psycopg
import pytest

from runtime import settings, tree
from testbed import proc
from tests.e2e.airflow import Airflow, Run, runtime
from tests.e2e.cluster import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path("/var/lib/slipway-runtime-e2e")
ENVIRON = {
    **os.environ,
    "SLIPWAY_RUNTIME_HOME": str(HOME),
    "SLIPWAY_RUNTIME_PORT": "8289",
    "SLIPWAY_RUNTIME_SUFFIX": "_e2e",
    "SLIPWAY_RUNTIME_DAGS": str(Path(__file__).parent / "dags_sample"),
}


@pytest.fixture(scope="module")
def up(bed: None) -> Iterator[str]:
    """The running Airflow, and what `up` said."""
    runtime("down", environ=ENVIRON)
    done = runtime("up", environ=ENVIRON)
    assert done.returncode == 0, done.stderr
    yield done.stdout
    runtime("down", environ=ENVIRON)


@pytest.fixture(scope="module")
def admin(up: str) -> Iterator[Airflow]:
    with Airflow.login("admin", ENVIRON) as session:
        yield session


def test_up_says_what_is_there_and_how_to_log_in(up: str) -> None:
    assert up.startswith("Airflow is up with 3 DAGs: ask, ping, wait (")
    assert "  open       http://127.0.0.1:8289\n" in up
    assert "  log in     admin, password " in up


def test_a_second_up_changes_nothing(admin: Airflow) -> None:
    before = tree.find(settings.read(ENVIRON).home)
    done = runtime("up", environ=ENVIRON)
    assert done.returncode == 0, done.stderr
    assert tree.find(settings.read(ENVIRON).home) == before
    assert runtime("status", environ=ENVIRON).returncode == 0


def test_a_shell_gets_the_settings_and_the_login_without_showing_a_secret(up: str) -> None:
    shown = runtime("env", environ=ENVIRON).stdout
    assert shown == f". {HOME}/environment\n"
    assert (HOME / "environment").stat().st_mode & 0o777 == 0o600
    assert HOME.stat().st_mode & 0o777 == 0o700


def test_a_run_goes_through_and_leaves_log_and_result(admin: Airflow) -> None:
    run = admin.trigger("ping", {"seconds": 0.1}, run_id="by-hand-1")
    assert run == Run("ping", "by-hand-1")
    assert admin.wait(run, within_s=40) == "success"
    assert admin.tasks(run) == {"answer": "success"}
    assert admin.xcom(run, "answer") == "pong"
    assert "pong after 0.1 s by local" in admin.log(run, "answer")


def test_what_the_form_refuses_is_refused_with_its_name(admin: Airflow) -> None:
    with pytest.raises(httpx.HTTPStatusError, match=r"400 .*seconds"):
        admin.trigger("ping", {"seconds": "soon"})


def test_a_viewer_may_look_and_not_trigger(admin: Airflow) -> None:
    with Airflow.login("viewer", ENVIRON) as viewer:
        assert len(viewer.get("/dags").json()["dags"]) == 3
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            viewer.trigger("ping")


def test_nobody_gets_in_without_a_login(admin: Airflow) -> None:
    url = settings.read(ENVIRON).url
    assert httpx.get(f"{url}/api/v2/dags", trust_env=False).status_code == 401
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        Airflow(url, "admin", "wrong")


def test_only_one_file_of_the_plugins_folder_is_loaded(admin: Airflow) -> None:
    found = admin.get("/plugins").json()["plugins"]
    assert [item["source"] for item in found] == ["$PLUGINS_FOLDER/slipway_plugin.py"]
    assert admin.get("/plugins/importErrors").json()["import_errors"] == []


def test_a_person_answers_a_question(admin: Airflow) -> None:
    run = admin.trigger("ask")
    admin.wait_for_task(run, "question", {"awaiting_input"}, within_s=40)
    admin.respond(run, "question", "No")
    assert admin.wait(run, within_s=40) == "success"
    assert admin.xcom(run, "reply") == "No"


def test_a_run_is_marked_failed_cleared_and_deleted(admin: Airflow) -> None:
    run = admin.trigger("ping", {"seconds": 4})
    admin.wait_for_task(run, "answer", {"running"}, within_s=40)
    admin.mark_failed(run)
    assert admin.state(run) == "failed"
    admin.clear(run)
    assert admin.wait(run, within_s=60) == "success"
    assert admin.tries(run, "answer") == 2
    admin.remove(run)
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        admin.state(run)


def test_a_run_ends_though_scheduler_and_triggerer_were_killed_in_it(admin: Airflow) -> None:
    works, waits = admin.trigger("ping", {"seconds": 10}), admin.trigger("wait")
    admin.wait_for_task(works, "answer", {"running"}, within_s=40)
    admin.wait_for_task(waits, "wait", {"deferred"}, within_s=40)
    inside = {process.pid for process in below() if "LocalExecutor" in command(process)}
    assert inside, "the comparison is blind: it does not even see the workers"

    for part in ("scheduler", "triggerer"):
        done = runtime("kill", part, environ=ENVIRON)
        assert done.returncode == 0, done.stderr
    # A task that lived on would run beside its own second try.
    eventually("no worker of the dead scheduler", lambda: all(proc.is_dead(pid) for pid in inside), within_s=5)

    assert admin.wait(works, within_s=90) == "success"
    assert admin.tries(works, "answer") == 2
    assert admin.wait(waits, within_s=90) == "success"
    eventually("all parts well", lambda: runtime("status", environ=ENVIRON).returncode == 0, within_s=40)


def test_one_sigkill_ends_everything_and_down_leaves_nothing(admin: Airflow) -> None:
    run = admin.trigger("ping", {"seconds": 600})
    admin.wait_for_task(run, "answer", {"running"}, within_s=40)
    everything = [process.pid for process in below()]
    running = tree.find(settings.read(ENVIRON).home)
    assert running
    assert len(everything) > 10, "the comparison is blind: it does not even see the workers"
    assert databases() == {"airflow_e2e", "slipway_ledger_e2e"}

    os.kill(running.pid, signal.SIGKILL)
    eventually("the end of all", lambda: all(proc.is_dead(pid) for pid in everything), within_s=5)
    status = runtime("status", environ=ENVIRON)
    assert status.returncode == 2
    assert status.stderr == "error: no Airflow is running\n  do     python -m runtime up\n"

    done = runtime("down", environ=ENVIRON)
    assert (done.returncode, done.stderr) == (0, "")
    assert not HOME.exists()
    assert databases() == set()
    assert roles() == set()
    again = runtime("down", environ=ENVIRON)
    assert (again.returncode, again.stdout) == (0, "no Airflow was running\n")


def test_a_busy_port_is_refused_before_anything_starts(bed: None) -> None:
    with socket.create_server(("127.0.0.1", 8289)):
        done = runtime("up", environ=ENVIRON)
    assert done.returncode == 3
    assert done.stderr.startswith("error: port 8289 of 127.0.0.1 is taken, and Airflow would listen there\n")
    assert not HOME.exists()
    assert databases() == set()


def test_a_database_of_somebody_else_is_neither_taken_nor_dropped(bed: None) -> None:
    name = "slipway_ledger_e2e"
    with psycopg.connect(settings.read(ENVIRON).postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            done = runtime("up", environ=ENVIRON)
            assert done.returncode == 2
            assert done.stderr.splitlines()[-2].startswith(f"error: the database {name} on ")
            assert runtime("down", environ=ENVIRON).returncode == 0
            assert databases() == {name}
            assert roles() == set()
        finally:
            connection.execute(f"DROP DATABASE {name}".encode())


def below() -> list[psutil.Process]:
    """Return every process of this Airflow."""
    running = tree.find(settings.read(ENVIRON).home)
    assert running
    return psutil.Process(running.pid).children(recursive=True)


def command(process: psutil.Process) -> str:
    """Return a process's command; empty when it has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def databases() -> set[str]:
    """Return this Airflow's databases."""
    return _names("SELECT datname FROM pg_database WHERE datname LIKE '%\\_e2e'")


def roles() -> set[str]:
    """Return this Airflow's roles."""
    return _names("SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_e2e'")


def _names(query: str) -> set[str]:
    with psycopg.connect(settings.read(ENVIRON).postgres) as connection:
        return {str(row[0]) for row in connection.execute(query.encode())}
