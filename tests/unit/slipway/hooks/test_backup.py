"""What can be known of a backup without a database; dump, restore and comparison are tested on a real one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from slipway.errors import DatabaseError
from slipway.flow.credentials import Login
from slipway.hooks import backup as hook
from slipway.hooks.backup import MANIFEST, Backup, Backups, Fingerprint, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = Login("postgresql", "127.0.0.1", 1, "ann", "hidden-word", "shop")
TABLES = {"public.scans": Fingerprint(3, "17:5"), "public.tables": Fingerprint(0, "0:0")}


@pytest.fixture
def made(tmp_path: Path) -> Backup:
    """A backup of two files, with its manifest."""
    folder = tmp_path / "shop-1"
    folder.mkdir()
    (folder / "toc.dat").write_bytes(b"toc")
    (folder / "3001.dat.gz").write_bytes(b"rows")
    files = {path.name: hook._sha256(path) for path in sorted(folder.iterdir())}
    backup = Backup(folder, "shop", "15.8", 1.5, 7, TABLES, files)
    (folder / MANIFEST).write_text(hook._text(backup))
    return backup


def backups(lines: list[str] | None = None) -> Backups:
    return Backups(LOGIN, log=(lines if lines is not None else []).append)


def test_a_manifest_comes_back_as_it_went(made: Backup) -> None:
    assert read_manifest(made.folder) == made


def test_a_manifest_holds_no_secret_and_no_path_of_this_machine(made: Backup) -> None:
    text = (made.folder / MANIFEST).read_text()

    assert set(json.loads(text)) == {"database", "server", "seconds", "size_bytes", "tables", "files"}
    assert "hidden-word" not in text


def test_a_finished_backup_is_taken_as_it_is(made: Backup) -> None:
    """The server of this login does not exist, so nothing can have been asked."""
    lines: list[str] = []

    assert backups(lines).take(made.folder) == made
    assert lines == [f"backup is there already: {made.folder}"]


@pytest.mark.parametrize("name", ["toc.dat", "3001.dat.gz"])
def test_a_file_that_was_changed_is_found_before_anything_is_restored(made: Backup, name: str) -> None:
    (made.folder / name).write_bytes(b"changed")

    with pytest.raises(DatabaseError, match=f"{name} is not what was written"):
        backups().verify(made)


def test_a_file_that_is_gone_is_found_too(made: Backup) -> None:
    (made.folder / "toc.dat").unlink()

    with pytest.raises(DatabaseError, match=r"toc\.dat"):
        backups().verify(made)


def test_a_server_that_is_away_leaves_nothing_half_done(tmp_path: Path) -> None:
    folder = tmp_path / "backups/shop-2"

    with pytest.raises(DatabaseError, match="could not be read") as caught:
        backups().take(folder)

    assert "hidden-word" not in str(caught.value)
    assert not folder.exists()
    assert not folder.with_name("shop-2.partial").exists()


def test_the_password_goes_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], dict[str, Any]]] = []

    class Done:
        def require(self, *_: object, **__: object) -> None:
            """It went well."""

    def run(argv: list[str], **how: Any) -> Done:
        ran.append((argv, how))
        return Done()

    monkeypatch.setattr(hook, "run", run)

    Backups(LOGIN, address="10.0.0.1", log=lambda _: None)._pg(["pg_restore", "--list"], "no", database="scratch")

    ((argv, how),) = ran
    assert "hidden-word" not in " ".join(argv)
    assert how["secrets"] == ["hidden-word"]
    assert {name: how["env"][name] for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGPASSWORD")} == {
        "PGHOST": "127.0.0.1", "PGHOSTADDR": "10.0.0.1", "PGPORT": "1", "PGDATABASE": "scratch",
        "PGPASSWORD": "hidden-word",
    }  # fmt: skip
