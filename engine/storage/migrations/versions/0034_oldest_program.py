"""Which programs can use the schema: see engine/storage/migrations/__init__.py."""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = ("ALTER TABLE storage_marks ADD COLUMN oldest_program TEXT NOT NULL DEFAULT '0034'",)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
