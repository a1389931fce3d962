"""Whether both sides of a call hear a beep when a minute of it is left."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = ("ALTER TABLE bookings ADD COLUMN beep BIGINT NOT NULL DEFAULT 0 CHECK (beep IN (0, 1))",)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
