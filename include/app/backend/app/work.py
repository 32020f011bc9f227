"""Take a task, end a task, and say so in its log: the same for scans and merges."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from app.db.models import MergeTask, ScanTask, TaskLog
from app.names import OPEN_STATUSES, TaskKind, TaskStatus
from app.release import current_release

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

logger = logging.getLogger(__name__)

T = TypeVar("T", ScanTask, MergeTask)
_KIND: dict[type, TaskKind] = {ScanTask: TaskKind.SCAN, MergeTask: TaskKind.MERGE}
_MAX_ERROR = 2000


def take(session: Session, kind: type[T], task_id: int, max_attempts: int) -> T | None:
    """Mark a task as running and count the attempt.

    :return: None when there is nothing left to do: unknown, ended, or delivered too often. A task that ends
    its
        worker each time (no memory, for example) would otherwise go round for ever.
    """
    task = session.get(kind, task_id, with_for_update=True)
    if task is None or task.status not in OPEN_STATUSES:
        logger.info("nothing to do", extra={"task_id": task_id, "status": task.status if task else "unknown"})
        return None
    if task.attempts >= max_attempts:
        end(
            session,
            task,
            TaskStatus.FAILED,
            f"given up after {task.attempts} attempts (APP_TASK_MAX_ATTEMPTS)",
        )
        return None
    task.attempts += 1
    task.status = TaskStatus.RUNNING
    task.started_at = datetime.now(UTC)
    task.version = current_release().version
    note(session, task, f"attempt {task.attempts} by version {task.version}")
    return task


def end(session: Session, task: ScanTask | MergeTask, status: TaskStatus, message: str) -> None:
    """Record how a task ended."""
    task.status = status
    task.finished_at = datetime.now(UTC)
    task.error = message[:_MAX_ERROR] if status is TaskStatus.FAILED else None
    note(session, task, message)


def note(session: Session, task: ScanTask | MergeTask, message: str) -> None:
    """Write a line into the task's log, and into the process's."""
    kind = _KIND[type(task)]
    session.add(TaskLog(task_kind=kind, task_id=task.id, logged_at=datetime.now(UTC), message=message[:_MAX_ERROR]))
    logger.info(message, extra={"task_kind": kind, "task_id": task.id})
