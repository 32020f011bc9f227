"""What parsing costs: every task parses its DAG file again, so what a file imports is paid some twenty times a release.

Measured in a process of its own that has imported airflow.sdk, as Airflow's are when they come to a DAG file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

from tests.dags.home import ROOT, settings

HEAVY = (
    "kubernetes", "kubernetes_asyncio", "psycopg", "psycopg2", "scipy", "numpy", "lightkube", "matplotlib", "httpx2",
    "slipway.ledger.store", "slipway.flow", "slipway.hooks",
)  # fmt: skip
PROVIDERS = "airflow.providers."
ADMITTED = ("airflow.providers.standard.", "airflow.providers.common.compat.")
"""The question to a person is Airflow's own operator, and a DAG has to show it; it loads these two, and no client."""
LONGEST_S = 0.5
LARGEST_SHARE = 0.5
ROUNDS = 2
PROBE = """
import importlib.util, json, sys, time

started = time.perf_counter()
import airflow.sdk

for name in ("DAG", "Param", "task", "task_group", "BaseOperator", "get_current_context"):
    getattr(airflow.sdk, name)
sdk_s = time.perf_counter() - started
before = set(sys.modules)
started = time.perf_counter()
spec = importlib.util.spec_from_file_location("parsed", sys.argv[1])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
parse_s = time.perf_counter() - started
print(json.dumps({"sdk_s": sdk_s, "parse_s": parse_s, "added": sorted(set(sys.modules) - before)}))
"""


@dataclass(frozen=True)
class Parsed:
    """One parse.

    :param sdk_s: seconds for airflow.sdk itself.
    :param parse_s: seconds for the file, after it.
    """

    sdk_s: float
    parse_s: float
    added: tuple[str, ...]


def parse(name: str, home: Path) -> Parsed:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT / f"dags/{name}.py")],
        env=settings(home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return Parsed(found["sdk_s"], found["parse_s"], tuple(found["added"]))


def heavy(added: tuple[str, ...]) -> list[str]:
    """Return the modules that no DAG file may load: clients, drivers, operators of providers."""
    found = [one for one in added if one in HEAVY or one.startswith(tuple(f"{name}." for name in HEAVY))]
    foreign = [one for one in added if one.startswith(PROVIDERS) and not f"{one}.".startswith(ADMITTED)]
    return found + [one for one in foreign if one not in {"airflow.providers", "airflow.providers.common"}]


@pytest.mark.parametrize("name", ["release", "rollback", "watchdog"])
def test_a_parse_is_quick_and_loads_no_client(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [parse(name, tmp_path) for _ in range(ROUNDS)]

    # The quickest round: another process on this machine makes a parse slower, and never quicker.
    best = min(rounds, key=lambda one: one.parse_s)
    with capsys.disabled():
        print(
            f"\nparse of dags/{name}.py: {best.parse_s:.3f} s, {best.parse_s / best.sdk_s:.2f} x airflow.sdk "
            f"({best.sdk_s:.2f} s); {len(best.added)} modules"
        )
    assert heavy(best.added) == []
    assert best.parse_s < max(LONGEST_S, LARGEST_SHARE * best.sdk_s)


def test_the_probe_would_see_a_heavy_import(tmp_path: Path) -> None:
    """The same measurement of a file that does import a client: it is found."""
    (tmp_path / "dags").mkdir()
    file = tmp_path / "dags/heavy.py"
    file.write_text("import lightkube\n")

    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(file)], env=settings(tmp_path), capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip

    assert "lightkube" in json.loads(done.stdout.splitlines()[-1])["added"]
