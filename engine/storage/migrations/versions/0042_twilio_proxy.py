"""Twilio Proxy's services, sessions and participants: what of them is no booking."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    """
    CREATE TABLE proxy_services (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        unique_name TEXT NOT NULL,
        default_ttl BIGINT NOT NULL CHECK (default_ttl >= 0),
        callback_url TEXT NOT NULL,
        out_of_session_callback_url TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX proxy_services_name ON proxy_services (account_id, unique_name)",
    "CREATE INDEX proxy_services_account ON proxy_services (account_id, id)",
    # `expires_at`: the DateExpiry that was asked for. `paid_until`: until when the booking's usage plan lasts, while
    # its own end is earlier. `idle_until`: the booking's end, if a call moves it.
    """
    CREATE TABLE proxy_sessions (
        id TEXT PRIMARY KEY,
        service_id TEXT NOT NULL REFERENCES proxy_services (id),
        unique_name TEXT,
        ttl BIGINT NOT NULL CHECK (ttl >= 0),
        expires_at BIGINT,
        booking_id TEXT REFERENCES bookings (id),
        paid_until BIGINT,
        idle_until BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        closed_at BIGINT,
        CHECK ((booking_id IS NULL) = (paid_until IS NULL)),
        CHECK (idle_until IS NULL OR (ttl > 0 AND booking_id IS NOT NULL))
    )
    """,
    "CREATE UNIQUE INDEX proxy_sessions_name ON proxy_sessions (service_id, unique_name) WHERE unique_name IS NOT NULL",
    "CREATE INDEX proxy_sessions_service ON proxy_sessions (service_id, id)",
    "CREATE INDEX proxy_sessions_idle ON proxy_sessions (idle_until) WHERE idle_until IS NOT NULL",
    "CREATE UNIQUE INDEX proxy_sessions_booking ON proxy_sessions (booking_id) WHERE booking_id IS NOT NULL",
    "CREATE INDEX proxy_sessions_waiting ON proxy_sessions (id) WHERE booking_id IS NULL",
    # Number and name move into the booking when the second participant joins.
    """
    CREATE TABLE proxy_participants (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES proxy_sessions (id),
        number TEXT,
        name TEXT,
        wanted TEXT,
        created_at BIGINT NOT NULL,
        CHECK (number IS NOT NULL OR (name IS NULL AND wanted IS NULL))
    )
    """,
    "CREATE INDEX proxy_participants_session ON proxy_participants (session_id, id)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
