"""Run the schedule: python -m app.beat. One of it at a time; two for a moment do no harm."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery.beat import PersistentScheduler

from app.db.engine import make_engine
from app.monitoring import prometheus_metrics as metrics
from app.readiness import Readiness, make_redis
from app.release import current_release
from app.startup import start_process
from app.worker.celery_app import make_celery
from app.worker.door import Pulse, open_door

SCHEDULE_FILE = "/tmp/celerybeat-schedule"  # noqa: S108 - the one writable folder of the container; losing it is harmless
LONGEST_SLEEP_S = 5

pulse = Pulse()


class ObservedScheduler(PersistentScheduler):
    """Celery's scheduler, with a sign of life at each look at the schedule."""

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Look at the schedule once."""
        metrics.BEAT_TICK.set(time.time())
        pulse.beat()
        return float(super().tick(*arguments, **options))


def main() -> None:
    """Send what is due until SIGTERM."""
    settings = start_process("beat")
    celery = make_celery(settings)
    metrics.BUILD_INFO.labels(current_release().version, "beat").set(1)
    readiness = Readiness(make_engine(settings, "beat"), make_redis(settings), settings.environment)
    open_door(settings.metrics_port, readiness, pulse)
    celery.conf.beat_max_loop_interval = LONGEST_SLEEP_S
    celery.Beat(
        schedule=SCHEDULE_FILE,
        scheduler_cls=ObservedScheduler,  # type: ignore[arg-type]  # a class serves as well as its path
        loglevel=logging.getLevelName(logging.getLogger().level),
        redirect_stdouts=False,
        quiet=True,
    ).run()


if __name__ == "__main__":
    main()
