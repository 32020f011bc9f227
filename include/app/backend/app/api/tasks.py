"""Scan and merge tasks: ask for one, see how far it is, read its log."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api.context import After, Ctx, Limit, get_or_404, newest_first
from app.api.schemas import LogLine, MergeTaskIn, MergeTaskOut, Page, ScanTaskIn, ScanTaskOut
from app.db.models import Cluster, MergeTask, ScanTask, TaskLog
from app.names import API_PREFIX, OPEN_STATUSES, TaskKind, TaskName, TaskStatus

scans = APIRouter(prefix=f"{API_PREFIX}/scan-tasks", tags=["scan tasks"])
merges = APIRouter(prefix=f"{API_PREFIX}/merge-tasks", tags=["merge tasks"])
routers = (scans, merges)

ClusterId = Annotated[int | None, Query(ge=1, le=2**62)]


@scans.get("")
def list_scans(context: Ctx, after: After = 0, limit: Limit = 50, cluster_id: ClusterId = None) -> Page[ScanTaskOut]:
    """List scans, the newest first."""
    with context.reading() as session:
        rows, following = newest_first(session, ScanTask, after, limit, cluster_id)
    return Page(items=[ScanTaskOut.model_validate(row) for row in rows], next_after=following)


@scans.get("/{task_id}")
def get_scan(context: Ctx, task_id: int) -> ScanTaskOut:
    """Return one scan."""
    with context.reading() as session:
        return ScanTaskOut.model_validate(get_or_404(session, ScanTask, task_id))


@scans.get("/{task_id}/log")
def get_scan_log(context: Ctx, task_id: int) -> list[LogLine]:
    """Return the log of one scan."""
    with context.reading() as session:
        return _log(session, TaskKind.SCAN, get_or_404(session, ScanTask, task_id).id)


@scans.post("", status_code=202)
def ask_for_scan(context: Ctx, body: ScanTaskIn) -> ScanTaskOut:
    """Ask for a scan of a cluster."""
    with context.writing() as session:
        get_or_404(session, Cluster, body.cluster_id)
        task = ScanTask(cluster_id=body.cluster_id, status=TaskStatus.PENDING, requested_at=datetime.now(UTC))
        session.add(task)
        session.commit()
    context.dispatch(TaskName.SCAN_CLUSTER, task.id)
    return ScanTaskOut.model_validate(task)


@merges.get("")
def list_merges(context: Ctx, after: After = 0, limit: Limit = 50, cluster_id: ClusterId = None) -> Page[MergeTaskOut]:
    """List merges, the newest first."""
    with context.reading() as session:
        rows, following = newest_first(session, MergeTask, after, limit, cluster_id)
    return Page(items=[MergeTaskOut.model_validate(row) for row in rows], next_after=following)


@merges.get("/{task_id}")
def get_merge(context: Ctx, task_id: int) -> MergeTaskOut:
    """Return one merge."""
    with context.reading() as session:
        return MergeTaskOut.model_validate(get_or_404(session, MergeTask, task_id))


@merges.get("/{task_id}/log")
def get_merge_log(context: Ctx, task_id: int) -> list[LogLine]:
    """Return the log of one merge."""
    with context.reading() as session:
        return _log(session, TaskKind.MERGE, get_or_404(session, MergeTask, task_id).id)


@merges.post("", status_code=202)
def ask_for_merge(context: Ctx, body: MergeTaskIn) -> MergeTaskOut:
    """Ask for a merge of one partition."""
    with context.writing() as session:
        # The row of the cluster is locked, so that two requests at once do not make two merges of one partition.
        session.get(Cluster, body.cluster_id, with_for_update=True)
        get_or_404(session, Cluster, body.cluster_id)
        wanted = select(MergeTask.id).filter_by(**body.model_dump()).where(MergeTask.status.in_(OPEN_STATUSES)).limit(1)
        if (open_id := session.scalar(wanted)) is not None:
            raise HTTPException(409, f"merge task {open_id} of this partition is not finished")
        task = MergeTask(status=TaskStatus.PENDING, requested_at=datetime.now(UTC), **body.model_dump())
        session.add(task)
        session.commit()
    context.dispatch(TaskName.MERGE_PARTITION, task.id)
    return MergeTaskOut.model_validate(task)


def _log(session: Session, kind: TaskKind, task_id: int) -> list[LogLine]:
    query = (
        select(TaskLog).where(TaskLog.task_kind == kind, TaskLog.task_id == task_id).order_by(TaskLog.id).limit(1000)
    )
    return [LogLine.model_validate(row) for row in session.scalars(query)]
