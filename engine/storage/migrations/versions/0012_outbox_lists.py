"""Fewer indexes of the outbox: what only lists use costs a callback of the call path nothing any more."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "DROP INDEX outbox_account",
    "DROP INDEX outbox_account_state",
    "DROP INDEX outbox_booking",
    "DROP INDEX outbox_booking_state",
    # New entries go to an account's end of it. A list of a booking's callbacks scans it without reading other rows.
    "CREATE INDEX outbox_listed ON outbox (account_id, created_at, id, booking_id)",
    # Most callbacks are never in these states.
    "CREATE INDEX outbox_failed_listed ON outbox (account_id, created_at, id) WHERE state = 'FAILED'",
    "CREATE INDEX outbox_held_listed ON outbox (account_id, created_at, id) WHERE state = 'HELD'",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
