"""Carry out a scan task: walk, count, record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from app.db.models import Cluster, PartitionRecord, ScanRecord, ScanTask
from app.errors import PlatformError, StorageUnreachableError
from app.monitoring import prometheus_metrics as metrics
from app.names import OPEN_STATUSES, TaskStatus
from app.scan.counting import count_files
from app.scan.walking import walk
from app.storage.opening import open_tree
from app.work import end, take

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.scan.counting import TableCount, WarehouseCount
    from app.scan.layout import TableName
    from app.settings import Settings


def run_scan(engine: Engine, settings: Settings, task_id: int) -> None:
    """Scan the task's cluster and keep what was found, all of it or nothing.

    Safe to run twice, one after another or at once: the records are written by whoever ends the task.

    :raises StorageUnreachableError: the tree did not answer; the task stays open for a retry.
    """
    with Session(engine, expire_on_commit=False) as session, session.begin():
        task = take(session, ScanTask, task_id, settings.task_max_attempts)
        cluster = session.get(Cluster, task.cluster_id) if task else None
    if cluster is None:
        return
    try:
        with metrics.SCAN_SECONDS.time():
            found = _count(cluster, settings)
    except StorageUnreachableError:
        raise
    except PlatformError as error:
        _fail(engine, task_id, str(error))
        return
    if _record(engine, task_id, found):
        metrics.SCAN_TASKS.labels(TaskStatus.SUCCESS).inc()
        metrics.TABLES_SCANNED.inc(len(found.tables))


def _count(cluster: Cluster, settings: Settings) -> WarehouseCount:
    tree = open_tree(cluster.root_url, settings.storage_roots, settings.storage_timeout_s)
    entries = walk(tree, settings.scan_timeout_s, settings.scan_max_files)
    return count_files(entries, settings.scan_small_file_bytes)


def _fail(engine: Engine, task_id: int, reason: str) -> None:
    with Session(engine) as session, session.begin():
        task = session.get_one(ScanTask, task_id, with_for_update=True)
        end(session, task, TaskStatus.FAILED, reason)
    metrics.SCAN_TASKS.labels(TaskStatus.FAILED).inc()


def _record(engine: Engine, task_id: int, found: WarehouseCount) -> bool:
    with Session(engine) as session, session.begin():
        task = session.get_one(ScanTask, task_id, with_for_update=True)
        if task.status not in OPEN_STATUSES:
            return False  # delivered twice, and the other one was faster
        now = datetime.now(UTC)
        for name, table in sorted(found.tables.items()):
            record = _scan_record(task, name, table, now)
            session.add(record)
            session.flush()
            session.add_all(_partition_records(record.id, table))
        task.tables, task.files, task.small_files = len(found.tables), found.files, found.small_files
        cluster = session.get_one(Cluster, task.cluster_id, with_for_update=True)
        cluster.last_scan_task_id = max(task.id, cluster.last_scan_task_id or 0)
        end(
            session, task, TaskStatus.SUCCESS,
            f"{len(found.tables)} tables, {found.files} files, {found.small_files} of them small, "
            f"{found.foreign_files} outside of tables",
        )  # fmt: skip
        return True


def _scan_record(task: ScanTask, name: TableName, table: TableCount, now: datetime) -> ScanRecord:
    return ScanRecord(
        scan_task_id=task.id,
        cluster_id=task.cluster_id,
        database_name=name.database,
        table_name=name.table,
        partitions=len([partition for partition in table.partitions if partition]),
        total_files=table.total_files,
        small_files=table.small_files,
        total_bytes=table.total_bytes,
        small_bytes=table.small_bytes,
        scanned_at=now,
    )


def _partition_records(record_id: int, table: TableCount) -> list[PartitionRecord]:
    # Only partitions with something to merge: a table may have ten thousand that are well.
    return [
        PartitionRecord(
            scan_record_id=record_id,
            partition=partition,
            total_files=count.total_files,
            small_files=count.small_files,
            total_bytes=count.total_bytes,
            small_bytes=count.small_bytes,
        )
        for partition, count in sorted(table.partitions.items())
        if count.small_files
    ]
