"""The tasks by their wire names: read the payload, call the work, retry what may pass."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import OperationalError

from app.db.engine import make_engine
from app.errors import MergeLockedError, PayloadError, PlatformError, StorageUnreachableError
from app.merge.service import run_merge
from app.names import TaskName
from app.scan.service import run_scan
from app.worker.payloads import P, ProbePayload, ScheduledPayload, TaskPayload, read_payload
from app.worker.scheduled import clean_logs, dispatch_merges, schedule_scans

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery import Celery
    from celery.app.task import Task
    from sqlalchemy import Engine

    from app.settings import Settings

PASSING = (StorageUnreachableError, MergeLockedError, OperationalError)
"""What may be gone at the next try."""
_STEP_S = 0.2

logger = logging.getLogger(__name__)


class ProbeFailedError(PlatformError):
    """The probe was asked to fail."""


class Runtime:
    """What tasks share within one process."""

    def __init__(self, settings: Settings, celery: Celery) -> None:
        self.settings = settings
        self.celery = celery

    @cached_property
    def engine(self) -> Engine:
        """The pool of this process, made at first use."""
        return make_engine(self.settings, "worker")

    def after_fork(self) -> None:
        """Forget connections of the parent: two processes on one socket would read each other's answers."""
        engine = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.dispose(close=False)


def register_tasks(runtime: Runtime) -> None:
    """Put every task under its wire name."""
    _register(runtime, TaskName.SCAN_CLUSTER, TaskPayload, _scan_cluster)
    _register(runtime, TaskName.MERGE_PARTITION, TaskPayload, _merge_partition)
    _register(runtime, TaskName.SCHEDULE_SCANS, ScheduledPayload, _schedule_scans)
    _register(runtime, TaskName.DISPATCH_MERGES, ScheduledPayload, _dispatch_merges)
    _register(runtime, TaskName.CLEAN_LOGS, ScheduledPayload, _clean_logs)
    _register(runtime, TaskName.PROBE_SCAN, ProbePayload, _probe)
    _register(runtime, TaskName.PROBE_MERGE, ProbePayload, _probe)


def _register(runtime: Runtime, name: TaskName, kind: type[P], work: Callable[[Runtime, P], None]) -> None:
    def task(self: Task[Any, Any], /, payload: object = None, **_unknown: object) -> None:
        # _unknown: arguments of a later version, ignored like unknown fields of the payload.
        try:
            work(runtime, read_payload(kind, payload))
        except PayloadError as error:
            # It would read the same at the next delivery: away with it, and say so.
            logger.error("payload refused: %s", error, extra={"task": name})  # noqa: TRY400
            raise
        except PASSING as error:
            delay_s = runtime.settings.task_retry_delay_s * 2**self.request.retries
            logger.warning("trying again in %g s: %s", delay_s, type(error).__name__, extra={"task": name})
            raise self.retry(exc=error, countdown=delay_s, max_retries=runtime.settings.task_max_attempts) from error

    runtime.celery.task(name=name, bind=True)(task)


def _scan_cluster(runtime: Runtime, payload: TaskPayload) -> None:
    run_scan(runtime.engine, runtime.settings, payload.task_id)


def _merge_partition(runtime: Runtime, payload: TaskPayload) -> None:
    run_merge(runtime.engine, runtime.settings, payload.task_id)


def _schedule_scans(runtime: Runtime, payload: ScheduledPayload) -> None:  # noqa: ARG001
    schedule_scans(runtime.engine, runtime.celery, datetime.now(UTC))


def _dispatch_merges(runtime: Runtime, payload: ScheduledPayload) -> None:  # noqa: ARG001
    dispatch_merges(runtime.engine, runtime.celery, datetime.now(UTC))


def _clean_logs(runtime: Runtime, payload: ScheduledPayload) -> None:  # noqa: ARG001
    clean_logs(runtime.engine, runtime.settings.log_retention_days, datetime.now(UTC))


def _probe(runtime: Runtime, payload: ProbePayload) -> None:
    """Prove that the queue is worked off, down to the database; take as long as asked."""
    deadline = time.monotonic() + payload.work_s
    logger.info("probe begins, %g s of work", payload.work_s)
    with runtime.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _STEP_S))
    logger.info("probe done", extra={"marker": payload.marker, "sent_by": payload.sent_by})
    if payload.fail:
        raise ProbeFailedError(f"probe {payload.marker!r} was asked to fail")
