"""What integration tests of images share: a store of their own, so that nothing of the machine's is touched."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def write_storage() -> Callable[[Path], str]:
    """Return what makes an empty store for images in a folder, and returns its configuration file."""

    def write(folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "storage.conf"
        file.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"\n'
        )
        return str(file)

    return write


@pytest.fixture
def storage(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, write_storage: Callable[[Path], str]
) -> Iterator[None]:
    """An empty store for images."""
    folder = tmp_path_factory.mktemp("storage")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", write_storage(folder))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    yield
    # The store may be mounted onto itself, and then its folder cannot be removed.
    subprocess.run(["umount", str(folder / "graph/overlay")], check=False, capture_output=True, env=os.environ)
