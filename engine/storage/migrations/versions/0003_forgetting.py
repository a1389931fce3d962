"""Retention: sums of deleted calls, and indexes by age."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    # What settled calls cost whose records are forgotten: the books still add up, and one that is missing without
    # having been forgotten still shows.
    """
    ALTER TABLE bookings ADD COLUMN seconds_forgotten BIGINT NOT NULL DEFAULT 0
        CHECK (seconds_forgotten BETWEEN 0 AND seconds_settled)
    """,
    """
    ALTER TABLE bookings ADD COLUMN calls_forgotten BIGINT NOT NULL DEFAULT 0
        CHECK (calls_forgotten BETWEEN 0 AND calls_settled)
    """,
    "CREATE INDEX outbox_finished ON outbox (finished_at) WHERE finished_at IS NOT NULL",
    # Whom a gone booking hid, whom it told and whom it blocked has been forgotten.
    "ALTER TABLE bookings ADD COLUMN forgotten BIGINT NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1))",
    "CREATE INDEX bookings_gone ON bookings (gone_at) WHERE gone_at IS NOT NULL AND forgotten = 0",
    "CREATE INDEX blocked_callers_caller ON blocked_callers (caller)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
