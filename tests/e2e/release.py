"""The demo as the tests run it, from nothing, and what it leaves to look at."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import psycopg

from testbed import sandbox
from tests.e2e.airflow import runtime
from tests.e2e.cluster import HOME, kubectl, network

NAMESPACE = "hive-local"
DATABASE = "hive_platform"
DEMO_S = 900


@dataclass(frozen=True)
class Demo:
    """What `python -m demo` said, and the environment that it ran in."""

    code: int
    text: str
    environment: dict[str, str]

    def release_id(self, version: str) -> str:
        """Return the ledger's id of a version's release: its dossier lies in a folder of that name."""
        found = re.search(rf"hive-platform-{re.escape(version)}-local-\w+-\w+", self.text)
        assert found, f"no dossier of {version} in\n{self.text}"
        return found.group()


def drop_what_the_demo_made() -> None:
    runtime("down")
    if sandbox.find(HOME) is None:
        return  # with the testbed, everything else has gone
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    dsn = f"postgresql://postgres:testbed@{network().control}:5432/postgres"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def sourced(command: str) -> dict[str, str]:
    """Return the environment after a line of shell that the runtime printed."""
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    show = f"{command.strip()}; exec {shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    done = subprocess.run(["bash", "-ec", show], check=True, capture_output=True, text=True, timeout=30)
    return dict(json.loads(done.stdout))


def play() -> Demo:
    """Set Airflow up and run the demo, whatever was there before."""
    drop_what_the_demo_made()
    up = runtime("up")
    assert up.returncode == 0, up.stderr
    environment = sourced(runtime("env").stdout)
    played = subprocess.run(
        [sys.executable, "-m", "demo"], env=environment, text=True, capture_output=True, timeout=DEMO_S, check=False
    )
    print(played.stdout, played.stderr)
    return Demo(played.returncode, played.stdout, environment)
