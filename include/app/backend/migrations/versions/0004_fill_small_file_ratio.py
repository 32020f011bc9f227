"""Fill the new columns of the scan records that were there before."""

from alembic import op
from app.db.backfill import backfill

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The trigger of 0003 computes the values; touching the row is enough. Rows that somebody else holds are
# left for a later batch, so that neither side waits.
BATCH = """
    UPDATE scan_records SET small_file_ratio = NULL
    WHERE id IN (
        SELECT id FROM scan_records WHERE small_file_ratio IS NULL AND id > :after
        ORDER BY id LIMIT :rows FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""
# In the end nothing is skipped: a row that was locked during its batch is waited for.
REST = BATCH.replace("SKIP LOCKED", "")


def upgrade() -> None:
    """Fill in batches, each of them committed."""
    backfill(op, BATCH)
    backfill(op, REST)


def downgrade() -> None:
    """Leave the values; they are dropped with their columns."""
