"""Settings for the unit tests: a testbed that does not run, and a folder of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import settings

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a runtime in a folder of the test's own."""
    for name in ("SLIPWAY_KUBECONTEXT", "SLIPWAY_TESTBED_RANGE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dags").mkdir()
    monkeypatch.setenv("SLIPWAY_TESTBED_STATE", str(tmp_path / "testbed"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {"SLIPWAY_RUNTIME_HOME": str(tmp_path / "runtime"), "SLIPWAY_RUNTIME_DAGS": str(tmp_path / "dags")}


@pytest.fixture
def chosen(environ: dict[str, str]) -> Settings:
    """The settings that these variables make."""
    return settings.read(environ)
