"""What a production process refuses, so that development settings never reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.names import Environment
from app.settings.findings import HIDDEN, Finding, shown, shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import SecretStr

    from app.settings.schema import Settings

DEFAULT_PASSWORDS = frozenset(
    [
        "admin",
        "changeme",
        "change-me",
        "default",
        "demo",
        "dev",
        "development",
        "example",
        "guest",
        "hive",
        "hive-platform",
        "letmein",
        "pass",
        "password",
        "postgres",
        "qwerty",
        "redis",
        "replace-me",
        "root",
        "secret",
        "test",
    ]
)
MIN_PASSWORD_LENGTH = 12
_FROM_SECRET = "take it from a Kubernetes Secret (secretKeyRef), never from a file in the repository"  # noqa: S105


def refusals(settings: Settings) -> list[Finding]:
    """List what the environment does not admit; empty means that the process may start."""
    everywhere = [*_database_scheme(settings), *_limits_in_order(settings)]
    if settings.environment is not Environment.PRODUCTION:
        return everywhere
    return everywhere + [finding for rule in _PRODUCTION_RULES for finding in rule(settings)]


def _database_scheme(settings: Settings) -> Iterator[Finding]:
    scheme = settings.database_url.split(":", 1)[0].lower()
    allowed = {"postgresql+psycopg"}
    if settings.environment is Environment.DEVELOPMENT:
        allowed |= {"sqlite"}
    if scheme not in allowed:
        problem = "SQLite is not admitted here" if scheme.startswith("sqlite") else "unknown kind of database"
        yield Finding(
            "APP_DATABASE_URL",
            f"{problem} (environment {settings.environment})",
            shown_url(settings.database_url),
            "postgresql+psycopg://USER@HOST:5432/NAME",
            "point it at the PostgreSQL of this environment",
        )
    if not settings.redis_url.startswith(("redis://", "rediss://")):
        yield Finding(
            "APP_REDIS_URL", "not a Redis address", shown_url(settings.redis_url), "redis://HOST:6379/0",
            "point it at the Redis of this environment",
        )  # fmt: skip


def _limits_in_order(settings: Settings) -> Iterator[Finding]:
    # A task delivered again while its first worker still runs would do everything twice.
    ordered = (
        (
            "APP_TASK_SOFT_LIMIT_S", settings.task_soft_limit_s,
            "APP_TASK_HARD_LIMIT_S", settings.task_hard_limit_s,
        ),
        (
            "APP_TASK_HARD_LIMIT_S", settings.task_hard_limit_s,
            "APP_TASK_VISIBILITY_TIMEOUT_S", settings.task_visibility_timeout_s,
        ),
        (
            "APP_SCAN_TIMEOUT_S", settings.scan_timeout_s,
            "APP_TASK_SOFT_LIMIT_S", settings.task_soft_limit_s,
        ),
    )  # fmt: skip
    for name, value, greater_name, greater in ordered:
        if value >= greater:
            yield Finding(
                name, f"must be less than {greater_name}", str(value), f"less than {greater}",
                f"lower {name} or raise {greater_name}",
            )  # fmt: skip


def _no_debug(settings: Settings) -> Iterator[Finding]:
    if settings.debug:
        yield Finding("APP_DEBUG", "debug is refused in production", "true", "false", "remove APP_DEBUG")
    if settings.log_level == "DEBUG":
        yield Finding(
            "APP_LOG_LEVEL",
            "too talkative for production",
            "DEBUG",
            "INFO, WARNING or ERROR",
            "set it to INFO",
        )


def _no_open_cors(settings: Settings) -> Iterator[Finding]:
    for origin in settings.cors_origins:
        if "*" in origin or not origin.startswith("https://"):
            yield Finding(
                "APP_CORS_ORIGINS", "wildcard or unencrypted origin in production", shown_url(origin),
                "https://HOST, comma-separated, or nothing when the page has the same origin",
                "name the page's own origin",
            )  # fmt: skip


def _passwords(settings: Settings) -> Iterator[Finding]:
    yield from _password("APP_DATABASE_PASSWORD", settings.database_password)
    yield from _password("APP_REDIS_PASSWORD", settings.redis_password)
    for name, url in (("APP_DATABASE_URL", settings.database_url), ("APP_REDIS_URL", settings.redis_url)):
        if _has_password(url):
            yield Finding(
                name, "holds a password, and addresses are not kept secret", shown_url(url),
                "the URL without it",
                f"put the password into {name.replace('_URL', '_PASSWORD')}",
            )  # fmt: skip


def _password(name: str, value: SecretStr | None) -> Iterator[Finding]:
    if value is None:
        yield Finding(name, "the secret is missing", None, f"{MIN_PASSWORD_LENGTH} characters or more", _FROM_SECRET)
        return
    secret = value.get_secret_value()
    if secret.lower() in DEFAULT_PASSWORDS or len(secret) < MIN_PASSWORD_LENGTH:
        yield Finding(
            name, "a default or short password", HIDDEN,
            f"{MIN_PASSWORD_LENGTH} characters or more, none of the usual defaults", _FROM_SECRET,
        )  # fmt: skip


def _has_password(url: str) -> bool:
    try:
        return urlsplit(url).password is not None or "password=" in url.lower()
    except ValueError:  # a URL that cannot be read may hold anything
        return True


def _named_roots(settings: Settings) -> Iterator[Finding]:
    if not settings.storage_roots:
        yield Finding(
            "APP_STORAGE_ROOTS", "no tree is named, so nothing could be scanned", None,
            "webhdfs://NAMENODE:9870/warehouse, comma-separated", "name the trees that clusters may lie in",
        )  # fmt: skip
    for root in settings.storage_roots:
        if _has_password(root):
            yield Finding(
                "APP_STORAGE_ROOTS", "holds a password, and addresses are not kept secret", shown_url(root),
                "webhdfs://USER@NAMENODE:9870/warehouse", "remove the password; WebHDFS goes by the user's name",
            )  # fmt: skip
        if root.rstrip("/") in {"file:", "file"} or root.startswith("file:///etc"):
            yield Finding(
                "APP_STORAGE_ROOTS", "the whole file system of the container is no warehouse", shown(root),
                "file:///PATH/OF/THE/WAREHOUSE or webhdfs://...", "name the warehouse's own path",
            )  # fmt: skip


def _no_faults(settings: Settings) -> Iterator[Finding]:
    if not settings.has_faults or settings.fault_allowed_in_production:
        return
    faults = (
        ("APP_FAULT_ERROR_RATE", settings.fault_error_rate, 0),
        ("APP_FAULT_LATENCY_FACTOR", settings.fault_latency_factor, 1),
        ("APP_FAULT_CRASH_AFTER_S", settings.fault_crash_after_s, 0),
    )
    for name, value, harmless in faults:
        if value != harmless:
            yield Finding(
                name, "a fault made on purpose is refused in production", shown(value), str(harmless),
                "remove it; a drill in production sets APP_FAULT_ALLOWED_IN_PRODUCTION=true",
            )  # fmt: skip


_PRODUCTION_RULES: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _no_debug,
    _no_open_cors,
    _passwords,
    _named_roots,
    _no_faults,
)
