"""What is known of a call's end: the trunk, the carrier's answer, who hung up, and the SIP Call-IDs of both legs."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE calls ADD COLUMN sip_call_id TEXT",
    "ALTER TABLE calls ADD COLUMN callee_sip_call_id TEXT",
    "ALTER TABLE cdrs ADD COLUMN trunk TEXT",
    # The final status of the leg to the hidden number, and its hangup cause (ITU-T Q.850).
    "ALTER TABLE cdrs ADD COLUMN sip_code BIGINT CHECK (sip_code BETWEEN 200 AND 699)",
    "ALTER TABLE cdrs ADD COLUMN hangup_cause BIGINT CHECK (hangup_cause BETWEEN 1 AND 127)",
    """
    ALTER TABLE cdrs ADD COLUMN hung_up_by TEXT
        CHECK (hung_up_by IN ('CALLER', 'CALLEE', 'LIMIT', 'ENGINE', 'UNKNOWN'))
    """,
    "ALTER TABLE cdrs ADD COLUMN sip_call_id TEXT",
    "ALTER TABLE cdrs ADD COLUMN callee_sip_call_id TEXT",
)


def upgrade() -> None:
    """Applies this migration."""
    for statement in STATEMENTS:
        op.execute(statement)
