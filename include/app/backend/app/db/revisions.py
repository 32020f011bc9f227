"""Which schema revisions this version knows, and whether a database is good enough for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from app.errors import SchemaError, WrongDatabaseError
from app.names import APPLICATION

ROOT = Path(__file__).resolve().parents[2]
"""Holds alembic.ini and migrations/, in the tree as in the image."""


def alembic_config() -> Config:
    """Return Alembic's configuration of this tree."""
    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return config


@cache
def known_revisions(head: str) -> tuple[str, ...]:
    """List the revisions from the first up to the head of this version, oldest first."""
    script = ScriptDirectory.from_config(alembic_config())
    return tuple(reversed([revision.revision for revision in script.iterate_revisions(head, "base")]))


def check_schema(found: str | None, known: tuple[str, ...]) -> None:
    """Refuse a database whose schema is older than this version needs.

    A revision that this version does not know counts as newer: during a canary the old version runs on the
    schema of the new one, and migrations only expand.

    :param found: what alembic_version holds; None when there is no such table or row.
    :param known: revisions of this version, oldest first; the last one is what it needs.
    :raises SchemaError: none, or an older one.
    """
    if found is None:
        raise SchemaError(f"schema: found none, expected {known[-1]} or newer; run python -m app.migrate")
    if found in known[:-1]:
        raise SchemaError(f"schema: found {found}, expected {known[-1]} or newer; run python -m app.migrate")


def check_identity(found: tuple[str, str] | None, environment: str, database: str) -> None:
    """Refuse a database that is not ours, or that belongs to another environment.

    :param found: (application, environment) as the database says, None when it says nothing.
    :raises WrongDatabaseError: with what was found and expected.
    """
    expected = (APPLICATION, environment)
    if found == expected:
        return
    says = f"{found[0]} in {found[1]}" if found else "nothing about its owner"
    raise WrongDatabaseError(
        f"wrong database: {database} says {says}, expected {APPLICATION} in {environment}; "
        "check APP_DATABASE_URL and APP_ENVIRONMENT"
    )
