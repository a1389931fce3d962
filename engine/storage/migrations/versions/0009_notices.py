"""Optional events that accounts have chosen, and notifications that were sent."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The types of the further events that it has chosen, with commas between them.
    "ALTER TABLE accounts ADD COLUMN events TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX accounts_told ON accounts (id) WHERE events <> ''",
    # What a booking's owner was told since its last renewal, and so is not told again.
    """
    CREATE TABLE notices (
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        kind TEXT NOT NULL,
        told_at BIGINT NOT NULL,
        PRIMARY KEY (booking_id, kind)
    )
    """,
    # How far the sweep has come: all bookings that end before `ends_at`, and of those that end then, up to that id.
    """
    CREATE TABLE notices_swept (
        kind TEXT PRIMARY KEY,
        ends_at BIGINT NOT NULL,
        booking_id TEXT NOT NULL
    )
    """,
    # Calls to an expired booking within a window that began then: how many were told of, how many were not, and the
    # record of the last of these.
    """
    CREATE TABLE expired_calls (
        booking_id TEXT PRIMARY KEY REFERENCES bookings (id),
        began_at BIGINT NOT NULL,
        told BIGINT NOT NULL CHECK (told > 0),
        not_told BIGINT NOT NULL CHECK (not_told >= 0),
        last_cdr_id TEXT,
        CHECK ((not_told > 0) = (last_cdr_id IS NOT NULL))
    )
    """,
    "CREATE INDEX expired_calls_not_told ON expired_calls (began_at) WHERE not_told > 0",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
