"""The first schema. Instants are epoch milliseconds, credit is whole seconds and whole calls, ids are text."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE accounts (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        webhook_secret TEXT NOT NULL,
        created_at BIGINT NOT NULL
    )
    """,
    # The key itself is never stored: an HMAC of it, and its last characters so that people can tell keys apart.
    """
    CREATE TABLE api_keys (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        digest TEXT NOT NULL UNIQUE,
        hint TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revoked_at BIGINT
    )
    """,
    """
    CREATE TABLE bookings (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        service TEXT NOT NULL,
        destination TEXT NOT NULL,
        usage_plan TEXT NOT NULL,
        callback TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        end_at BIGINT NOT NULL,
        exhausted_at BIGINT,
        gone_at BIGINT,
        seconds_granted BIGINT NOT NULL,
        seconds_remaining BIGINT NOT NULL CHECK (seconds_remaining >= 0),
        seconds_leased BIGINT NOT NULL CHECK (seconds_leased >= 0),
        seconds_settled BIGINT NOT NULL CHECK (seconds_settled >= 0),
        calls_granted BIGINT NOT NULL,
        calls_remaining BIGINT NOT NULL CHECK (calls_remaining >= 0),
        calls_leased BIGINT NOT NULL CHECK (calls_leased >= 0),
        calls_settled BIGINT NOT NULL CHECK (calls_settled >= 0),
        max_concurrent_calls BIGINT CHECK (max_concurrent_calls > 0),
        max_calls_per_caller_per_hour BIGINT CHECK (max_calls_per_caller_per_hour > 0),
        max_call_seconds BIGINT CHECK (max_call_seconds > 0),
        CHECK (seconds_granted = seconds_remaining + seconds_leased + seconds_settled),
        CHECK (calls_granted = calls_remaining + calls_leased + calls_settled)
    )
    """,
    # One booking at most holds a number: the database's own word on it.
    "CREATE UNIQUE INDEX bookings_service ON bookings (service) WHERE gone_at IS NULL",
    "CREATE INDEX bookings_account ON bookings (account_id, id)",
    "CREATE INDEX bookings_expiry ON bookings (COALESCE(exhausted_at, end_at)) WHERE gone_at IS NULL",
    # What was ever given to a booking to spend: the other side of its credit, so that the books can be audited.
    """
    CREATE TABLE grants (
        id TEXT PRIMARY KEY,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        usage_plan TEXT NOT NULL,
        seconds BIGINT NOT NULL CHECK (seconds >= 0),
        calls BIGINT NOT NULL CHECK (calls >= 0),
        granted_at BIGINT NOT NULL
    )
    """,
    "CREATE INDEX grants_booking ON grants (booking_id)",
    """
    CREATE TABLE numbers (
        e164 TEXT PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('FREE', 'BOOKED', 'QUARANTINED')),
        idle_since BIGINT NOT NULL,
        quarantined_until BIGINT,
        CHECK ((state = 'QUARANTINED') = (quarantined_until IS NOT NULL))
    )
    """,
    "CREATE INDEX numbers_free ON numbers (idle_since, e164) WHERE state = 'FREE'",
    "CREATE INDEX numbers_quarantined ON numbers (quarantined_until) WHERE state = 'QUARANTINED'",
    # One row a call that was granted a lease; call_id is Asterisk's unique id, ticks are milliseconds of the machine.
    # Ended rows stay, so that a report that comes twice is known.
    """
    CREATE TABLE calls (
        call_id TEXT PRIMARY KEY,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        state TEXT NOT NULL CHECK (state IN ('RINGING', 'LIVE', 'SETTLED', 'VOIDED')),
        source TEXT NOT NULL,
        destination TEXT NOT NULL,
        channel TEXT NOT NULL,
        callee_channel TEXT,
        seconds_leased BIGINT NOT NULL CHECK (seconds_leased > 0),
        seconds_charged BIGINT CHECK (seconds_charged BETWEEN 0 AND seconds_leased),
        started_at BIGINT NOT NULL,
        ended_at BIGINT,
        started_ticks BIGINT NOT NULL,
        answered_at BIGINT,
        answered_ticks BIGINT,
        seen_ticks BIGINT,
        CHECK ((state IN ('SETTLED', 'VOIDED')) = (ended_at IS NOT NULL)),
        CHECK ((ended_at IS NULL) = (seconds_charged IS NULL)),
        CHECK ((answered_at IS NULL) = (answered_ticks IS NULL))
    )
    """,
    "CREATE INDEX calls_up ON calls (booking_id) WHERE ended_at IS NULL",
    # How often a caller was let through lately, read at every call.
    "CREATE INDEX calls_caller ON calls (booking_id, source, started_at)",
    # Ids are made in the order of time, so (account, id) is both the order of the list and its only index: a
    # random-order index on this table would be slow once there are millions of rows. No foreign key to bookings:
    # a call record outlives everything.
    """
    CREATE TABLE cdrs (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL,
        booking_id TEXT NOT NULL,
        call_id TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        duration BIGINT NOT NULL CHECK (duration >= 0),
        source TEXT NOT NULL,
        service TEXT NOT NULL,
        destination TEXT NOT NULL,
        disposition TEXT NOT NULL
    )
    """,
    "CREATE INDEX cdrs_account ON cdrs (account_id, id)",
    # Ids of calls come in the order of time too. One record a call, whatever is reported how often.
    "CREATE UNIQUE INDEX cdrs_call ON cdrs (call_id)",
    """
    CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        booking_id TEXT NOT NULL,
        url TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'FAILED')),
        attempts BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        finished_at BIGINT,
        last_outcome TEXT
    )
    """,
    "CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'PENDING'",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
