"""Bring the database to the schema of this version: python -m app.migrate. Safe to run again after any end.

Exit codes: 0 done (or nothing to do), 1 failed, 75 another migrator is at work, 78 settings or database
refused.
"""

from __future__ import annotations

import logging
import sys

from alembic import command
from sqlalchemy.exc import SQLAlchemyError

from app.db.revisions import alembic_config
from app.errors import ConfigurationError, MigrationLockedError, SchemaProblemError, WrongDatabaseError
from app.release import current_release
from app.startup import EXIT_CONFIGURATION, start_process

EXIT_FAILED = 1
EXIT_LOCKED = 75
"""EX_TEMPFAIL of sysexits.h: try again later."""

logger = logging.getLogger(__name__)


def migrate(head: str) -> int:
    """Upgrade to the head and return the exit code.

    :param head: revision that this version ships.
    """
    try:
        command.upgrade(alembic_config(), head)
    except MigrationLockedError as error:
        logger.error("%s", error)  # noqa: TRY400 - the sentence is the whole story
        return EXIT_LOCKED
    except (WrongDatabaseError, ConfigurationError) as error:
        logger.error("%s", error)  # noqa: TRY400
        return EXIT_CONFIGURATION
    except (SQLAlchemyError, SchemaProblemError):
        logger.exception("migration failed; the schema is usable by the old version, run this again")
        return EXIT_FAILED
    logger.info("schema is at %s", head)
    return 0


if __name__ == "__main__":
    start_process("migrate")
    sys.exit(migrate(current_release().schema_head))
