"""The numbers that bookings had before they got others, and which number a call that was up at that moment dialled."""

from alembic import op

revision = "0028"
down_revision = "0026"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the booking's number.
    "ALTER TABLE calls ADD COLUMN dialled TEXT",
    """
    CREATE TABLE number_swaps (
        account_id TEXT NOT NULL REFERENCES accounts (id),
        swapped_at BIGINT NOT NULL,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        service TEXT NOT NULL,
        PRIMARY KEY (account_id, swapped_at, booking_id, service)
    ){without_rowid}
    """,
    "CREATE INDEX number_swaps_service ON number_swaps (service)",
)


def upgrade() -> None:
    """Applies this migration."""
    without_rowid = " WITHOUT ROWID" if op.get_bind().dialect.name == "sqlite" else ""
    for statement in STATEMENTS:
        op.execute(statement.format(without_rowid=without_rowid))
