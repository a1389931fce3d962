"""Sign-in to the web pages: links that are used once, and sessions."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Keyed digests only: who reads the database can neither use a link nor a session.
    """
    CREATE TABLE web_links (
        digest TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('VIEWER', 'OPERATOR', 'ADMIN', 'CUSTOMER')),
        account_id TEXT REFERENCES accounts (id),
        created_at BIGINT NOT NULL,
        use_before BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        used_at BIGINT,
        CHECK ((role = 'CUSTOMER') = (account_id IS NOT NULL))
    )
    """,
    """
    CREATE TABLE web_sessions (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL CHECK (role IN ('VIEWER', 'OPERATOR', 'ADMIN', 'CUSTOMER')),
        account_id TEXT REFERENCES accounts (id),
        created_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        ended_at BIGINT,
        CHECK ((role = 'CUSTOMER') = (account_id IS NOT NULL))
    )
    """,
    "CREATE INDEX web_links_by_end ON web_links (ends_at)",
    "CREATE INDEX web_sessions_by_end ON web_sessions (ends_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
