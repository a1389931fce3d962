"""On PostgreSQL, kept answers are added to the sum of their account at the end of the transaction.

A request with an `Idempotency-Key` writes its claim first. If the sum locked the account then, before the request locks
a booking, a call that locks the booking and then the account could wait for the request, and the request for the call.
"""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# The triggers of migration 0019.
EVENTS = {"insert": "INSERT", "delete": "DELETE", "update": "UPDATE OF body"}


def upgrade() -> None:
    """Applies this migration."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for word, event in EVENTS.items():
        name = f"kept_answers_stored_{word}"
        op.execute(f"DROP TRIGGER {name} ON kept_answers")
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON kept_answers"
            f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
