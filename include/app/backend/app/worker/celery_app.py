"""Celery as the platform uses it: two queues, late acknowledgement, one schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from celery import Celery
from celery.schedules import crontab
from kombu import Queue as BrokerQueue

from app.names import QUEUE_OF_TASK, Queue, TaskName
from app.release import current_release
from app.worker.payloads import Payload, ScheduledPayload, write_payload

if TYPE_CHECKING:
    from app.settings import Settings


def make_celery(settings: Settings) -> Celery:
    """Make the Celery application; nothing is connected yet."""
    celery = Celery("hive-platform", broker=broker_url(settings))
    celery.conf.update(_delivery(settings), **_connection(settings))
    celery.conf.update(
        task_queues=[BrokerQueue(queue) for queue in Queue],
        task_routes={task: {"queue": queue} for task, queue in QUEUE_OF_TASK.items()},
        task_default_queue=Queue.SCAN,
        task_create_missing_queues=False,  # a misspelt queue is an error, not a queue that nobody reads
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # results live in the database
        timezone="UTC",
        beat_schedule=_schedule(),
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_concurrency=settings.worker_concurrency,
    )
    return celery


def send(celery: Celery, task: TaskName, payload: Payload) -> None:
    """Put a task into its queue, in the words of this version's payload schema.

    :raises kombu.exceptions.OperationalError: the broker does not answer; the caller's row stays pending,
    and the
        schedule sends it later.
    """
    release = current_release()
    body = write_payload(payload, release.payload_schema, release.version)
    celery.send_task(task, kwargs={"payload": body}, queue=QUEUE_OF_TASK[task])


def broker_url(settings: Settings) -> str:
    """Join the address of Redis and its password, which live apart."""
    if settings.redis_password is None:
        return settings.redis_url
    parts = urlsplit(settings.redis_url)
    user = parts.username or ""
    address = parts.netloc.rpartition("@")[2]
    password = quote(settings.redis_password.get_secret_value(), safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{address}"))


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        # A task is acknowledged when it is done: a worker that dies gives it back.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_soft_time_limit": settings.task_soft_limit_s,
        "task_time_limit": settings.task_hard_limit_s,
        # One task a process: what waits stays in the broker, where another worker finds it.
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_max_tasks_per_child": 200,
    }


def _connection(settings: Settings) -> dict[str, Any]:
    return {
        "broker_transport_options": {
            "visibility_timeout": settings.task_visibility_timeout_s,
            "socket_timeout": settings.redis_timeout_s,
            "socket_connect_timeout": settings.redis_timeout_s,
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives its broker's restart
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2},
    }


def _schedule() -> dict[str, Any]:
    # crontab and not an interval: beat's own file is lost with its container, and an interval would start
    # anew.
    release = current_release()
    body = write_payload(ScheduledPayload(), release.payload_schema, release.version)
    turns = {
        TaskName.SCHEDULE_SCANS: crontab(minute="0", hour="*/6"),
        TaskName.DISPATCH_MERGES: crontab(minute="10"),
        TaskName.CLEAN_LOGS: crontab(minute="30", hour="3"),
    }
    return {
        str(task): {
            "task": str(task),
            "schedule": turn,
            "kwargs": {"payload": body},
            "options": {"queue": str(QUEUE_OF_TASK[task])},
        }
        for task, turn in turns.items()
    }
