"""All series of the platform: system, application, business. Labels are few; a table's name is never one.

The API is one process a pod: it is scaled by replicas, so its counters live in memory and nothing has to be
joined. The worker forks a process for each task slot, so it uses the multiprocess mode (files under
PROMETHEUS_MULTIPROC_DIR, set before this module is imported), and its main process serves the sum.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BUCKET_GROWTH = 1.1


def buckets(first_s: float, last_s: float) -> tuple[float, ...]:
    """Generate bounds that grow by at most 10 %, so that a quantile is known to 10 %.

    Canaries are judged on P95 > 1.5 x stable: with the usual buckets (0.1, 0.25, 0.5) such a quotient means
    nothing.
    """
    bounds = [first_s]
    while bounds[-1] < last_s:
        # Rounded down, so that rounding never widens a step.
        bounds.append(float(f"{bounds[-1] * BUCKET_GROWTH - bounds[-1] * 5e-4:.4g}"))
    return tuple(bounds)


REQUEST_BUCKETS = buckets(0.001, 30)
TASK_BUCKETS = buckets(0.01, 3600)

# System (beside process_* and python_*, which the client library brings)
BUILD_INFO = Gauge("app_build_info", "Always 1.", ["version", "component"], multiprocess_mode="max")
DATABASE_UP = Gauge("app_database_up", "1 when the last look at the database succeeded.", multiprocess_mode="max")
BROKER_UP = Gauge("app_broker_up", "1 when the last look at Redis succeeded.", multiprocess_mode="max")

# Application
REQUESTS = Counter(
    "http_requests_total", "API requests; probes and /metrics are not among them.",
    ["version", "method", "route", "status"],
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Time to answer an API request.",
    ["version", "route"],
    buckets=REQUEST_BUCKETS,
)
REQUESTS_IN_PROGRESS = Gauge("http_requests_in_progress", "API requests being answered.", multiprocess_mode="livesum")
TASKS = Counter(
    "celery_tasks_total", "Tasks that ended, by how: success, failure, retry.",
    ["version", "task", "queue", "status"],
)  # fmt: skip
TASK_SECONDS = Histogram(
    "celery_task_duration_seconds", "Time of one run of a task.", ["version", "task"], buckets=TASK_BUCKETS
)
BEAT_TICK = Gauge(
    "celery_beat_last_tick_timestamp_seconds",
    "When beat last looked at its schedule.",
    multiprocess_mode="max",
)

# Business, as it happens in a worker
SCAN_TASKS = Counter("hive_scan_tasks_total", "Scans that ended.", ["status"])
SCAN_SECONDS = Histogram("hive_scan_duration_seconds", "Time of one scan of a cluster.", buckets=TASK_BUCKETS)
TABLES_SCANNED = Counter("hive_tables_scanned_total", "Tables found by scans.")
MERGE_TASKS = Counter("hive_merge_tasks_total", "Merges that ended.", ["status", "strategy"])
MERGE_SECONDS = Histogram("hive_merge_duration_seconds", "Time of one merge of a partition.", buckets=TASK_BUCKETS)
MERGE_FILES_BEFORE = Counter("hive_merge_files_before_total", "Small files that merges replaced.")
MERGE_FILES_AFTER = Counter("hive_merge_files_after_total", "Files that merges wrote.")
MERGE_BYTES = Counter("hive_merge_bytes_total", "Bytes that merges wrote.")
MERGE_ROWS = Counter("hive_merge_rows_total", "Rows that merges moved.")
MERGE_ROW_MISMATCH = Counter(
    "hive_merge_row_mismatch_total", "Merges stopped because new files did not hold what the old ones held."
)
MERGE_LOCKS = Gauge(
    "hive_merge_table_locks_held", "Partitions that are locked for a merge.", multiprocess_mode="livesum"
)
