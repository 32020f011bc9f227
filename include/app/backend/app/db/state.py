"""Read from a database whose it is and how new its schema is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from app.db.revisions import check_identity, check_schema, known_revisions
from app.errors import SchemaError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.release import Release

IDENTITY_TABLE = "platform_identity"


def check_database(connection: Connection, release: Release, environment: str) -> None:
    """Refuse a database that this version cannot work on.

    :raises WrongDatabaseError: not ours, or of another environment.
    :raises SchemaError: no schema, or one older than this version needs.
    """
    tables = set(inspect(connection).get_table_names())
    if IDENTITY_TABLE not in tables and "alembic_version" not in tables:
        needed = release.schema_head
        raise SchemaError(f"schema: found none, expected {needed} or newer; run python -m app.migrate")
    check_identity(read_identity(connection, tables), environment, database_name(connection))
    check_schema(_revision(connection, tables), known_revisions(release.schema_head))


def read_identity(connection: Connection, tables: set[str]) -> tuple[str, str] | None:
    """Return (application, environment) as the database says, None when it says nothing."""
    if IDENTITY_TABLE not in tables:
        return None
    row = connection.execute(text("SELECT application, environment FROM platform_identity")).first()
    return (row[0], row[1]) if row else None


def database_name(connection: Connection) -> str:
    """Return the name of the database as it is addressed."""
    return connection.engine.url.database or "(unnamed)"


def _revision(connection: Connection, tables: set[str]) -> str | None:
    if "alembic_version" not in tables:
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return row[0] if row else None
