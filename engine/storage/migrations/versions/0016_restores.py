"""Marks by which a replaced or older database file is noticed, and the restores that a database went through."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # One row. `log`: the write-ahead log that was in use; all that was written up to `base` is in the database file
    # itself. See engine/storage/marks.py.
    """
    CREATE TABLE storage_marks (
        id BIGINT PRIMARY KEY CHECK (id = 1),
        database_id TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        base BIGINT NOT NULL CHECK (base BETWEEN 0 AND sequence),
        log TEXT NOT NULL
    )
    """,
    # Until `hold_until`, numbers that come into the pool may have been booked by somebody of whom the backup knew
    # nothing.
    """
    CREATE TABLE restores (
        restored_at BIGINT PRIMARY KEY,
        backup_at BIGINT NOT NULL,
        hold_until BIGINT NOT NULL
    )
    """,
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    op.get_bind().execute(
        sa.text("INSERT INTO storage_marks (id, database_id, sequence, base, log) VALUES (1, :database_id, 0, 0, '')"),
        {"database_id": secrets.token_hex(8)},
    )
