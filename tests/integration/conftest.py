"""What integration tests of images share: a store of their own, so that nothing of the machine's is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def write_storage() -> Iterator[Callable[[Path], str]]:
    """Return what makes an empty store for images in a folder, and returns its configuration file."""
    folders: list[Path] = []

    def write(folder: Path) -> str:
        folders.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "storage.conf"
        file.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder / "graph"}"\nrunroot = "{folder / "run"}"\n'
        )
        return str(file)

    yield write
    # A store is mounted onto itself, and layers onto it; while they are, nobody can remove the folder.
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in reversed([Path(one) for one in mounts]):
        if any(folder in mount.parents for folder in folders):
            subprocess.run(["umount", "--lazy", str(mount)], check=False, timeout=30)


@pytest.fixture
def storage(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, write_storage: Callable[[Path], str]
) -> None:
    """An empty store for images."""
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", write_storage(tmp_path_factory.mktemp("storage")))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
