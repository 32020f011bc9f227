from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from runtime import keys
from testbed.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings


def test_are_made_once_and_kept_for_the_owner(chosen: Settings) -> None:
    chosen.home.create()
    first = keys.keep(chosen.home)
    assert keys.keep(chosen.home) == first == keys.read(chosen.home)
    assert Fernet(first.fernet).decrypt(Fernet(first.fernet).encrypt(b"x")) == b"x"
    assert json.loads(chosen.home.logins.read_text(encoding="utf-8")) == first.logins
    assert set(first.logins) == {"admin", "viewer"}
    for file in (chosen.home.keys, chosen.home.logins):
        assert file.stat().st_mode & 0o777 == 0o600


def test_are_others_for_another_runtime(chosen: Settings) -> None:
    chosen.home.create()
    first = keys.keep(chosen.home)
    chosen.home.remove()
    chosen.home.create()
    second = keys.keep(chosen.home)
    mine, others = first.model_dump(), second.model_dump()
    assert not [name for name in mine if mine[name] == others[name]]


def test_are_not_made_by_reading(chosen: Settings) -> None:
    with pytest.raises(UsageError) as refused:
        keys.read(chosen.home)
    assert str(refused.value) == "no Airflow is running\n  do     python -m runtime up"
    assert not chosen.home.folder.exists()


def test_a_file_is_replaced_and_never_open_to_others(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old", encoding="utf-8")
    file.chmod(0o644)
    keys.write(file, "new")
    assert file.read_text(encoding="utf-8") == "new"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
