"""Sandboxes: accounts for trying out, with a clock of their own."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The account beside which it stands; NULL: a customer's own.
    "ALTER TABLE accounts ADD COLUMN test_of TEXT REFERENCES accounts (id)",
    # How far its clock is ahead of the machine's, which is the only clock of all others.
    """
    ALTER TABLE accounts ADD COLUMN clock_ahead_ms BIGINT NOT NULL DEFAULT 0
        CHECK (clock_ahead_ms = 0 OR (clock_ahead_ms > 0 AND test_of IS NOT NULL))
    """,
    "CREATE UNIQUE INDEX accounts_test_of ON accounts (test_of) WHERE test_of IS NOT NULL",
    # What is due in one account, by its own clock; how many bookings one holds, too.
    "DROP INDEX bookings_held",
    """
    CREATE INDEX bookings_account_expiry ON bookings (account_id, COALESCE(exhausted_at, end_at))
        WHERE gone_at IS NULL
    """,
    """
    CREATE INDEX bookings_account_gone ON bookings (account_id, gone_at)
        WHERE gone_at IS NOT NULL AND forgotten = 0
    """,
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
