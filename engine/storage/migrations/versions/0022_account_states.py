"""Accounts that are suspended or closed."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: it is not suspended. A sandbox is suspended and closed with its customer's account, in its own row, so that
    # a call needs one look-up. A closed account counts as suspended too.
    "ALTER TABLE accounts ADD COLUMN suspended_at BIGINT",
    """
    ALTER TABLE accounts ADD COLUMN suspended_reason TEXT
    CHECK (suspended_reason IS NULL OR suspended_at IS NOT NULL)
    """,
    "ALTER TABLE accounts ADD COLUMN closed_at BIGINT CHECK (closed_at IS NULL OR suspended_at IS NOT NULL)",
    "CREATE INDEX accounts_closed ON accounts (id) WHERE closed_at IS NOT NULL",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
