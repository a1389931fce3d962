"""A shared number that a pair has left counts against its account until both people have left quarantine on it."""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL for callers who had left before: these count against no account.
    "ALTER TABLE pair_callers ADD COLUMN quarantined_by TEXT REFERENCES accounts (id)",
    "ALTER TABLE pair_callers ADD COLUMN last_booking_id TEXT REFERENCES bookings (id)",
    # The two rows of a pair on one number stand side by side.
    """
    CREATE INDEX pair_callers_left ON pair_callers (quarantined_by, last_booking_id, service, quarantined_until)
    WHERE quarantined_by IS NOT NULL
    """,
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
