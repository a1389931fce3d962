"""Who reached which rented number, as keyed digests: former callers of a number do not reach its next owner."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
    ALTER TABLE bookings ADD COLUMN accept_former_callers BIGINT NOT NULL DEFAULT 0
        CHECK (accept_former_callers IN (0, 1))
    """,
    # The booking that a caller reached last at a number. Rows of one number stand side by side.
    """
    CREATE TABLE reached_callers (
        service TEXT NOT NULL,
        digest TEXT NOT NULL,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        reached_at BIGINT NOT NULL,
        PRIMARY KEY (service, digest)
    )
    """,
    "CREATE INDEX reached_callers_age ON reached_callers (reached_at)",
    # Up to which record they were noted. No row: none was.
    "CREATE TABLE callers_noted (id BIGINT PRIMARY KEY CHECK (id = 1), cdr_id TEXT NOT NULL)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
