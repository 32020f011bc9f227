"""Business figures that live in the database, not in a process: every API pod tells the same ones.

They are read every APP_METRICS_REFRESH_S in the background: a scrape never waits for the database, and when
it is down the last figures stay, with their growing age.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from app.db.models import Cluster, MergeTask, ScanRecord, ScanTask
from app.names import Queue, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric
    from sqlalchemy.orm import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatabaseFigures:
    """Small files, files and tables of one database, from the newest scan of its cluster."""

    cluster: str
    database: str
    small_files: int
    files: int
    tables: int


@dataclass(frozen=True)
class Figures:
    """One look at the database and the broker."""

    taken_at: float = 0
    databases: tuple[DatabaseFigures, ...] = ()
    last_success: Mapping[str, float] = field(default_factory=dict)
    scans: Mapping[str, int] = field(default_factory=dict)
    merges: Mapping[str, int] = field(default_factory=dict)
    oldest_merge_s: float = 0
    queues: Mapping[Queue, int] = field(default_factory=dict)


def read_figures(session: Session, queues: Mapping[Queue, int]) -> Figures:
    """Read the figures.

    :param queues: tasks waiting in the broker; empty when it is down, so that its series are absent and not
    0.
    """
    newest = (
        select(
            Cluster.name,
            ScanRecord.database_name,
            func.sum(ScanRecord.small_files),
            func.sum(ScanRecord.total_files),
            func.count(),
        )
        .join(ScanRecord, ScanRecord.scan_task_id == Cluster.last_scan_task_id)
        .group_by(Cluster.name, ScanRecord.database_name)
    )
    finished = select(Cluster.name, ScanTask.finished_at).join(ScanTask, ScanTask.id == Cluster.last_scan_task_id)
    oldest = session.scalar(select(func.min(MergeTask.requested_at)).where(MergeTask.status == TaskStatus.PENDING))
    return Figures(
        taken_at=time.time(),
        databases=tuple(
            DatabaseFigures(cluster, database, int(small), int(files), tables)
            for cluster, database, small, files, tables in session.execute(newest)
        ),
        last_success={name: moment.timestamp() for name, moment in session.execute(finished) if moment},
        scans=_by_status(session, ScanTask),
        merges=_by_status(session, MergeTask),
        oldest_merge_s=max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0,
        queues=queues,
    )


def _by_status(session: Session, kind: type[ScanTask | MergeTask]) -> dict[str, int]:
    counted = dict(session.execute(select(kind.status, func.count()).group_by(kind.status)).tuples().all())
    return {status: counted.get(status, 0) for status in TaskStatus}


class BusinessCollector(Collector):
    """Renders the last figures at each scrape."""

    def __init__(self) -> None:
        self.figures = Figures()

    def describe(self) -> list[Metric]:
        """Announce nothing in advance: registering must not read anything."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the series; none at all before the first look at the database."""
        figures = self.figures
        if not figures.taken_at:
            return
        yield GaugeMetricFamily(
            "hive_business_figures_age_seconds", "Since the figures below were read.",
            value=max(0.0, time.time() - figures.taken_at),
        )  # fmt: skip
        yield from _of_databases(figures)
        yield _labelled(
            "hive_scan_last_success_timestamp_seconds",
            "End of the newest good scan.",
            "cluster",
            figures.last_success,
        )
        yield _labelled("hive_scan_tasks", "Scans by state.", "status", figures.scans)
        yield _labelled("hive_merge_tasks", "Merges by state.", "status", figures.merges)
        yield _labelled("celery_queue_length", "Tasks waiting in the broker.", "queue", figures.queues)
        yield GaugeMetricFamily(
            "hive_merge_queue_oldest_seconds",
            "Age of the oldest merge that waits.",
            value=figures.oldest_merge_s,
        )


def _of_databases(figures: Figures) -> Iterator[Metric]:
    labels = ["cluster", "database"]
    small = GaugeMetricFamily("hive_small_files", "Small files in the newest scan.", labels=labels)
    files = GaugeMetricFamily("hive_files", "Files in the newest scan.", labels=labels)
    ratio = GaugeMetricFamily("hive_small_file_ratio", "Share of small files, 0 to 1.", labels=labels)
    tables = GaugeMetricFamily("hive_tables", "Tables in the newest scan.", labels=labels)
    for row in figures.databases:
        where = [row.cluster, row.database]
        small.add_metric(where, row.small_files)
        files.add_metric(where, row.files)
        ratio.add_metric(where, row.small_files / row.files if row.files else 0)
        tables.add_metric(where, row.tables)
    yield from (small, files, ratio, tables)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float] | Mapping[Queue, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
