"""Scan records say how small their files are: new columns, filled by a trigger for both versions."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The trigger and not the application writes the columns: while the canary runs, 0.9.0 inserts records too,
# and it does not know them.
FUNCTION = """
    CREATE OR REPLACE FUNCTION scan_records_small_file_ratio() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.small_file_ratio := CASE WHEN NEW.total_files > 0
            THEN NEW.small_files::double precision / NEW.total_files ELSE 0 END;
        NEW.avg_file_bytes := CASE WHEN NEW.total_files > 0 THEN NEW.total_bytes / NEW.total_files ELSE 0 END;
        RETURN NEW;
    END
    $$
"""
TRIGGER = """
    CREATE OR REPLACE TRIGGER scan_records_small_file_ratio BEFORE INSERT OR UPDATE ON scan_records
    FOR EACH ROW EXECUTE FUNCTION scan_records_small_file_ratio()
"""


def upgrade() -> None:
    """Add nullable columns without a default: no rewrite, a lock of milliseconds."""
    op.execute("ALTER TABLE scan_records ADD COLUMN IF NOT EXISTS small_file_ratio double precision")
    op.execute("ALTER TABLE scan_records ADD COLUMN IF NOT EXISTS avg_file_bytes bigint")
    op.execute(FUNCTION)
    op.execute(TRIGGER)


def downgrade() -> None:
    """Take the columns away; never in a release, because the new version still reads them."""
    op.execute("DROP TRIGGER IF EXISTS scan_records_small_file_ratio ON scan_records")
    op.execute("DROP FUNCTION IF EXISTS scan_records_small_file_ratio()")
    op.execute("ALTER TABLE scan_records DROP COLUMN IF EXISTS avg_file_bytes")
    op.execute("ALTER TABLE scan_records DROP COLUMN IF EXISTS small_file_ratio")
