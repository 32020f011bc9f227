"""Indexes for what the page and the queues look up."""

from alembic import op
from app.db.backfill import index_concurrently

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_scan_tasks_status", "scan_tasks", "(status)"),
    ("ix_scan_records_scan_task_id", "scan_records", "(scan_task_id)"),
    ("ix_scan_records_cluster_scanned", "scan_records", "(cluster_id, scanned_at)"),
    ("ix_partition_records_scan_record_id", "partition_records", "(scan_record_id)"),
    ("ix_merge_tasks_status", "merge_tasks", "(status)"),
    ("ix_task_logs_logged_at", "task_logs", "(logged_at)"),
    ("ix_task_logs_task", "task_logs", "(task_kind, task_id)"),
)


def upgrade() -> None:
    """Build each index without stopping writers."""
    for name, table, definition in INDEXES:
        index_concurrently(op, name, table, definition)


def downgrade() -> None:
    """Drop the indexes."""
    for name, _table, _definition in INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {name}")
