"""Weekly hours of bookings."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # As JSON, see engine/domain/hours.py. NULL: the booking takes calls at any time.
    "ALTER TABLE bookings ADD COLUMN hours TEXT",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
