"""What the hidden number's side hears before the two are connected, and whether it must press a key."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE bookings ADD COLUMN whisper BIGINT NOT NULL DEFAULT 0 CHECK (whisper IN (0, 1))",
    """
    ALTER TABLE bookings ADD COLUMN screening TEXT NOT NULL DEFAULT 'none'
        CHECK (screening IN ('none', 'press1'))
    """,
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
