"""Callbacks that are due are found by account; receivers, how they answer and how often they may be tried."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # An account with many callbacks that are due must not hide those of others.
    "DROP INDEX outbox_due",
    "CREATE INDEX outbox_due ON outbox (account_id, due_at) WHERE state = 'PENDING'",
    # When it was last sent again on request, by the machine's clock; NULL: never.
    "ALTER TABLE outbox ADD COLUMN redelivered_at BIGINT",
    # Whether the last attempt brought a prompt 2xx; NULL: not known.
    "ALTER TABLE callback_endpoints ADD COLUMN is_quick BIGINT CHECK (is_quick IN (0, 1))",
    # One row for each scheme, host and port. `agreed_at`: a 2xx, not older than a day before the latest one; NULL:
    # there was none. `paced_until`: attempts up to now have used up the rate up to then.
    """
    CREATE TABLE callback_receivers (
        digest TEXT PRIMARY KEY,
        agreed_at BIGINT,
        paced_until BIGINT NOT NULL,
        kept_until BIGINT NOT NULL
    )
    """,
    "CREATE INDEX callback_receivers_kept ON callback_receivers (kept_until)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
