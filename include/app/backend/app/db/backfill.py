"""Steps for migrations of large tables: batches that resume, and an index that is proved valid."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.errors import SchemaError

if TYPE_CHECKING:
    from alembic.operations import Operations
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)

BATCH_ROWS = 5000
PAUSE_S = 0.02  # lets the application's own writes through between two batches
LOCK_TRIES = 20
LOCK_TIMEOUT_STATE = "55P03"


def backfill(op: Operations, statement: str, rows: int = BATCH_ROWS) -> None:
    """Run an UPDATE of at most :rows rows until it changes none, each batch in a transaction of its own.

    Killed between two batches, a rerun goes on where it stopped: the statement selects only what is not yet
    filled. Within a run each batch begins behind the one before: to look for empty rows from the start each
    time would cost the square of the table.

    :param statement: takes rows with id > :after, at most :rows, in order, skips what is done, returns id.
    :raises OperationalError: a batch did not get its locks in LOCK_TRIES tries.
    """
    context = op.get_context()
    if context.as_sql:  # offline SQL is for linters and readers: one batch, and a comment
        shown = statement.replace(":rows", str(rows)).replace(":after", "0")
        op.execute(f"-- repeated by the migrator until it changes no row\n{shown}")
        return
    with context.autocommit_block():
        connection = op.get_bind()
        done = after = 0
        while changed := _batch(connection, statement, {"rows": rows, "after": after}):
            done += len(changed)
            after = max(changed)
            time.sleep(PAUSE_S)
        logger.info("backfill finished", extra={"rows": done})


def _batch(connection: Connection, statement: str, bounds: dict[str, int]) -> list[int]:
    for attempt in range(LOCK_TRIES):
        try:
            return list(connection.scalars(text(statement), bounds))
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_TIMEOUT_STATE or attempt == LOCK_TRIES - 1:
                raise
            logger.warning("backfill waits for a lock", extra={"attempt": attempt + 1})
            time.sleep(min(0.05 * 2**attempt, 2))
    return []


def index_concurrently(op: Operations, name: str, table: str, definition: str) -> None:
    """Build an index without stopping writers, and prove that it is valid.

    CREATE INDEX CONCURRENTLY that was interrupted leaves an invalid index, over which IF NOT EXISTS
    succeeds in silence; so such a remainder is dropped first, and validity is asserted afterwards.

    :param definition: what follows the table's name, for example "(a, b DESC)".
    :raises SchemaError: the index is not valid in the end.
    """
    context = op.get_context()
    create = f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} {definition}"
    with context.autocommit_block():
        if context.as_sql:
            op.execute(create)
            return
        connection = op.get_bind()
        if _is_valid(connection, name) is False:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(create)
        if not _is_valid(connection, name):
            raise SchemaError(f"index {name} on {table} is not valid; run python -m app.migrate again")


def _is_valid(connection: Connection, name: str) -> bool | None:
    """Say whether the index is valid; None when there is none."""
    query = text("SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass(:name)")
    return connection.execute(query, {"name": name}).scalar()
