"""What is known of an Asterisk whose engines are silent: when its keeper has beaten last, and on which machine."""

from alembic import op

revision = "0039"
down_revision = "0037"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # 0 where an engine of the former version keeps the Asterisk.
    "ALTER TABLE keepers ADD COLUMN beaten_at BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE keepers ADD COLUMN host TEXT NOT NULL DEFAULT ''",
    # The mark that its process of Asterisk has; empty if it is not known.
    "ALTER TABLE keepers ADD COLUMN mark TEXT NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
