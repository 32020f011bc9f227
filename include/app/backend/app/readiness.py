"""May this process work? PostgreSQL answers, it is ours, its schema is new enough, and Redis answers."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import redis
from sqlalchemy.exc import SQLAlchemyError

from app.db.state import check_database
from app.errors import SchemaProblemError
from app.monitoring import prometheus_metrics as metrics
from app.release import current_release

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.settings import Settings

logger = logging.getLogger(__name__)

REMEMBERED_S = 1.0
"""Probes of several callers within this share one look."""


def make_redis(settings: Settings) -> redis.Redis:
    """Make a client of the broker, with timeouts; nothing is connected yet."""
    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    client: redis.Redis = redis.Redis.from_url(
        settings.redis_url,
        password=password,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry_on_timeout=False,
    )
    return client


class Readiness:
    """Looks at what the process depends on; logs one line when the answer changes, not one a probe."""

    def __init__(self, engine: Engine, broker: redis.Redis, environment: str) -> None:
        self._engine = engine
        self._broker = broker
        self._environment = environment
        self._lock = threading.Lock()
        self._looked_at = -REMEMBERED_S
        self._problems: list[str] | None = None
        self.is_draining = False

    def problems(self) -> list[str]:
        """List what stands in the way, in sentences without secrets; empty means ready."""
        if self.is_draining:
            return ["draining: the process was asked to stop"]
        with self._lock:
            if time.monotonic() - self._looked_at >= REMEMBERED_S:
                self._look()
            return list(self._problems or [])

    def _look(self) -> None:
        found = [problem for problem in (self._database_problem(), self._broker_problem()) if problem]
        if found != self._problems:
            if found:
                logger.warning("not ready: %s", "; ".join(found))
            else:
                logger.info("ready")
        self._problems = found
        self._looked_at = time.monotonic()

    def _database_problem(self) -> str | None:
        problem = None
        try:
            with self._engine.connect() as connection:
                check_database(connection, current_release(), self._environment)
        except SchemaProblemError as error:
            problem = str(error)
        except SQLAlchemyError as error:
            problem = f"database: {reason_of(error)}"
        metrics.DATABASE_UP.set(0 if problem and problem.startswith("database:") else 1)
        return problem

    def _broker_problem(self) -> str | None:
        try:
            self._broker.ping()
        except redis.RedisError as error:
            metrics.BROKER_UP.set(0)
            return f"redis: {_first_line(error)}"
        metrics.BROKER_UP.set(1)
        return None


def reason_of(error: SQLAlchemyError) -> str:
    """Return why the database failed, without the statement and its parameters."""
    return _first_line(getattr(error, "orig", None) or error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
