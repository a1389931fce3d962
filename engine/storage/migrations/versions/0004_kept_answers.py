"""Kept answers, so that a repeated request (Idempotency-Key) is not carried out twice."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    # `fingerprint`: of the request that was carried out; another one under the same key is refused.
    """
    CREATE TABLE kept_answers (
        account_id TEXT NOT NULL REFERENCES accounts (id),
        idempotency_key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        status BIGINT NOT NULL,
        location TEXT,
        body TEXT NOT NULL,
        kept_at BIGINT NOT NULL,
        PRIMARY KEY (account_id, idempotency_key)
    )
    """,
    "CREATE INDEX kept_answers_age ON kept_answers (kept_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
