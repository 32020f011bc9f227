"""What every route may ask for: the database session, the broker, the settings."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

from celery import Celery
from fastapi import Depends, HTTPException, Query, Request
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError
from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from app.db.models import Cluster, MergeTask, ScanRecord, ScanTask
from app.names import TaskName
from app.readiness import Readiness
from app.release import Release
from app.settings import Settings
from app.worker.celery_app import send
from app.worker.payloads import TaskPayload

MAX_PAGE = 500
_BIGGEST_ID = 2**63

Row = TypeVar("Row", Cluster, ScanTask, MergeTask, ScanRecord)
Task = TypeVar("Task", ScanTask, MergeTask)


@dataclass(frozen=True)
class Context:
    """Made once a process, kept in app.state."""

    settings: Settings
    release: Release
    engine: Engine
    celery: Celery
    readiness: Readiness

    def dispatch(self, task: TaskName, task_id: int) -> bool:
        """Send a task whose row is committed.

        :return: False when the broker does not answer: the row waits, and the schedule sends it.
        """
        try:
            send(self.celery, task, TaskPayload(task_id=task_id))
        except (BrokerError, RedisError, OSError):
            return False
        return True

    def reading(self) -> Session:
        """Open a session for questions: each is its own transaction, which saves BEGIN and ROLLBACK on the wire.

        Open it inside the route and close it there. A dependency would give the connection back after the answer is
        written, and between the route and that the answer waits for a thread; threads that wait for a connection
        meanwhile are enough to stop everything.
        """
        return Session(self.engine.execution_options(isolation_level="AUTOCOMMIT"))

    def writing(self) -> Session:
        """Open a session for one transaction; what is not committed is rolled back. Close it inside the route."""
        return Session(self.engine, expire_on_commit=False)


def context_of(request: Request) -> Context:
    """Return the process's context."""
    context = request.app.state.context
    assert isinstance(context, Context)  # noqa: S101 - for the type checker
    return context


Ctx = Annotated[Context, Depends(context_of)]
After = Annotated[int, Query(ge=0, le=2**62, description="next_after of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


def get_or_404(session: Session, kind: type[Row], row_id: int) -> Row:
    """Return a row by its id.

    :raises HTTPException: 404 with a sentence.
    """
    row = session.get(kind, row_id) if row_id < _BIGGEST_ID else None
    if row is None:
        raise HTTPException(404, f"no {kind.__tablename__.rstrip('s').replace('_', ' ')} with id {row_id}")
    return row


def newest_first(
    session: Session, kind: type[Task], after: int, limit: int, cluster_id: int | None
) -> tuple[list[Task], int | None]:
    """Return a page of tasks, the newest first.

    :param after: start below this id; 0: from the top.
    :return: the rows, and the `after` of the next page, None on the last one.
    """
    query: Select[tuple[Task]] = select(kind).order_by(kind.id.desc()).limit(limit + 1)
    if after:
        query = query.where(kind.id < after)
    if cluster_id is not None:
        query = query.where(kind.cluster_id == cluster_id)
    rows = list(session.scalars(query))
    more = len(rows) > limit
    return rows[:limit], rows[limit - 1].id if more else None
