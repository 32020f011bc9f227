"""JSON lines on stdout: one object a line, no secret in any of them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.redaction import Redactor
from app.release import current_release

if TYPE_CHECKING:
    from app.settings import Settings

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON, with the extra fields beside the message."""

    def __init__(self, component: str, redactor: Redactor) -> None:
        super().__init__()
        self._component = component
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "component": self._component,
            "version": current_release().version,
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(self._redactor.tree(line), default=str, ensure_ascii=False)


def redactor_of(settings: Settings) -> Redactor:
    """Return a redactor that knows the secrets of these settings."""
    return Redactor((settings.database_password, settings.redis_password, settings.sentry_dsn))


def start_logging(component: str, level: str = "INFO", redactor: Redactor | None = None) -> None:
    """Send every record of this process to stdout as JSON.

    :param component: api, worker, beat or migrate.
    :param redactor: knows the secrets; without one only what looks like a secret is masked.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(component, redactor or Redactor()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery", "celery.task", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # urllib3 logs paths with their queries at DEBUG, and a WebHDFS query may hold a delegation token.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
