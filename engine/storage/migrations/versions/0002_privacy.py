"""Caller ids, blocked callers, and an operator's adjustments of credit."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # What the destination sees as the caller's number.
    """
    ALTER TABLE bookings ADD COLUMN caller_id TEXT NOT NULL DEFAULT 'caller'
        CHECK (caller_id IN ('caller', 'service', 'anonymous'))
    """,
    "ALTER TABLE bookings ADD COLUMN refuse_anonymous BIGINT NOT NULL DEFAULT 0 CHECK (refuse_anonymous IN (0, 1))",
    """
    CREATE TABLE blocked_callers (
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        caller TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (booking_id, caller)
    )
    """,
    # A grant without a plan is an operator's own: it may take away, and says why.
    """
    CREATE TABLE grants_with_reasons (
        id TEXT PRIMARY KEY,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        usage_plan TEXT,
        seconds BIGINT NOT NULL,
        calls BIGINT NOT NULL,
        granted_at BIGINT NOT NULL,
        reason TEXT,
        CHECK ((usage_plan IS NULL) = (reason IS NOT NULL)),
        CHECK (usage_plan IS NULL OR (seconds >= 0 AND calls >= 0))
    )
    """,
    """
    INSERT INTO grants_with_reasons (id, booking_id, usage_plan, seconds, calls, granted_at)
    SELECT id, booking_id, usage_plan, seconds, calls, granted_at FROM grants
    """,
    "DROP TABLE grants",
    "ALTER TABLE grants_with_reasons RENAME TO grants",
    "CREATE INDEX grants_booking ON grants (booking_id)",
    # It was the call's id once more: channels are addressed by their unique ids.
    "ALTER TABLE calls DROP COLUMN channel",
    "ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
