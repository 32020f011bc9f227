"""Send probe tasks: python -m app.worker.probe --queue scan --count 20."""

from __future__ import annotations

import argparse
import logging

from app.names import Queue, TaskName
from app.startup import start_process
from app.worker.celery_app import make_celery, send
from app.worker.payloads import ProbePayload

PROBES = {Queue.SCAN: TaskName.PROBE_SCAN, Queue.MERGE: TaskName.PROBE_MERGE}

logger = logging.getLogger("app.probe")


def main() -> None:
    """Send the probes and leave."""
    parser = argparse.ArgumentParser(prog="python -m app.worker.probe", description=__doc__)
    parser.add_argument("--queue", choices=list(Queue), default=Queue.SCAN, type=Queue)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--marker", default="", help="comes back in the worker's log")
    parser.add_argument("--work-s", type=float, default=0, help="how long each probe takes")
    parser.add_argument("--fail", action="store_true", help="let the probes fail")
    chosen = parser.parse_args()
    celery = make_celery(start_process("probe"))
    payload = ProbePayload(marker=chosen.marker, work_s=chosen.work_s, fail=chosen.fail)
    for _ in range(chosen.count):
        send(celery, PROBES[chosen.queue], payload)
    logger.info("probes sent", extra={"queue": chosen.queue, "count": chosen.count, "marker": chosen.marker})


if __name__ == "__main__":
    main()
