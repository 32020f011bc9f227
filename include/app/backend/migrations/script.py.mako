"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Expand only, and guard every statement: it may be run again after a kill at any line."""
    ${upgrades if upgrades else "op.execute('SELECT 1')"}


def downgrade() -> None:
    """Take the step back; for development, never in a release."""
    ${downgrades if downgrades else "op.execute('SELECT 1')"}
