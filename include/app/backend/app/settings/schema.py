"""Every setting, by group: name, type, limits, default, and the sentence for the configuration guide.

The environment variable is the field's name in capitals after APP_ (APP_DATABASE_URL).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.names import Environment

PREFIX = "APP_"
MIB = 1024 * 1024


def _split(value: object) -> object:
    """Read a comma-separated list, because JSON in an environment variable invites quoting mistakes."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]


class ProcessSettings(BaseModel):
    """What kind of process this is."""

    environment: Environment = Field(
        Environment.DEVELOPMENT,
        description="Where the process runs; production refuses what development forgives.",
    )
    version: str = Field("", max_length=80, description="Set by the image's build argument; leave it alone.")
    debug: bool = Field(default=False, description="Interactive API pages and verbose errors; never in production.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_retention_days: int = Field(30, ge=1, le=3650, description="Task logs older than this are removed daily.")


class ApiSettings(BaseModel):
    """The HTTP interface."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - a container listens everywhere
    port: int = Field(8000, ge=1, le=65535, description="Port of the API, of /health, /ready and /metrics.")
    cors_origins: CommaList = Field(
        default_factory=list,
        description="Origins of the page, comma-separated; empty when it has the same origin.",
    )
    drain_s: float = Field(
        5,
        ge=0,
        le=300,
        description="After SIGTERM: seconds of serving on, not Ready, while routers forget us.",
    )
    shutdown_grace_s: int = Field(20, ge=1, le=600, description="Then: seconds for requests under way to end.")
    request_threads: int = Field(20, ge=1, le=200, description="Requests that work on the database at once.")


class DatabaseSettings(BaseModel):
    """PostgreSQL."""

    database_url: str = Field(
        ..., max_length=2000, description="postgresql+psycopg://USER@HOST:5432/NAME, without the password."
    )
    database_password: SecretStr | None = Field(None, description="Secret. Password of the database user.")
    database_pool_size: int = Field(10, ge=1, le=200, description="Connections kept open by one process.")
    database_pool_overflow: int = Field(10, ge=0, le=200, description="More connections, for a peak.")
    database_pool_timeout_s: float = Field(5, gt=0, le=60, description="Longest wait for a connection of the pool.")
    database_connect_timeout_s: int = Field(3, ge=1, le=60, description="Longest wait for a new connection.")
    database_statement_timeout_s: float = Field(10, gt=0, le=600, description="Longest statement of the API.")


class BrokerSettings(BaseModel):
    """Redis and Celery."""

    redis_url: str = Field(..., max_length=2000, description="redis://HOST:6379/0, without the password.")
    redis_password: SecretStr | None = Field(None, description="Secret. Password of Redis.")
    redis_timeout_s: float = Field(3, gt=0, le=60, description="Longest wait for Redis, to connect and to answer.")
    worker_concurrency: int = Field(2, ge=1, le=64, description="Task processes of one worker.")
    worker_shutdown_grace_s: int = Field(
        60,
        ge=1,
        le=3600,
        description="After SIGTERM: seconds to finish; then running tasks go back to the queue.",
    )
    task_soft_limit_s: int = Field(3300, ge=1, le=86400, description="A task is asked to stop after this.")
    task_hard_limit_s: int = Field(3600, ge=2, le=86400, description="A task is ended after this.")
    task_visibility_timeout_s: int = Field(
        7200, ge=3, le=172800, description="A task whose worker vanished is delivered again after this."
    )
    task_max_attempts: int = Field(5, ge=1, le=100, description="Deliveries of one task before it counts as failed.")
    task_retry_delay_s: float = Field(10, ge=0, le=3600, description="First wait before a retry; it doubles.")


class ScanSettings(BaseModel):
    """Scanning file trees."""

    storage_roots: CommaList = Field(
        default_factory=list, description="Trees that clusters may lie in, comma-separated URL prefixes."
    )
    storage_timeout_s: float = Field(30, gt=0, le=600, description="Longest wait for one answer of WebHDFS.")
    scan_small_file_bytes: int = Field(128 * MIB, ge=1, le=2**50, description="A file below this is small.")
    scan_timeout_s: int = Field(3000, ge=1, le=86400, description="Longest scan of one cluster.")
    scan_max_files: int = Field(20_000_000, ge=1, le=10**10, description="A scan that meets more files fails.")


class MergeSettings(BaseModel):
    """Merging small files."""

    merge_target_bytes: int = Field(256 * MIB, ge=1, le=2**50, description="Size that merged files aim at.")
    merge_min_files: int = Field(2, ge=2, le=100_000, description="Fewer small files are not worth a merge.")
    merge_max_files: int = Field(10_000, ge=2, le=1_000_000, description="Most files taken by one merge.")


class ObservationSettings(BaseModel):
    """Metrics and Sentry."""

    metrics_port: int = Field(9101, ge=1, le=65535, description="Port of worker and beat: /metrics, /health, /ready.")
    metrics_refresh_s: float = Field(15, gt=0, le=3600, description="Age of the business figures in /metrics.")
    sentry_dsn: SecretStr | None = Field(None, description="Secret. Where errors are reported; empty: nowhere.")
    sentry_sample_rate: float = Field(1.0, ge=0, le=1, description="Share of errors that is reported.")


class FaultSettings(BaseModel):
    """Faults made on purpose, to show that a bad version is taken back."""

    fault_error_rate: float = Field(0, ge=0, le=1, description="Share of API requests answered with 500.")
    fault_latency_factor: float = Field(1, ge=1, le=100, description="API requests take this many times as long.")
    fault_crash_after_s: float = Field(0, ge=0, le=86400, description="The process ends after this; 0: never.")
    fault_allowed_in_production: bool = Field(default=False, description="Admit the three above in production.")

    @property
    def has_faults(self) -> bool:
        """Say whether any fault is switched on."""
        return self.fault_error_rate > 0 or self.fault_latency_factor > 1 or self.fault_crash_after_s > 0


class Settings(
    FaultSettings,
    ObservationSettings,
    MergeSettings,
    ScanSettings,
    BrokerSettings,
    DatabaseSettings,
    ApiSettings,
    ProcessSettings,
    BaseSettings,
):
    """All settings of one process; make it with load_settings, which words the refusals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # an empty secret is a missing secret
        extra="ignore",  # unknown names are found by load_settings, which suggests the right one
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then the .env file; nothing else."""
        return init_settings, env_settings, dotenv_settings
