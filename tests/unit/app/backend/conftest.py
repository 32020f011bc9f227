"""Tests of the backend application, which has an environment of its own (include/app/backend/requirements-dev.txt).

Run them with:
    .cache/app-backend-venv/bin/python -m pytest -c include/app/backend/pyproject.toml tests/unit/app/backend
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOW = (
    "tests/unit/app/backend: NOT run by this environment; run: .cache/app-backend-venv/bin/python -m pytest "
    "-c include/app/backend/pyproject.toml tests/unit/app/backend"
)
IS_OUR_ENVIRONMENT = all(importlib.util.find_spec(name) for name in ("app", "celery", "psycopg"))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path.name.startswith("test_") and not IS_OUR_ENVIRONMENT else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not IS_OUR_ENVIRONMENT:
        terminalreporter.write_line(HOW)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take away every setting of the shell that runs the tests."""
    for name in [name for name in os.environ if name.upper().startswith("APP_")]:
        monkeypatch.delenv(name)
    from app.release import current_release

    current_release.cache_clear()
    yield
    current_release.cache_clear()
