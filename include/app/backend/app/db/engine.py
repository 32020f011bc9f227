"""Connections to the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import ConfigurationError
from app.settings.findings import shown_url

if TYPE_CHECKING:
    from app.settings import Settings


def database_url(settings: Settings) -> URL:
    """Join the address and the password, which live apart.

    :raises ConfigurationError: the address cannot be read.
    """
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "APP_DATABASE_URL: cannot be read\n"
            f"  found     {shown_url(settings.database_url)}\n"
            "  expected  postgresql+psycopg://USER@HOST:5432/NAME"
        ) from None
    if settings.database_password is not None:
        url = url.set(password=settings.database_password.get_secret_value())
    return url


def make_engine(settings: Settings, component: str) -> Engine:
    """Make the pool of a process; nothing is connected yet.

    :param component: shows up in pg_stat_activity as hive-COMPONENT.
    """
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":  # development only: the settings see to that
        return create_engine(url)
    timeout_ms = int(settings.database_statement_timeout_s * 1000)
    connect: dict[str, Any] = {
        "connect_timeout": settings.database_connect_timeout_s,
        "application_name": f"hive-{component}",
        "options": f"-c statement_timeout={timeout_ms} -c idle_in_transaction_session_timeout=60000",
        # A dead server is noticed in about half a minute instead of two hours.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
    }
    return create_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        pool_timeout=settings.database_pool_timeout_s,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args=connect,
    )
