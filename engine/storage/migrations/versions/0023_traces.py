"""What a call's trace needs: the incoming trunk, why it was refused, the attempts that failed, its callbacks."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE calls ADD COLUMN incoming_trunk TEXT",
    "ALTER TABLE cdrs ADD COLUMN incoming_trunk TEXT",
    "ALTER TABLE cdrs ADD COLUMN reason TEXT",
    # As in the reports of the dialplan: `TRUNK:DIALSTATUS:SIP-STATUS:CAUSE`, joined by `/`.
    "ALTER TABLE cdrs ADD COLUMN tried TEXT",
)
# SQLite reads a row from its beginning, so the body stays behind the other columns, see migration 0018.
CALL_OF_CALLBACK: tuple[str, ...] = (
    # Without an index: a call's callbacks are looked for at the times of its steps.
    "ALTER TABLE outbox ADD COLUMN call_id TEXT",
    "ALTER TABLE outbox ADD COLUMN body_at_end TEXT NOT NULL DEFAULT ''",
    "UPDATE outbox SET body_at_end = body",
    "ALTER TABLE outbox DROP COLUMN body",
    "ALTER TABLE outbox RENAME COLUMN body_at_end TO body",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    if op.get_bind().dialect.name == "postgresql":  # the order of columns costs nothing there
        op.execute(CALL_OF_CALLBACK[0])
        return
    # A column that a trigger names cannot be dropped.
    triggers = op.get_bind().execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'outbox'")
    )
    kept = triggers.all()
    for name, _ in kept:
        op.execute(f"DROP TRIGGER {name}")
    for statement in CALL_OF_CALLBACK:
        op.execute(statement)
    for _, sql in kept:
        op.execute(sql)
