"""The tables. A column of a later schema is deferred, so that a version which must not name it never does."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from sqlalchemy import (
    BigInteger,
    DateTime,
    FetchedValue,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SINCE = "since"
"""Key of Column.info: the revision that brought the column (see migrations/env.py)."""
RATIO_GROUP = "ratio"
"""Deferred columns of Feature.SMALL_FILE_RATIO; a version that has it asks for them by this name."""

Big = BigInteger().with_variant(Integer, "sqlite")
Id = Annotated[int, mapped_column(Big, Identity(always=False), primary_key=True)]
Name = Annotated[str, mapped_column(String(255))]
Count = Annotated[int, mapped_column(BigInteger, server_default="0", default=0)]
Status = Annotated[str, mapped_column(String(16))]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
MaybeMoment = Annotated[datetime | None, mapped_column(DateTime(timezone=True))]


class Base(DeclarativeBase):
    """All tables of the platform."""


class PlatformIdentity(Base):
    """One row: whose database this is. Nothing of ours works on another one's."""

    __tablename__ = "platform_identity"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    application: Mapped[Name]
    environment: Mapped[Name]


class Cluster(Base):
    """A Hive warehouse: one file tree under a root URL."""

    __tablename__ = "clusters"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(255), unique=True)
    root_url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    last_scan_task_id: Mapped[int | None] = mapped_column(Big)
    """Newest scan that succeeded. No foreign key, or each table would need the other first."""


class TaskColumns:
    """What a scan and a merge have in common."""

    id: Mapped[Id]
    status: Mapped[Status]
    requested_at: Mapped[Moment]
    started_at: Mapped[MaybeMoment]
    finished_at: Mapped[MaybeMoment]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0", default=0)
    version: Mapped[str | None] = mapped_column(String(80))
    error: Mapped[str | None] = mapped_column(Text)


class ScanTask(TaskColumns, Base):
    """One scan of one cluster."""

    __tablename__ = "scan_tasks"
    __table_args__ = (Index("ix_scan_tasks_status", "status"),)

    cluster_id: Mapped[int] = mapped_column(Big, ForeignKey("clusters.id"))
    slot: Mapped[str | None] = mapped_column(String(80), unique=True)
    """Which turn of the schedule this is: two beats, or a beat that fires twice, make one scan."""
    tables: Mapped[Count]
    files: Mapped[Count]
    small_files: Mapped[Count]


class ScanRecord(Base):
    """What one scan found in one table. Never changed, never overwritten: the history of the table."""

    __tablename__ = "scan_records"
    __table_args__ = (
        Index("ix_scan_records_scan_task_id", "scan_task_id"),
        Index("ix_scan_records_cluster_scanned", "cluster_id", "scanned_at"),
        Index("ix_scan_records_task_ratio", "scan_task_id", "small_file_ratio"),
    )
    # Defaults that the database fills are read when they are asked for, not at every insert:
    # 0.9.0 on an old schema may not name the newer columns.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy reads a plain dictionary

    id: Mapped[Id]
    scan_task_id: Mapped[int] = mapped_column(Big, ForeignKey("scan_tasks.id"))
    cluster_id: Mapped[int] = mapped_column(Big, ForeignKey("clusters.id"))
    database_name: Mapped[Name]
    table_name: Mapped[Name]
    partitions: Mapped[Count]
    total_files: Mapped[Count]
    small_files: Mapped[Count]
    total_bytes: Mapped[Count]
    small_bytes: Mapped[Count]
    scanned_at: Mapped[Moment]
    small_file_ratio: Mapped[float | None] = mapped_column(
        Float, FetchedValue(), deferred=True, deferred_group=RATIO_GROUP, info={SINCE: "0003"}
    )
    """Filled by a trigger, whichever version inserts: while a canary runs, both do."""
    avg_file_bytes: Mapped[int | None] = mapped_column(
        BigInteger, FetchedValue(), deferred=True, deferred_group=RATIO_GROUP, info={SINCE: "0003"}
    )


class PartitionRecord(Base):
    """What one scan found in one partition that holds small files."""

    __tablename__ = "partition_records"
    __table_args__ = (Index("ix_partition_records_scan_record_id", "scan_record_id"),)

    id: Mapped[Id]
    scan_record_id: Mapped[int] = mapped_column(Big, ForeignKey("scan_records.id"))
    partition: Mapped[str] = mapped_column(Text)
    total_files: Mapped[Count]
    small_files: Mapped[Count]
    total_bytes: Mapped[Count]
    small_bytes: Mapped[Count]


class MergeTask(TaskColumns, Base):
    """One merge of the small files of one partition."""

    __tablename__ = "merge_tasks"
    __table_args__ = (Index("ix_merge_tasks_status", "status"),)

    cluster_id: Mapped[int] = mapped_column(Big, ForeignKey("clusters.id"))
    database_name: Mapped[Name]
    table_name: Mapped[Name]
    partition: Mapped[str] = mapped_column(Text, server_default="", default="")
    files_before: Mapped[Count]
    files_after: Mapped[Count]
    bytes_before: Mapped[Count]
    bytes_after: Mapped[Count]
    row_count: Mapped[Count]


class TaskLog(Base):
    """A line about a task, for people; removed after APP_LOG_RETENTION_DAYS."""

    __tablename__ = "task_logs"
    __table_args__ = (
        Index("ix_task_logs_logged_at", "logged_at"),
        Index("ix_task_logs_task", "task_kind", "task_id"),
    )

    id: Mapped[Id]
    task_kind: Mapped[Status]
    task_id: Mapped[int] = mapped_column(Big)
    logged_at: Mapped[Moment]
    message: Mapped[str] = mapped_column(Text)
