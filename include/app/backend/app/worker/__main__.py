"""Run a worker of both queues: python -m app.worker [--queues scan,merge]."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import tempfile
import threading
from typing import Any

# Before anything imports the metrics: the client library looks at this variable when it is imported.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="prometheus-"))

from celery import signals

from app.db.engine import make_engine
from app.monitoring import prometheus_metrics as metrics
from app.names import Queue
from app.readiness import Readiness, make_redis
from app.release import current_release
from app.startup import start_process
from app.worker.celery_app import make_celery
from app.worker.door import Pulse, open_door
from app.worker.observing import observe_tasks
from app.worker.tasks import Runtime, register_tasks

logger = logging.getLogger("app.worker")


def main() -> None:
    """Work until SIGTERM; then finish what runs, or hand it back after APP_WORKER_SHUTDOWN_GRACE_S."""
    parser = argparse.ArgumentParser(prog="python -m app.worker", description=__doc__)
    parser.add_argument("--queues", default=",".join(Queue), help="queues to work off, comma-separated")
    queues = parser.parse_args().queues
    settings = start_process("worker")
    celery = make_celery(settings)
    runtime = Runtime(settings, celery)
    register_tasks(runtime)
    observe_tasks(runtime)
    pulse = Pulse()
    readiness = Readiness(make_engine(settings, "worker-door"), make_redis(settings), settings.environment)
    metrics.BUILD_INFO.labels(current_release().version, "worker").set(1)

    def on_ready(**_: Any) -> None:
        # After the task processes were forked, so that none of them inherits the door.
        open_door(settings.metrics_port, readiness, pulse)

    def on_shutdown(how: str, **_: Any) -> None:
        readiness.is_draining = True
        if how == "Warm":
            _hand_back_after(settings.worker_shutdown_grace_s)

    signals.worker_ready.connect(on_ready, weak=False)
    signals.heartbeat_sent.connect(pulse.beat, weak=False)
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    celery.worker_main(["worker", "--queues", queues, "--loglevel", settings.log_level, "--without-mingle"])


def _hand_back_after(grace_s: float) -> None:
    """Turn the warm shutdown into a cold one: what is not acknowledged goes back to the broker."""

    def escalate() -> None:
        logger.warning("tasks still run after %g s, handing them back", grace_s)
        os.kill(os.getpid(), signal.SIGQUIT)

    timer = threading.Timer(grace_s, escalate)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
