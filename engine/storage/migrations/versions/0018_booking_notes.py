"""Digests of labels and metadata to find bookings by, and texts of customers at the end of their rows."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

NOTES = """
    CREATE TABLE booking_notes (
        digest TEXT NOT NULL,
        booking_id TEXT NOT NULL REFERENCES bookings (id),
        PRIMARY KEY (digest, booking_id)
    )
    """
# SQLite reads a row from its beginning: with these texts before other columns, a look at a state or a label reads 40 kB
# of them, and each change of a credit or of a state writes them again.
MOVED: tuple[str, ...] = (
    "ALTER TABLE bookings ADD COLUMN metadata_at_end TEXT NOT NULL DEFAULT '{}'",
    "UPDATE bookings SET metadata_at_end = metadata WHERE metadata <> '{}'",
    "ALTER TABLE bookings DROP COLUMN metadata",
    "ALTER TABLE bookings RENAME COLUMN metadata_at_end TO metadata",
    "ALTER TABLE outbox ADD COLUMN body_at_end TEXT NOT NULL DEFAULT ''",
    "UPDATE outbox SET body_at_end = body",
    "ALTER TABLE outbox DROP COLUMN body",
    "ALTER TABLE outbox RENAME COLUMN body_at_end TO body",
)
BATCH = 500


def upgrade() -> None:
    """Applies this migration."""
    database = op.get_bind()
    op.execute(f"{NOTES} WITHOUT ROWID" if database.dialect.name == "sqlite" else NOTES)
    for row in _noted():
        booking_id, account_id, label, metadata, gone_at = tuple(row)
        pairs = json.loads(metadata)
        plain = json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        database.execute(
            sa.text("UPDATE bookings SET metadata = :metadata WHERE id = :id"), {"metadata": plain, "id": booking_id}
        )
        notes = {**pairs, "": label} if label else pairs
        if gone_at is None and notes:
            database.execute(
                sa.text("INSERT INTO booking_notes (digest, booking_id) VALUES (:digest, :booking_id)"),
                [{"digest": _digest(account_id, key, value), "booking_id": booking_id} for key, value in notes.items()],
            )
    for statement in MOVED:
        op.execute(statement)


def _noted() -> Iterator[sa.Row[Any]]:
    """Yields the bookings that have notes, in batches: all of them may not fit into memory."""
    after = ""
    while True:
        rows = (
            op.get_bind()
            .execute(
                sa.text(
                    "SELECT id, account_id, label, metadata, gone_at FROM bookings"
                    " WHERE id > :after AND (label <> '' OR metadata <> '{}') ORDER BY id LIMIT :limit"
                ),
                {"after": after, "limit": BATCH},
            )
            .all()
        )
        yield from rows
        if len(rows) < BATCH:
            return
        after = rows[-1].id


def _digest(account_id: str, key: str, value: str) -> str:
    """A copy of engine.domain.notes._digest as it was when this migration was written."""
    text = json.dumps([account_id, key, value])
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=15).digest()).decode()
