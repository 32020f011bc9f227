from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed import registry
from testbed.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    for name, content in (("blobs/sha256/ab/data", "layer"), ("repositories/app/_manifests/tags/1/link", "digest")):
        path = made.registry / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return made


def test_shares_blobs_and_copies_what_a_push_overwrites(home: Home) -> None:
    registry.fill(home)
    storage = home.state / "registry" / "storage"
    blob, tag = "blobs/sha256/ab/data", "repositories/app/_manifests/tags/1/link"
    assert (storage / blob).samefile(home.registry / blob)
    (storage / tag).write_text("another digest")
    assert (home.registry / tag).read_text() == "digest"


def test_leaves_a_filled_storage_alone(home: Home) -> None:
    registry.fill(home)
    pushed = home.state / "registry" / "storage" / "pushed"
    pushed.touch()
    registry.fill(home)
    assert pushed.exists()


def test_does_not_take_half_a_copy_for_a_whole_one(home: Home) -> None:
    left_by_a_kill = home.state / "registry" / "storage.partial"
    left_by_a_kill.mkdir(parents=True)
    (left_by_a_kill / "half").touch()
    registry.fill(home)
    assert not (home.state / "registry" / "storage" / "half").exists()
    assert not left_by_a_kill.exists()
