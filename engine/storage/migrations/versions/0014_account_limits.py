"""Limits of single accounts, and which account put a number into quarantine."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the operator's setting applies.
    "ALTER TABLE accounts ADD COLUMN max_bookings BIGINT CHECK (max_bookings > 0)",
    "ALTER TABLE accounts ADD COLUMN new_bookings_a_day BIGINT CHECK (new_bookings_a_day > 0)",
    "ALTER TABLE accounts ADD COLUMN requests_per_minute BIGINT CHECK (requests_per_minute > 0)",
    # NULL: the operator did.
    """
    ALTER TABLE numbers ADD COLUMN quarantined_by TEXT REFERENCES accounts (id)
        CHECK (quarantined_by IS NULL OR state = 'QUARANTINED')
    """,
    # A number is idle since its last booking was gone.
    """
    UPDATE numbers SET quarantined_by = (
        SELECT b.account_id FROM bookings AS b WHERE b.gone_at = numbers.idle_since AND b.service = numbers.e164 LIMIT 1
    )
    WHERE state = 'QUARANTINED'
    """,
    """
    CREATE INDEX numbers_quarantined_by ON numbers (quarantined_by, quarantined_until) WHERE state = 'QUARANTINED'
    """,
    # How many bookings an account has made within a day.
    "CREATE INDEX bookings_account_created ON bookings (account_id, created_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
