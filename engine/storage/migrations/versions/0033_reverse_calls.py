"""Reverse calls: whether a booking takes them, the direction of each call, and who can be called back."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_DIRECTION = "direction TEXT NOT NULL DEFAULT 'forward' CHECK (direction IN ('forward', 'reverse'))"
STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE bookings ADD COLUMN reverse BIGINT NOT NULL DEFAULT 0 CHECK (reverse IN (0, 1))",
    f"ALTER TABLE calls ADD COLUMN {_DIRECTION}",
    "ALTER TABLE calls ADD COLUMN returnable BIGINT NOT NULL DEFAULT 0 CHECK (returnable IN (0, 1))",
    # For who called last. Calls on bookings without reverse calls, which most are, are not in it.
    "CREATE INDEX calls_returnable ON calls (booking_id, started_at, call_id) WHERE returnable = 1",
    f"ALTER TABLE cdrs ADD COLUMN {_DIRECTION}",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
