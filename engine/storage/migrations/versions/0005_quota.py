"""An index to count an account's bookings, which happens at every new one."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies this migration."""
    op.execute("CREATE INDEX bookings_held ON bookings (account_id) WHERE gone_at IS NULL")
