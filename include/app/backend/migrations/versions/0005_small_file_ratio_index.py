"""Find the tables with the largest share of small files without sorting them."""

from alembic import op
from app.db.backfill import index_concurrently

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "ix_scan_records_task_ratio"


def upgrade() -> None:
    """Build the index without stopping writers."""
    index_concurrently(op, NAME, "scan_records", "(scan_task_id, small_file_ratio)")
    # Without statistics of the new columns the planner would read the whole table for the first readers.
    op.execute("ANALYZE scan_records")


def downgrade() -> None:
    """Drop the index."""
    op.execute(f"DROP INDEX IF EXISTS {NAME}")
