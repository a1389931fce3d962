"""Writes many bookings and half a year of their calls, as the engine would have written them. The ledger adds up.

SQLite itself generates the rows, in the order of their keys. The indexes are dropped first and created afterwards by
the schema's own statements. The result equals a database that was written row by row, and takes a fraction of the time.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.domain.times import DAY_MS

SPAN_MS = 170 * DAY_MS
# Callbacks are kept for a shorter time than call records.
CALLBACKS_MS = 30 * DAY_MS
TALKED_SECONDS = 12
ROWS_AT_ONCE = 200_000
CACHE_KIB = 1_000_000
# Call n belongs to booking n * STRIDE. A prime, so that consecutive calls belong to bookings that are far apart.
STRIDE = 7_919

BOOKING_ID = f"printf('bkg_%012x7%019x', :since + b * {SPAN_MS} / :bookings, b)"
CREATED_AT = f":since + b * {SPAN_MS} / :bookings"
SERVICE = "printf('+%d', 3225000000 + b)"
BOOKINGS = "SELECT i, i AS b FROM n"
# Every second call of a booking is answered.
CALLS = f"""
    SELECT i, i * {STRIDE} % :bookings AS b, (i % :bookings + i / :bookings) % 2 = 0 AS answered,
        :since + i * {SPAN_MS} / :records AS at
    FROM n
"""  # noqa: S608  numbers of this file
CALL_ID = "printf('rn0-%d.%d', at / 1000, 100000000 + i)"
CDR_ID = "printf('cdr_%012x7%019x', at, i)"
CALLBACK_ID = "printf('evt_%012x7%019x', at, i)"
CALLER = "printf('+1415%07d', i % 10000000)"
ENDED_AT = f"at + {TALKED_SECONDS * 1000}"
BODY = f"""json_object(
    'id', {CDR_ID}, 'timestamp', strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), 'duration', {TALKED_SECONDS},
    'source', {CALLER}, 'destination', :destination, 'bookingId', {BOOKING_ID}, 'service', {SERVICE},
    'sequence', i / :bookings / 2 + 1
)"""

NUMBER = {"e164": SERVICE}
BOOKING = {
    "id": BOOKING_ID,
    "service": SERVICE,
    "created_at": CREATED_AT,
    "end_at": f":now + (1 + b * {STRIDE} % 90) * {DAY_MS}",
    "seconds_remaining": f":seconds_granted - {TALKED_SECONDS} * :answered_each",
    "seconds_settled": f"{TALKED_SECONDS} * :answered_each",
    "calls_remaining": ":calls_granted - :answered_each",
    "calls_settled": ":answered_each",
    "callbacks_posted": ":answered_each",
}
GRANT = {"id": "printf('grt_%012x7%019x', 0, b)", "booking_id": BOOKING_ID, "granted_at": CREATED_AT}
CALL = {
    "call_id": CALL_ID,
    "booking_id": BOOKING_ID,
    "state": "CASE WHEN answered THEN 'SETTLED' ELSE 'VOIDED' END",
    "source": CALLER,
    "destination": ":destination",
    "callee_channel": f"CASE WHEN answered THEN {CALL_ID} || '-callee' END",
    "seconds_leased": "1800",
    "seconds_charged": f"answered * {TALKED_SECONDS}",
    "started_at": "at",
    "ended_at": ENDED_AT,
    "started_ticks": "at - :since",
    "answered_at": "CASE WHEN answered THEN at END",
    "answered_ticks": "CASE WHEN answered THEN at - :since END",
}
RECORD = {
    "id": CDR_ID,
    "account_id": ":account_id",
    "booking_id": BOOKING_ID,
    "call_id": CALL_ID,
    "started_at": "at",
    "duration": f"answered * {TALKED_SECONDS}",
    "source": CALLER,
    "service": SERVICE,
    "destination": ":destination",
    "disposition": "CASE WHEN answered THEN 'ANSWERED' ELSE 'NO_ANSWER' END",
}
HAS_CALLBACK = f"answered AND at > :now - {CALLBACKS_MS}"
CALLBACK = {
    "id": CALLBACK_ID,
    "account_id": ":account_id",
    "booking_id": BOOKING_ID,
    "url": ":callback",
    "body": BODY,
    "state": "'DELIVERED'",
    "attempts": "1",
    "created_at": ENDED_AT,
    "due_at": ENDED_AT,
    "finished_at": ENDED_AT,
    "last_outcome": "'200'",
}
ATTEMPT = {
    "callback_id": CALLBACK_ID,
    "attempt": "1",
    "began_at": ENDED_AT,
    "took_ms": "20",
    "status": "200",
    "response": "''",
}


@dataclass(frozen=True)
class History:
    """What is written.

    Attributes:
        bookings: Number of bookings.
        calls_each: Calls of each booking, an even number.
        now: Epoch milliseconds.
    """

    bookings: int
    calls_each: int
    now: int

    @property
    def records(self) -> int:
        return self.bookings * self.calls_each

    def parameters(self) -> dict[str, int]:
        return {
            "bookings": self.bookings,
            "records": self.records,
            "answered_each": self.calls_each // 2,
            "now": self.now,
            "since": self.now - SPAN_MS,
        }


def write(db: sqlite3.Connection, history: History) -> None:
    """Replaces the only booking in the database with copies of it, and adds their calls."""
    for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}", "threads = 2"):
        db.execute(f"PRAGMA {pragma}")
    models = {table: _model(db, table) for table in ("bookings", "grants", "numbers")}
    shared = models["bookings"] | history.parameters()
    with _indices_made_at_the_end(db):
        for table in ("grants", "bookings", "numbers"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608  names from the line above
        for table, given in (("numbers", NUMBER), ("bookings", BOOKING), ("grants", GRANT)):
            _fill(db, table, given, BOOKINGS, history.bookings, shared | models[table])
        for table, given, which in (
            ("calls", CALL, "1"),
            ("cdrs", RECORD, "1"),
            ("outbox", CALLBACK, HAS_CALLBACK),
            ("callback_attempts", ATTEMPT, HAS_CALLBACK),
        ):
            _fill(db, table, given, f"SELECT * FROM ({CALLS}) WHERE {which}", history.records, shared)  # noqa: S608  of this file


def _model(db: sqlite3.Connection, table: str) -> dict[str, Any]:
    [row] = db.execute(f"SELECT * FROM {table}")  # noqa: S608  names from this file
    return dict(row)


def _fill(
    db: sqlite3.Connection, table: str, given: Mapping[str, str], source: str, rows: int, values: Mapping[str, Any]
) -> None:
    """Fills a table.

    Args:
        db: The database.
        table: Its name.
        given: An SQL expression for each column. A column without one takes its value from `values`, else the
            schema's default.
        source: The SELECT that the rows come from.
        rows: How many rows `n` counts.
        values: The parameters of all expressions.
    """
    columns = [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
    expressions = {name: given.get(name, f":{name}") for name in columns if name in given or name in values}
    statement = f"""
        INSERT INTO {table} ({", ".join(expressions)})
        WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)
        SELECT {", ".join(expressions.values())} FROM ({source})
    """  # noqa: S608  names from the schema, expressions from this file
    for first in range(0, rows, ROWS_AT_ONCE):
        db.execute(statement, {**values, "first": first, "last": min(rows, first + ROWS_AT_ONCE)})
        db.commit()


@contextmanager
def _indices_made_at_the_end(db: sqlite3.Connection) -> Iterator[None]:
    made = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for index in made:
        db.execute(f"DROP INDEX {index['name']}")
    yield
    for index in made:
        db.execute(index["sql"])
    db.commit()
