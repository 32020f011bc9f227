"""Remove the migrations that a version does not ship: python -m app.db.prune, in the image's build.

After it `alembic upgrade head` in the image goes to the same revision as `python -m app.migrate`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from alembic.script import ScriptDirectory

from app.db.revisions import alembic_config, known_revisions
from app.logs import start_logging
from app.release import current_release

logger = logging.getLogger(__name__)


def prune(head: str, script: ScriptDirectory) -> list[Path]:
    """Remove the files of every revision after the head.

    :param head: newest revision that stays.
    :return: what was removed.
    """
    kept = set(known_revisions(head))
    later = [Path(revision.path) for revision in script.walk_revisions() if revision.revision not in kept]
    for path in later:
        path.unlink()
    return later


if __name__ == "__main__":
    start_logging("build")
    release = current_release()
    removed = prune(release.schema_head, ScriptDirectory.from_config(alembic_config()))
    names = [path.name for path in removed]
    logger.info("version %s ships schema %s", release.version, release.schema_head, extra={"removed": names})
