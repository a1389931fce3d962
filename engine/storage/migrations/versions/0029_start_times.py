"""Bookings that begin later than they are made."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the booking began when it was made.
    "ALTER TABLE bookings ADD COLUMN start_at BIGINT CHECK (start_at > created_at AND start_at < end_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
