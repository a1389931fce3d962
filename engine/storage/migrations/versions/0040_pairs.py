"""Pairs: bookings with two hidden numbers, and the rented numbers that many of them share.

A program that knows no pairs would put every call to a shared number through to one of its pairs. It meets none before
an operator shares a number, which `numbers share` says.
"""

import sqlalchemy as sa
from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_OF_PAIR = "of_pair BIGINT NOT NULL DEFAULT 0 CHECK (of_pair IN (0, 1))"
PAIRS: tuple[str, ...] = (
    # The second hidden number of a pair; NULL for all other bookings.
    "ALTER TABLE bookings ADD COLUMN partner TEXT",
    "ALTER TABLE bookings ADD COLUMN destination_label TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE bookings ADD COLUMN partner_label TEXT NOT NULL DEFAULT ''",
    # A value of `direction` would have to change its CHECK, for which SQLite copies the whole table.
    f"ALTER TABLE calls ADD COLUMN {_OF_PAIR}",
    f"ALTER TABLE cdrs ADD COLUMN {_OF_PAIR}",
    "DROP INDEX bookings_service",
    "CREATE UNIQUE INDEX bookings_service ON bookings (service) WHERE gone_at IS NULL AND partner IS NULL",
    # Who calls a shared number decides which pair is called. The key is the database's own word that it is one at most.
    # Once the pair is gone, no other pair is given this number with this caller before the quarantine ends.
    """
    CREATE TABLE pair_callers (
        service TEXT NOT NULL,
        number TEXT NOT NULL,
        booking_id TEXT REFERENCES bookings (id),
        quarantined_until BIGINT,
        PRIMARY KEY (service, number),
        CHECK ((booking_id IS NULL) = (quarantined_until IS NOT NULL))
    ){without_rowid}
    """,
    "CREATE INDEX pair_callers_booking ON pair_callers (booking_id) WHERE booking_id IS NOT NULL",
    "CREATE INDEX pair_callers_quarantined ON pair_callers (quarantined_until) WHERE quarantined_until IS NOT NULL",
)
_STATES = "state IN ('FREE', 'BOOKED', 'QUARANTINED', 'RETIRED', 'SHARED')"
# After a restore a shared number takes no new pairs for a time, so it may have an end of quarantine, too.
_HELD = "state IN ('QUARANTINED', 'RETIRED', 'SHARED') OR quarantined_until IS NULL"
_SHARED_INDEX = "CREATE INDEX numbers_shared ON numbers (e164) WHERE state = 'SHARED'"
_COLUMNS = "e164, state, idle_since, quarantined_until, country, quarantined_by"


def upgrade() -> None:
    """Applies this migration."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in PAIRS:
        op.execute(statement.format(without_rowid=" WITHOUT ROWID" if is_sqlite else ""))
    move_to_end("bookings", "metadata", "{}")
    if is_sqlite:
        _copy_numbers()
    else:
        _replace_checks()
    op.execute(_SHARED_INDEX)


def _copy_numbers() -> None:
    """Makes the table anew: SQLite cannot change a CHECK."""
    database = op.get_bind()
    indexes = database.execute(
        sa.text("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'numbers' AND sql IS NOT NULL")
    ).scalars()
    again = indexes.all()
    op.execute(f"""
        CREATE TABLE numbers_with_shared (
            e164 TEXT PRIMARY KEY,
            state TEXT NOT NULL CHECK ({_STATES}),
            idle_since BIGINT NOT NULL,
            quarantined_until BIGINT,
            country TEXT,
            quarantined_by TEXT REFERENCES accounts (id) CHECK (quarantined_by IS NULL OR state = 'QUARANTINED'),
            CHECK (state <> 'QUARANTINED' OR quarantined_until IS NOT NULL),
            CHECK ({_HELD})
        )
    """)
    op.execute(f"INSERT INTO numbers_with_shared ({_COLUMNS}) SELECT {_COLUMNS} FROM numbers")  # noqa: S608  names
    op.execute("DROP TABLE numbers")
    op.execute("ALTER TABLE numbers_with_shared RENAME TO numbers")
    for index in again:
        op.execute(index)


def _replace_checks() -> None:
    """Replaces the two checks of the states, whose names are PostgreSQL's choice."""
    names = op.get_bind().execute(
        sa.text(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'numbers'::regclass AND contype = 'c'"
            " AND pg_get_constraintdef(oid) LIKE '%RETIRED%'"
        )
    )
    for name in names.scalars().all():
        op.execute(f'ALTER TABLE numbers DROP CONSTRAINT "{name}"')
    op.execute(f"ALTER TABLE numbers ADD CONSTRAINT numbers_states CHECK ({_STATES})")
    op.execute(f"ALTER TABLE numbers ADD CONSTRAINT numbers_held CHECK ({_HELD})")
