"""``up``: from whatever is there to an Airflow that has parsed its DAGs; ``down``: to nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx
import psycopg

from runtime import dags, database, environment, keys, supervision, tree
from runtime.api import Api, Parsed
from runtime.parts import PARTS
from testbed.build.files import digest
from testbed.build.progress import Progress
from testbed.errors import MachineError, StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from runtime.keys import Keys
    from runtime.parts import Part
    from runtime.settings import Settings

READY_S = 120.0
PARSE_S = 120.0
MIGRATE_S = 600
POLL_S = 0.2
HEALTHY = "healthy"
DATABASES, SCHEMA, DAGS = "databases", "schema of Airflow's database", "DAG files parsed"
EXPECTED_S = {DATABASES: 1.0, SCHEMA: 6.0, **{part.title: part.starts_s for part in PARTS}, DAGS: 2.0}
"""The seconds that each step takes on two cores, for the progress."""


def up(settings: Settings, console: Console) -> Parsed:
    """Bring Airflow up, or find that it is up; what was configured otherwise is started anew.

    :param console: where to show the progress.
    :return: the DAGs that it has parsed.
    :raises TestbedError: what is in the way, and what to do about it.
    """
    _check_machine(settings)
    settings.home.check()
    running = tree.find(settings.home)
    if running is None:
        _check_port(settings)
    settings.home.create()
    kept = keys.keep(settings.home)
    config = supervision.configuration(settings.home)
    variables = environment.for_parts(settings, kept, os.environ)
    fingerprint = digest(environment.variables(settings, kept), config, version("apache-airflow"))
    progress = Progress(console, "Airflow", EXPECTED_S)
    with progress.shown():
        with progress.step(DATABASES):
            names = {settings.metadata: kept.metadata, settings.ledger: kept.ledger}
            missing = database.ensure(settings.postgres, names)
        is_new = settings.metadata in missing
        if running and (running.fingerprint != fingerprint or is_new):
            tree.end(settings.home)
            running = None
        with progress.step(SCHEMA):
            _migrate(settings, variables, is_new=is_new)
        since = datetime.fromtimestamp(0, UTC) if running else datetime.now(UTC)
        if running is None:
            keys.write(settings.home.supervisord, config)
            keys.write(settings.home.environment, environment.for_shell(settings, kept))
            tree.start(settings.home, variables, fingerprint)
        return _wait(settings, kept, progress, since)


def down(settings: Settings) -> tuple[bool, str]:
    """End Airflow, and remove its databases and its files.

    :return: whether there was anything, and what could not be removed, in a sentence.
    :raises TestbedError: the processes do not end, or the folder is not ours.
    """
    settings.home.check()
    ended = tree.end(settings.home)
    left = ""
    dropped: list[str] = []
    try:
        dropped = database.drop(settings.postgres, (settings.metadata, settings.ledger))
    except psycopg.OperationalError:
        if ended or settings.home.folder.exists():
            where = database.place(settings.postgres)
            left = f"PostgreSQL on {where} is gone already; if it comes back with its databases, call down again"
    removed = settings.home.remove()
    return ended or removed or bool(dropped), left


def _check_machine(settings: Settings) -> None:
    if os.geteuid() != 0:
        raise MachineError(
            "Airflow runs as root here: tasks build images, and processes get namespaces of their own",
            found=f"user {os.geteuid()}",
            do="sudo make demo, or docker-compose.yaml, which needs no root",
        )
    if not shutil.which("unshare"):
        raise MachineError("the program unshare is missing", do="apt-get install util-linux")
    if not settings.dags.is_dir():
        raise MachineError(
            f"the folder with the DAG files does not exist: {settings.dags}", do="set SLIPWAY_RUNTIME_DAGS=FOLDER"
        )


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError as error:
            raise MachineError(
                f"port {settings.port} of 127.0.0.1 is taken, and Airflow would listen there",
                found=error.strerror or str(error),
                do=f"SLIPWAY_RUNTIME_PORT={settings.port + 1}, or end what listens: ss -ltnp sport = :{settings.port}",
            ) from error


def _migrate(settings: Settings, variables: Mapping[str, str], *, is_new: bool) -> None:
    """Prepare Airflow's database, unless this Airflow has done it before: to find that out takes five seconds."""
    wanted = version("apache-airflow")
    done = settings.home.schema.read_text(encoding="utf-8") if settings.home.schema.is_file() else ""
    if done == wanted and not is_new:
        return
    settings.home.schema.unlink(missing_ok=True)
    log = settings.home.logs / "migrate.log"
    with log.open("wb") as output:
        code = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(variables),
            timeout=MIGRATE_S,
            check=False,
        ).returncode
    if code:
        raise StartError(
            f"Airflow's database could not be prepared: airflow db migrate ended with {code}",
            found=tree.last_lines(log),
            do="python -m runtime down, then python -m runtime up",
        )
    keys.write(settings.home.schema, wanted)


def _wait(settings: Settings, kept: Keys, progress: Progress, since: datetime) -> Parsed:
    with Api(settings.url, "admin", kept.logins["admin"]) as api:
        for part in PARTS:
            with progress.step(part.title):
                _wait_for_part(settings, api, part)
        with progress.step(DAGS):
            return _wait_for_dags(settings, api, since)


def _wait_for_part(settings: Settings, api: Api, part: Part) -> None:
    deadline = time.monotonic() + READY_S
    while not is_well(api.health(), part):
        if tree.find(settings.home) is None or time.monotonic() > deadline:
            raise StartError(
                f"Airflow's {part.title} is not well after {READY_S:g} s",
                found=tree.last_lines(settings.home.logs / f"{part.name}.log"),
                do=f"python -m runtime logs {part.name}",
            )
        time.sleep(POLL_S)


def is_well(health: Mapping[str, str], part: Part) -> bool:
    """Say whether a part is well, going by what the API server says.

    :param health: by Airflow's name of the part; empty when it does not answer.
    """
    return health.get(part.health or "metadatabase") == HEALTHY


def _wait_for_dags(settings: Settings, api: Api, since: datetime) -> Parsed:
    wanted = set(dags.files(settings.dags))
    deadline = time.monotonic() + PARSE_S
    while True:
        try:
            parsed = api.parsed(since)
        except httpx.TransportError:  # the answer of a machine that is busy; the deadline decides
            parsed = Parsed(frozenset(), (), {})
        if parsed.errors:
            raise StartError(
                f"{len(parsed.errors)} of the DAG files in {settings.dags} cannot be imported",
                found="\n".join(f"{name}: {text.strip().splitlines()[-1]}" for name, text in parsed.errors.items()),
                do=f"mend them; Airflow runs, reads them again by itself, and shows the whole trace on {settings.url}",
            )
        if wanted <= parsed.files:
            return parsed
        if time.monotonic() > deadline:
            raise StartError(
                f"Airflow found no DAG in some files of {settings.dags} within {PARSE_S:g} s",
                found=", ".join(sorted(wanted - parsed.files)),
                do="define a DAG there, or begin its name with an underscore; python -m runtime logs dag-processor",
            )
        time.sleep(POLL_S)
