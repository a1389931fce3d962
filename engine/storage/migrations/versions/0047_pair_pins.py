"""PINs of pairs: who calls a shared number from any telephone, and keys in a PIN, stands for a participant."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # NULL: the booking is no pair with PINs, or it is gone.
    "ALTER TABLE bookings ADD COLUMN destination_pin TEXT",
    "ALTER TABLE bookings ADD COLUMN partner_pin TEXT",
    # By this key, the database itself ensures that a PIN on a number leads to one pair at most. Once the pair is gone,
    # no other pair is given this PIN on this number before the quarantine ends.
    """
    CREATE TABLE pair_pins (
        service TEXT NOT NULL,
        pin TEXT NOT NULL,
        booking_id TEXT REFERENCES bookings (id),
        quarantined_until BIGINT,
        PRIMARY KEY (service, pin),
        CHECK ((booking_id IS NULL) = (quarantined_until IS NOT NULL))
    ){without_rowid}
    """,
    "CREATE INDEX pair_pins_held ON pair_pins (service, booking_id) WHERE booking_id IS NOT NULL",
    "CREATE INDEX pair_pins_booking ON pair_pins (booking_id) WHERE booking_id IS NOT NULL",
    "CREATE INDEX pair_pins_quarantined ON pair_pins (quarantined_until) WHERE quarantined_until IS NOT NULL",
    # One row for each number at which wrong PINs were keyed in: each moves `clears_at` on, and time makes up for it.
    "CREATE TABLE pin_tries (service TEXT PRIMARY KEY, clears_at BIGINT NOT NULL)",
    "CREATE INDEX pin_tries_clears ON pin_tries (clears_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in STATEMENTS:
        op.execute(statement.format(without_rowid=" WITHOUT ROWID" if is_sqlite else ""))
    move_to_end("bookings", "metadata", "{}")
