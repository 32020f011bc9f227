"""Count and time every task of this worker, by version: a follower of a canary is judged by it."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import sentry_sdk
from celery import signals
from prometheus_client import multiprocess

from app.monitoring import prometheus_metrics as metrics
from app.names import QUEUE_OF_TASK, TaskName
from app.release import current_release

if TYPE_CHECKING:
    from app.worker.tasks import Runtime

logger = logging.getLogger(__name__)


def observe_tasks(runtime: Runtime) -> None:
    """Connect the series to Celery's signals, in the main process and in each task process."""
    version = current_release().version
    started: dict[str, float] = {}

    def on_start(task_id: str, **_: Any) -> None:
        started[task_id] = time.perf_counter()

    def on_end(task_id: str, task: Any, **_: Any) -> None:
        begun = started.pop(task_id, None)
        if begun is not None:
            metrics.TASK_SECONDS.labels(version, task.name).observe(time.perf_counter() - begun)

    def count(name: str, status: str) -> None:
        queue = QUEUE_OF_TASK[TaskName(name)] if name in QUEUE_OF_TASK else "unknown"
        metrics.TASKS.labels(version, name, queue, status).inc()

    def on_failure(sender: Any, exception: BaseException, **_: Any) -> None:
        count(sender.name, "failure")
        sentry_sdk.capture_exception(exception)

    def on_child(**_: Any) -> None:
        runtime.after_fork()

    def on_child_end(**_: Any) -> None:
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    # weak=False: these functions live as long as the process, and nobody else holds them.
    signals.task_prerun.connect(on_start, weak=False)
    signals.task_postrun.connect(on_end, weak=False)
    signals.task_success.connect(lambda sender, **_: count(sender.name, "success"), weak=False)
    signals.task_retry.connect(lambda sender, **_: count(sender.name, "retry"), weak=False)
    signals.task_failure.connect(on_failure, weak=False)
    signals.worker_process_init.connect(on_child, weak=False)
    signals.worker_process_shutdown.connect(on_child_end, weak=False)
