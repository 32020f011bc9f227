"""Keys and passwords: made once, kept for the owner alone, and gone with the state folder."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict

from testbed.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.home import Home

OWNER_ONLY = 0o600
ROLES = {"admin": "admin", "viewer": "viewer"}
"""Airflow's users and their roles: one who may do all, one who may only look."""


class Keys(BaseModel):
    """All secrets of one runtime.

    :param fernet: encrypts connections and trigger arguments in the database.
    :param jwt: signs the tokens of people and of tasks; all parts must hold the same.
    :param session: signs the UI's own cookies.
    :param metadata: password of the role that owns Airflow's database.
    :param ledger: password of the role that owns the ledger.
    :param logins: password by user name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    fernet: str
    jwt: str
    session: str
    metadata: str
    ledger: str
    logins: dict[str, str]


def keep(home: Home) -> Keys:
    """Return the keys of this state folder; make them when it has none."""
    if home.keys.is_file():
        keys = read(home)
    else:
        keys = Keys(
            fernet=Fernet.generate_key().decode("ascii"),
            jwt=secrets.token_urlsafe(64),
            session=secrets.token_urlsafe(32),
            metadata=secrets.token_urlsafe(24),
            ledger=secrets.token_urlsafe(24),
            logins={user: secrets.token_urlsafe(12) for user in ROLES},
        )
        write(home.keys, keys.model_dump_json(indent=1))
    # Airflow prints into its log the passwords that it has to make itself, so it finds all of them here.
    write(home.logins, json.dumps(keys.logins) + "\n")
    return keys


def read(home: Home) -> Keys:
    """Return the keys of a state folder.

    :raises UsageError: it has none, so no Airflow was started there.
    """
    try:
        return Keys.model_validate_json(home.keys.read_bytes())
    except FileNotFoundError as error:
        raise UsageError("no Airflow is running", do="python -m runtime up") from error


def write(path: Path, text: str) -> None:
    """Write a file that nobody but its owner may read, not even for a moment; a reader sees the old text or the new."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
