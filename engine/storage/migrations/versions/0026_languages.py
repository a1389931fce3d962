"""The language in which the callers of a booking hear why they are refused."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

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
    move_to_end("bookings", "metadata", "{}")
