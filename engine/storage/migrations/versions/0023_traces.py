"""What a call's trace needs: the incoming trunk, why it was refused, the attempts that failed, its callbacks."""

from alembic import op

from engine.storage.migrations.column_order import move_to_end

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
    # Without an index: a call's callbacks are looked for at the times of its steps.
    "ALTER TABLE outbox ADD COLUMN call_id TEXT",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
    move_to_end("outbox", "body", "")
