"""The project's own files as material: documents that are valid, to be broken in one place each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from slipway.errors import SpecError
from slipway.spec.catalog import Catalog
from slipway.spec.environment import Environment, load_environment
from slipway.spec.release import ReleaseSpec, load_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

ROOT = Path(__file__).parents[4]


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(ROOT)


@pytest.fixture
def environment_text() -> Callable[[str], str]:
    return lambda name: (ROOT / f"include/config/{name}.yaml").read_text()


@pytest.fixture
def load_changed(tmp_path: Path) -> Callable[..., Environment]:
    """Load an environment of the project after a change of its plain data."""

    def load(name: str, change: Callable[[dict[str, Any]], object], today: date | None = None) -> Environment:
        data = yaml.safe_load((ROOT / f"include/config/{name}.yaml").read_text())
        change(data)
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return load_environment(file, file.name, today=today)

    return load


@pytest.fixture
def refused(load_changed: Callable[..., Environment]) -> Callable[..., str]:
    """Return the text of the refusal of a changed environment."""

    def text(name: str, change: Callable[[dict[str, Any]], object], today: date | None = None) -> str:
        with pytest.raises(SpecError) as error:
            load_changed(name, change, today)
        return str(error.value)

    return text


@pytest.fixture
def load_spec(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], ReleaseSpec]:
    """Load the project's release spec after a change of its plain data."""

    def load(change: Callable[[dict[str, Any]], object]) -> ReleaseSpec:
        data = yaml.safe_load((ROOT / "include/releases/hive-platform.yaml").read_text())
        change(data)
        file = tmp_path / "hive-platform.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return load_release(file, file.name)

    return load
