"""Alembic's entry: one migrator at a time, on our own database only, with timeouts.

PGOPTIONS sets the timeouts; without it the defaults below hold.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from alembic import context
from app.db.engine import database_url
from app.db.models import SINCE, Base
from app.db.revisions import check_identity, known_revisions
from app.db.state import IDENTITY_TABLE, database_name, read_identity
from app.errors import MigrationLockedError, WrongDatabaseError
from app.names import APPLICATION
from app.release import current_release
from app.settings import load_settings
from sqlalchemy import NullPool, create_engine, inspect, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection
    from sqlalchemy.sql.schema import SchemaItem

from contextlib import contextmanager

DEFAULT_OPTIONS = "-c lock_timeout=500ms -c statement_timeout=0 -c idle_in_transaction_session_timeout=60s"
LOCK_KEY = 0x68697665  # "hive": any number, as long as every migrator of this application takes the same

logger = logging.getLogger("app.migrate")


def _is_shipped(item: SchemaItem, _name: str | None, kind: str, *_rest: object) -> bool:
    """Leave out of comparisons what a later revision than this version's head brings."""
    columns = [item] if kind == "column" else list(getattr(item, "columns", [])) if kind == "index" else []
    known = known_revisions(current_release().schema_head)
    return all(column.info.get(SINCE, known[0]) in known for column in columns)


@contextmanager
def _only_migrator(connection: Connection) -> Iterator[None]:
    # A session lock on a connection of its own: it ends with the process, however that ends.
    if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}).scalar():
        raise MigrationLockedError("another migrator holds the lock; wait for it, then run this again")
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def _claim(connection: Connection, environment: str) -> None:
    """Make an empty database ours; refuse one that holds anything else."""
    tables = set(inspect(connection).get_table_names())
    name = database_name(connection)
    if tables and IDENTITY_TABLE not in tables:
        raise WrongDatabaseError(
            f"wrong database: {name} holds {len(tables)} table(s) of somebody else, expected an empty one or "
            f"{APPLICATION} in {environment}; check APP_DATABASE_URL"
        )
    connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {IDENTITY_TABLE} (id integer PRIMARY KEY CHECK (id = 1), "
            "application varchar(255) NOT NULL, environment varchar(255) NOT NULL)"
        )
    )
    connection.execute(
        text("INSERT INTO platform_identity VALUES (1, :application, :environment) ON CONFLICT DO NOTHING"),
        {"application": APPLICATION, "environment": environment},
    )
    check_identity(read_identity(connection, {IDENTITY_TABLE}), environment, name)


def _migrate(**options: Any) -> None:
    context.configure(
        target_metadata=Base.metadata,
        transaction_per_migration=True,
        include_object=_is_shipped,
        compare_type=True,
        **options,
    )
    transaction: AbstractContextManager[Any] = context.begin_transaction()
    with transaction:
        context.run_migrations()


def _online() -> None:
    settings = load_settings()
    engine = create_engine(
        database_url(settings),
        poolclass=NullPool,
        connect_args={
            "application_name": "hive-migrate",
            "options": os.environ.get("PGOPTIONS") or DEFAULT_OPTIONS,
            "connect_timeout": settings.database_connect_timeout_s,
        },
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard, _only_migrator(guard):
        _claim(guard, settings.environment)
        with engine.connect() as connection:
            _migrate(connection=connection)


if context.is_offline_mode():
    _migrate(dialect_name="postgresql", literal_binds=True)
else:
    _online()
