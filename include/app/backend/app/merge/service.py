"""Carry out a merge task: lock the partition, finish what others left, merge, record."""

from __future__ import annotations

import hashlib
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.models import Cluster, MergeTask
from app.errors import (
    MergeLockedError,
    PlatformError,
    RowMismatchError,
    SourceChangedError,
    StorageUnreachableError,
)
from app.merge.merging import Merge, MergeLimits, MergeResult, unfinished_keys
from app.monitoring import prometheus_metrics as metrics
from app.names import TaskStatus
from app.scan.layout import Location, TableName
from app.storage.opening import open_tree
from app.work import end, take

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from app.settings import Settings

STRATEGY = "concatenate"

logger = logging.getLogger(__name__)


def run_merge(engine: Engine, settings: Settings, task_id: int) -> None:
    """Merge the task's partition and record what came of it. Safe after a kill at any line.

    :raises StorageUnreachableError: the tree did not answer; the task stays open for a retry.
    :raises MergeLockedError: another worker has the partition; the task stays open for a retry.
    """
    with Session(engine) as session:
        task = session.get(MergeTask, task_id)
        if task is None:
            logger.warning("unknown merge task", extra={"task_id": task_id})
            return
        folder = location_of(task).folder
        cluster_id = task.cluster_id
    with partition_lock(engine, f"{cluster_id}:{folder}"):
        _run_locked(engine, settings, task_id)


def location_of(task: MergeTask) -> Location:
    """Return where the task's files lie."""
    return Location(TableName(task.database_name, task.table_name), task.partition)


@contextmanager
def partition_lock(engine: Engine, name: str) -> Iterator[None]:
    """Hold a partition for one merge; the lock ends with the process, however that ends.

    :raises MergeLockedError: somebody else holds it.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            raise MergeLockedError(f"{name}: another worker merges this partition")
        metrics.MERGE_LOCKS.inc()
        try:
            yield
        finally:
            metrics.MERGE_LOCKS.dec()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def _run_locked(engine: Engine, settings: Settings, task_id: int) -> None:
    with Session(engine, expire_on_commit=False) as session, session.begin():
        task = take(session, MergeTask, task_id, settings.task_max_attempts)
        cluster = session.get(Cluster, task.cluster_id) if task else None
    if task is None or cluster is None:
        return
    try:
        with metrics.MERGE_SECONDS.time():
            merge, result = _merge(cluster, task, settings)
    except StorageUnreachableError:
        raise
    except PlatformError as error:
        if isinstance(error, RowMismatchError):
            metrics.MERGE_ROW_MISMATCH.inc()
        _end(engine, task_id, MergeResult(), TaskStatus.FAILED, str(error))
        return
    _end(
        engine, task_id, result, TaskStatus.SUCCESS,
        f"{result.files_before} files became {result.files_after}, "
        f"{result.rows} rows in {result.bytes_after} bytes",
    )  # fmt: skip
    merge.finish()


def _merge(cluster: Cluster, task: MergeTask, settings: Settings) -> tuple[Merge, MergeResult]:
    tree = open_tree(cluster.root_url, settings.storage_roots, settings.storage_timeout_s)
    folder = location_of(task).folder
    limits = MergeLimits(
        settings.scan_small_file_bytes,
        settings.merge_target_bytes,
        settings.merge_min_files,
        settings.merge_max_files,
    )
    own = str(task.id)
    for key in unfinished_keys(tree, folder):
        if key != own:
            logger.warning("finishing what another merge left", extra={"task_id": task.id, "other": key})
            left = Merge(tree, folder, key, limits)
            with suppress(SourceChangedError):  # undone: that is an end too
                left.resume()
            left.finish()
    merge = Merge(tree, folder, own, limits)
    return merge, merge.run()


def _end(engine: Engine, task_id: int, result: MergeResult, status: TaskStatus, message: str) -> None:
    with Session(engine) as session, session.begin():
        task = session.get_one(MergeTask, task_id, with_for_update=True)
        task.files_before, task.files_after = result.files_before, result.files_after
        task.bytes_before, task.bytes_after = result.bytes_before, result.bytes_after
        task.row_count = result.rows
        end(session, task, status, message)
    metrics.MERGE_TASKS.labels(status, STRATEGY).inc()
    metrics.MERGE_FILES_BEFORE.inc(result.files_before)
    metrics.MERGE_FILES_AFTER.inc(result.files_after)
    metrics.MERGE_BYTES.inc(result.bytes_after)
    metrics.MERGE_ROWS.inc(result.rows)
