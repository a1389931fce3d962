"""The delivery log of callbacks, endpoints, sequence numbers, and rotation of secrets."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # The secret before the last rotation signs beside the present one until then.
    "ALTER TABLE accounts ADD COLUMN old_webhook_secret TEXT",
    "ALTER TABLE accounts ADD COLUMN old_secret_until BIGINT",
    "CREATE INDEX accounts_old_secret ON accounts (old_secret_until) WHERE old_secret_until IS NOT NULL",
    # How many callbacks about a booking were ever put down: the last one's place in their order.
    """
    ALTER TABLE bookings ADD COLUMN callbacks_posted BIGINT NOT NULL DEFAULT 0 CHECK (callbacks_posted >= 0)
    """,
    # `attempts` counts all tries ever made, `attempts_before` those before the present schedule began. `claimed`: a
    # worker has it in its line, or is sending it. `finished_at`: delivered, given up or held since then.
    """
    CREATE TABLE outbox_with_log (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        booking_id TEXT NOT NULL,
        url TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'FAILED', 'HELD')),
        attempts BIGINT NOT NULL,
        attempts_before BIGINT NOT NULL DEFAULT 0,
        claimed BIGINT NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
        created_at BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        finished_at BIGINT,
        last_outcome TEXT,
        CHECK (attempts_before BETWEEN 0 AND attempts),
        CHECK ((state = 'PENDING') = (finished_at IS NULL))
    )
    """,
    """
    INSERT INTO outbox_with_log (
        id, account_id, booking_id, url, body, state, attempts, created_at, due_at, finished_at, last_outcome
    )
    SELECT id, account_id, booking_id, url, body, state, attempts, created_at, due_at, finished_at, last_outcome
    FROM outbox
    """,
    "DROP TABLE outbox",
    "ALTER TABLE outbox_with_log RENAME TO outbox",
    "CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'PENDING'",
    "CREATE INDEX outbox_finished ON outbox (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE INDEX outbox_held ON outbox (account_id, url, created_at) WHERE state = 'HELD'",
    # The log's lists. All grow at their ends only, for callbacks come in the order of time.
    "CREATE INDEX outbox_account ON outbox (account_id, created_at, id)",
    "CREATE INDEX outbox_account_state ON outbox (account_id, state, created_at, id)",
    "CREATE INDEX outbox_booking ON outbox (booking_id, created_at, id)",
    "CREATE INDEX outbox_booking_state ON outbox (booking_id, state, created_at, id)",
    # One row an attempt whose outcome was recorded; `response`: the beginning of the answer's body.
    """
    CREATE TABLE callback_attempts (
        callback_id TEXT NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
        attempt BIGINT NOT NULL CHECK (attempt > 0),
        began_at BIGINT NOT NULL,
        took_ms BIGINT NOT NULL CHECK (took_ms >= 0),
        status BIGINT,
        trouble TEXT,
        response TEXT NOT NULL,
        PRIMARY KEY (callback_id, attempt),
        CHECK ((status IS NULL) = (trouble IS NOT NULL))
    )
    """,
    # One row for each URL of an account that was ever tried. `releasing`: it was enabled, and what was held for it has
    # still to be lined up.
    """
    CREATE TABLE callback_endpoints (
        id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES accounts (id),
        url TEXT NOT NULL,
        last_attempt_at BIGINT NOT NULL,
        failing_since BIGINT,
        disabled_at BIGINT,
        reason TEXT CHECK (reason IN ('GONE', 'FAILING')),
        releasing BIGINT NOT NULL DEFAULT 0 CHECK (releasing IN (0, 1)),
        CHECK ((disabled_at IS NULL) = (reason IS NULL)),
        CHECK (disabled_at IS NULL OR releasing = 0)
    )
    """,
    "CREATE UNIQUE INDEX callback_endpoints_url ON callback_endpoints (account_id, url)",
    "CREATE INDEX callback_endpoints_account ON callback_endpoints (account_id, id)",
    "CREATE INDEX callback_endpoints_used ON callback_endpoints (last_attempt_at)",
    "CREATE INDEX callback_endpoints_releasing ON callback_endpoints (id) WHERE releasing = 1",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
