"""What a grant costs: the price of its plan when it was booked or renewed, who had the booking, and its number then.

A grant without a price, such as an adjustment or one of an earlier version, has none of these.
"""

from alembic import op

revision = "0037"
down_revision = "0035"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE grants ADD COLUMN account_id TEXT",
    "ALTER TABLE grants ADD COLUMN service TEXT",
    "ALTER TABLE grants ADD COLUMN price BIGINT CHECK (price >= 0)",
    """
    ALTER TABLE grants ADD COLUMN currency TEXT CHECK (
        (price IS NULL) = (currency IS NULL)
        AND (price IS NULL) = (account_id IS NULL)
        AND (price IS NULL) = (service IS NULL)
    )
    """,
    "CREATE INDEX grants_charged ON grants (account_id, granted_at) WHERE price IS NOT NULL",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
