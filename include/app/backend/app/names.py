"""Names that cross a process: states in the database, queues, task names."""

from __future__ import annotations

from enum import StrEnum

APPLICATION = "hive-platform"
"""Written into the database once, so that no process works on somebody else's."""


API_PREFIX = "/api/v1"


class Environment(StrEnum):
    """Where a process runs; production refuses what development forgives."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class Queue(StrEnum):
    """The queues of the broker; a worker that listens to fewer leaves work undone."""

    SCAN = "scan"
    MERGE = "merge"


class TaskName(StrEnum):
    """Celery tasks by their wire name; an old worker must find them under the same name."""

    SCAN_CLUSTER = "hive.scan_cluster"
    SCHEDULE_SCANS = "hive.schedule_scans"
    CLEAN_LOGS = "hive.clean_logs"
    PROBE_SCAN = "hive.probe_scan"
    MERGE_PARTITION = "hive.merge_partition"
    DISPATCH_MERGES = "hive.dispatch_merges"
    PROBE_MERGE = "hive.probe_merge"


QUEUE_OF_TASK = {
    TaskName.SCAN_CLUSTER: Queue.SCAN,
    TaskName.SCHEDULE_SCANS: Queue.SCAN,
    TaskName.CLEAN_LOGS: Queue.SCAN,
    TaskName.PROBE_SCAN: Queue.SCAN,
    TaskName.MERGE_PARTITION: Queue.MERGE,
    TaskName.DISPATCH_MERGES: Queue.MERGE,
    TaskName.PROBE_MERGE: Queue.MERGE,
}


class TaskStatus(StrEnum):
    """How far a scan or merge has come."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN_STATUSES = frozenset({TaskStatus.PENDING, TaskStatus.RUNNING})
"""Work that somebody still has to finish."""


class TaskKind(StrEnum):
    """Whose log a line belongs to."""

    SCAN = "scan"
    MERGE = "merge"


class Feature(StrEnum):
    """What a version can do that the one before could not; the page asks for it by name."""

    SMALL_FILE_RATIO = "small-file-ratio"
