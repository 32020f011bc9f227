"""What beat starts: scans, merges that wait, the clean-up of logs. Safe twice in one turn."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import Cluster, MergeTask, ScanTask, TaskLog
from app.names import TaskName, TaskStatus
from app.worker.celery_app import send
from app.worker.payloads import TaskPayload

if TYPE_CHECKING:
    from celery import Celery
    from sqlalchemy import Engine

SCAN_EVERY_H = 6
LOG_BATCH = 10_000
MOST_MERGES_A_TURN = 500
ABANDONED_AFTER = timedelta(hours=1)
"""A running task whose worker vanished is sent again; a merge that is only slow holds its lock."""

logger = logging.getLogger(__name__)


def schedule_scans(engine: Engine, celery: Celery, now: datetime) -> int:
    """Make and send one scan a cluster for this turn, and send again what was never taken.

    :return: tasks sent.
    """
    slot = now.replace(hour=now.hour - now.hour % SCAN_EVERY_H).strftime("%Y-%m-%dT%H")
    with Session(engine) as session:
        clusters = session.scalars(select(Cluster.id).order_by(Cluster.id)).all()
    for cluster_id in clusters:
        _make_scan(engine, cluster_id, f"{cluster_id}/{slot}", now)
    return _send_open(engine, celery, ScanTask, TaskName.SCAN_CLUSTER, now)


def dispatch_merges(engine: Engine, celery: Celery, now: datetime) -> int:
    """Send the merges that wait, or whose worker vanished.

    :return: tasks sent.
    """
    return _send_open(engine, celery, MergeTask, TaskName.MERGE_PARTITION, now)


def clean_logs(engine: Engine, keep_days: int, now: datetime) -> int:
    """Remove old lines of task logs, in batches, so that no statement holds many rows.

    :return: lines removed.
    """
    oldest = now - timedelta(days=keep_days)
    removed = 0
    while True:
        batch = select(TaskLog.id).where(TaskLog.logged_at < oldest).limit(LOG_BATCH)
        with engine.begin() as connection:
            changed = connection.execute(delete(TaskLog).where(TaskLog.id.in_(batch))).rowcount
        removed += changed
        if changed < LOG_BATCH:
            logger.info("task logs cleaned", extra={"removed": removed})
            return removed


def _make_scan(engine: Engine, cluster_id: int, slot: str, now: datetime) -> None:
    try:
        with Session(engine) as session, session.begin():
            session.add(ScanTask(cluster_id=cluster_id, status=TaskStatus.PENDING, requested_at=now, slot=slot))
    except IntegrityError:
        logger.info("this turn's scan is there already", extra={"slot": slot})


def _send_open(engine: Engine, celery: Celery, kind: type[ScanTask | MergeTask], name: TaskName, now: datetime) -> int:
    abandoned = (kind.status == TaskStatus.RUNNING) & (kind.started_at < now - ABANDONED_AFTER)
    waiting = or_(kind.status == TaskStatus.PENDING, abandoned)
    with Session(engine) as session:
        ids = session.scalars(select(kind.id).where(waiting).order_by(kind.id).limit(MOST_MERGES_A_TURN)).all()
    for task_id in ids:
        send(celery, name, TaskPayload(task_id=task_id))
    logger.info("tasks sent", extra={"task": name, "sent": len(ids)})
    return len(ids)
