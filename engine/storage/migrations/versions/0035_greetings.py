"""Whether the caller hears a greeting while the hidden number rings."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE bookings ADD COLUMN greeting BIGINT NOT NULL DEFAULT 0 CHECK (greeting IN (0, 1))",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("bookings", "metadata", "{}")
