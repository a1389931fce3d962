"""The customer portal: the origin that may frame it, and sessions that only see."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ROLES = "'VIEWER', 'OPERATOR', 'ADMIN', 'CUSTOMER', 'CUSTOMER_VIEWER'"
OF_CUSTOMERS = "role IN ('CUSTOMER', 'CUSTOMER_VIEWER')"
STATEMENTS: tuple[str, ...] = (
    # NULL: nobody may.
    "ALTER TABLE accounts ADD COLUMN frame_origin TEXT",
    # Made anew for another CHECK. Whoever was signed in signs in again.
    "DROP TABLE web_links",
    "DROP TABLE web_sessions",
    f"""
    CREATE TABLE web_links (
        digest TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ({ROLES})),
        account_id TEXT REFERENCES accounts (id),
        created_at BIGINT NOT NULL,
        use_before BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        used_at BIGINT,
        CHECK (({OF_CUSTOMERS}) = (account_id IS NOT NULL))
    )
    """,
    f"""
    CREATE TABLE web_sessions (
        id TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL CHECK (role IN ({ROLES})),
        account_id TEXT REFERENCES accounts (id),
        created_at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        ended_at BIGINT,
        CHECK (({OF_CUSTOMERS}) = (account_id IS NOT NULL))
    )
    """,
    "CREATE INDEX web_links_account ON web_links (account_id, created_at DESC, digest) WHERE account_id IS NOT NULL",
    "CREATE INDEX web_sessions_account ON web_sessions (account_id, id) WHERE account_id IS NOT NULL",
    "CREATE INDEX web_links_by_end ON web_links (ends_at)",
    "CREATE INDEX web_sessions_by_end ON web_sessions (ends_at)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
