"""An index of call records in the order in which calls came in."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    # The order of the list, and what ranges of time are found by; what is looked at to filter is in that order too.
    # Calls come in nearly in the order in which they end, so new entries all go to an account's end of it.
    "DROP INDEX cdrs_account",
    "CREATE INDEX cdrs_begun ON cdrs (account_id, started_at, id)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
