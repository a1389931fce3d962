"""The limit of an account's calls at once, and an index by which its calls that are up are counted."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the operator's setting applies.
    "ALTER TABLE accounts ADD COLUMN calls_at_once BIGINT CHECK (calls_at_once > 0)",
    # Only bookings with calls that are up. A booking that is gone counts until its calls have ended.
    "CREATE INDEX bookings_calls_up ON bookings (account_id, calls_leased) WHERE calls_leased > 0",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
