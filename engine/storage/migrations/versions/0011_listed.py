"""An account's bookings in the order of their list: without the index that 0010 dropped, each page sorts them all."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX bookings_listed ON bookings (account_id, id) WHERE gone_at IS NULL")
