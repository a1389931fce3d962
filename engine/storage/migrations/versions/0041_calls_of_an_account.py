"""Counts an account's calls that are up by an index of the calls.

The index of the bookings did so by their leased calls. PostgreSQL then had to write every index of a booking anew each
time that a call took or gave back its lease.
"""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the call ended before there was this column.
    "ALTER TABLE calls ADD COLUMN account_id TEXT",
    "UPDATE calls SET account_id = (SELECT account_id FROM bookings WHERE id = booking_id) WHERE ended_at IS NULL",
    "CREATE INDEX calls_of_account ON calls (account_id, ended_at) WHERE ended_at IS NULL",
    "DROP INDEX bookings_calls_up",
)
# A page has room for new versions of its rows, which need no new entries in the indexes then.
ROOM = "ALTER TABLE bookings SET (fillfactor = 80)"


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(ROOM)
