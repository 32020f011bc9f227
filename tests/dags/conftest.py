"""Airflow as a library: a folder and a database of its own, set before the first import; nothing is asked outside."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dags.home import ROOT, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import DAG

FILES = sorted(path for path in (ROOT / "dags").glob("*.py") if not path.name.startswith("_"))


_HOME = Path(tempfile.mkdtemp(prefix="slipway-tests-dags-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(settings(_HOME))


def dags_of(path: Path) -> list[DAG]:
    """Import a DAG file by its path, as Airflow does and anew each time, and return the DAGs that register."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    name = f"tests_dags_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    DagContext.current_autoregister_module_name = name
    DagContext.autoregistered_dags.clear()
    try:
        spec.loader.exec_module(module)
        return sorted((dag for dag, _ in DagContext.autoregistered_dags), key=lambda dag: dag.dag_id)
    finally:
        DagContext.current_autoregister_module_name = None
        del sys.modules[name]


@pytest.fixture(scope="session")
def parsed() -> dict[str, list[DAG]]:
    """Return the DAGs of every file by the file's name."""
    return {path.stem: dags_of(path) for path in FILES}


@pytest.fixture(scope="session")
def dags(parsed: dict[str, list[DAG]]) -> dict[str, DAG]:
    """Return every DAG of dags/ by its id."""
    return {dag.dag_id: dag for found in parsed.values() for dag in found}


@pytest.fixture
def parse() -> Callable[[str], DAG]:
    """Return what parses a file anew."""

    def again(name: str) -> DAG:
        (dag,) = dags_of(ROOT / f"dags/{name}.py")
        return dag

    return again
