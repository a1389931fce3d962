"""The language in which the callers of a booking hear why they are refused."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the operator's setting applies.
    "ALTER TABLE bookings ADD COLUMN language TEXT CHECK (language IN ('en', 'fr', 'nl', 'de'))",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
