"""An index for the free numbers of a country that begin with an area."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies this migration."""
    # A prefix alone does not do: countries share country codes, and an area may be as short as a digit.
    op.execute("CREATE INDEX numbers_free_area ON numbers (country, e164, idle_since) WHERE state = 'FREE'")
