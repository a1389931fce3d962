"""How many bytes an account's requests have stored, as a sum that triggers keep, and the limit of single accounts."""

import re

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# What counts: kept answers of all accounts, and everything that a sandbox stores. Requests alone make these rows. Those
# of real calls need callers, and bookings of customers have limits of their own.
# A row counts with its texts and with what it takes besides: its other columns and its indexes, for a callback the log
# of its attempts too, for a record its call.
ANSWER = "400 + length(CAST({row}.idempotency_key AS BLOB)) + length(CAST({row}.body AS BLOB))"
CALLBACK = "2000 + length(CAST({row}.url AS BLOB)) + length(CAST({row}.body AS BLOB))"
BOOKING = (
    "CASE {row}.forgotten WHEN 1 THEN 0 ELSE 1000 + length(CAST({row}.callback AS BLOB))"
    " + length(CAST({row}.label AS BLOB)) + length(CAST({row}.metadata AS BLOB)) END"
)
RECORD = "1000"
ROWS = (
    ("kept_answers", ANSWER, "body", False),
    ("outbox", CALLBACK, "body", True),
    ("bookings", BOOKING, "callback, label, metadata, forgotten", True),
    ("cdrs", RECORD, None, True),
)


# What SQLite calls the length of a text in bytes, and PostgreSQL.
BYTES = re.compile(r"length\(CAST\((.+?) AS BLOB\)\)")


def upgrade() -> None:
    """Applies this migration."""
    # NULL: the operator's setting applies.
    op.execute("ALTER TABLE accounts ADD COLUMN stored_megabytes BIGINT CHECK (stored_megabytes > 0)")
    op.execute("ALTER TABLE accounts ADD COLUMN stored_bytes BIGINT NOT NULL DEFAULT 0")
    for table, size, columns, of_sandboxes in ROWS:
        if _is_postgresql():
            size = BYTES.sub(r"octet_length(\1)", size)  # noqa: PLW2901  the same size
        when = " AND test_of IS NOT NULL" if of_sandboxes else ""
        _count_rows_that_exist(table, size, when)
        _trigger(table, "INSERT", size.format(row="NEW"), "NEW", when)
        _trigger(table, "DELETE", f"-({size.format(row='OLD')})", "OLD", when)
        if columns:
            change = f"({size.format(row='NEW')}) - ({size.format(row='OLD')})"
            _trigger(table, f"UPDATE OF {columns}", change, "NEW", when)


def _count_rows_that_exist(table: str, size: str, when: str) -> None:
    total = f"(SELECT COALESCE(SUM({size.format(row='r')}), 0) FROM {table} AS r WHERE r.account_id = accounts.id)"  # noqa: S608
    op.execute(f"UPDATE accounts SET stored_bytes = stored_bytes + {total} WHERE TRUE{when}")  # noqa: S608


def _trigger(table: str, event: str, change: str, row: str, when: str) -> None:
    name = f"{table}_stored_{event.partition(' ')[0].lower()}"
    add = f"UPDATE accounts SET stored_bytes = stored_bytes + {change} WHERE id = {row}.account_id{when}"  # noqa: S608
    if _is_postgresql():
        op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {add}; RETURN NULL; END $$")
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        return
    op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {add}; END")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
