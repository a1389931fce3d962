"""Several engines on one database: which Asterisk has a call, who keeps each Asterisk, errands between engines."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # Empty where one engine works alone on the database.
    "ALTER TABLE calls ADD COLUMN asterisk TEXT NOT NULL DEFAULT ''",
    """
    CREATE TABLE keepers (
        asterisk TEXT PRIMARY KEY,
        engine TEXT NOT NULL,
        beat BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE errands (
        id TEXT PRIMARY KEY,
        asterisk TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('ROOM', 'END_RINGING', 'HANG_UP')),
        subject TEXT NOT NULL,
        seconds BIGINT NOT NULL,
        until_ticks BIGINT NOT NULL
    )
    """,
    "CREATE INDEX errands_by_asterisk ON errands (asterisk, id)",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
