from __future__ import annotations

from pathlib import Path

import pytest

from runtime.home import MARK, REPOSITORY, Home
from testbed.errors import UsageError


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("relative/folder", "it is not an absolute path"),
        ("/var/lib/../../etc", "it is not an absolute path"),
        ("/", "it is too near to the root of the file system"),
        ("/var", "it is too near to the root of the file system"),
        (str(REPOSITORY), "it contains the repository, your home or the current folder"),
        (str(REPOSITORY / "runtime/state"), "it lies in the repository"),
        ("/etc/hostname", "it is a file"),
        ("/usr/lib", f"it is not empty, and has no {MARK} that says it is ours"),
    ],
)
def test_refuses_a_folder_that_must_never_be_removed(folder: str, reason: str) -> None:
    for act in (Home(Path(folder)).check, Home(Path(folder)).create, Home(Path(folder)).remove):
        with pytest.raises(UsageError) as refused:
            act()
        assert str(refused.value) == (
            f"SLIPWAY_RUNTIME_HOME={folder} cannot be the runtime's folder: {reason}\n"
            "  do     name a folder that does not exist yet, like /var/lib/slipway-runtime"
        )


def test_refuses_a_way_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UsageError, match=f"it leads through a symbolic link to {tmp_path}/real/state"):
        Home(tmp_path / "link" / "state").check()


def test_makes_a_folder_for_its_owner_alone_and_removes_it_whole(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "state")
    home.create()
    home.create()
    assert home.folder.stat().st_mode & 0o777 == 0o700
    (home.logs / "scheduler.log").write_text("said something\n", encoding="utf-8")
    assert home.remove()
    assert not home.folder.exists()
    assert not home.remove()


def test_closes_a_folder_that_was_open(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    Home(folder).create()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_keeps_a_folder_of_somebody_else(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(UsageError):
        Home(folder).remove()
    assert (folder / "thesis.tex").exists()
