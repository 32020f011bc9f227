"""The first second of every process: read the settings, or leave with one log line."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from app.errors import ConfigurationError
from app.logs import redactor_of, start_logging
from app.monitoring.sentry_integration import start_sentry
from app.release import current_release
from app.settings import Settings, load_settings

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h: a restart will not help, a person must look."""
EXIT_CRASH_DRILL = 70

logger = logging.getLogger(__name__)


def start_process(component: str) -> Settings:
    """Prepare a process; leave it with one log line when the settings are refused.

    :param component: api, worker, beat or migrate.
    """
    start_logging(component)
    try:
        release = current_release()
        settings = load_settings(_env_file())
    except ConfigurationError as error:
        logger.error("settings refused, not starting: %s", error)  # noqa: TRY400 - a traceback says nothing more
        sys.exit(EXIT_CONFIGURATION)
    redactor = redactor_of(settings)
    start_logging(component, settings.log_level, redactor)
    start_sentry(settings, release, component, redactor)
    logger.info("starting", extra={"environment": settings.environment, "schema_head": release.schema_head})
    if settings.fault_crash_after_s:
        _crash_later(settings.fault_crash_after_s)
    return settings


def _env_file() -> Path | None:
    # Not a setting of the schema: it says where the others are.
    path = os.environ.get("ENV_FILE")
    return Path(path) if path else None


def _crash_later(delay_s: float) -> None:
    def crash() -> None:
        logger.error("APP_FAULT_CRASH_AFTER_S: ending the process on purpose")
        os._exit(EXIT_CRASH_DRILL)

    timer = threading.Timer(delay_s, crash)
    timer.daemon = True
    timer.start()
