"""Refused calls beyond a few a minute are counted on the record of another one."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Refused calls of the same booking, disposition and minute that have no record of their own.
    "ALTER TABLE cdrs ADD COLUMN further_calls BIGINT NOT NULL DEFAULT 0 CHECK (further_calls >= 0)",
    # The minute in which refused calls of a booking are counted, and the record on which further ones are.
    """
    CREATE TABLE refused_calls (
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        disposition TEXT NOT NULL,
        began_at BIGINT NOT NULL,
        recorded BIGINT NOT NULL CHECK (recorded > 0),
        cdr_id TEXT NOT NULL,
        PRIMARY KEY (booking_id, disposition)
    ){without_rowid}
    """,
    # Calls that were counted and have no record, for as long as a question about them may be repeated.
    "CREATE TABLE counted_calls (call_id TEXT NOT NULL PRIMARY KEY, counted_at BIGINT NOT NULL){without_rowid}",
    "CREATE INDEX counted_calls_by_time ON counted_calls (counted_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    without_rowid = " WITHOUT ROWID" if op.get_bind().dialect.name == "sqlite" else ""
    for statement in STATEMENTS:
        op.execute(statement.format(without_rowid=without_rowid))
