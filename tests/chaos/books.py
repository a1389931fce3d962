"""Reads leases and call records from the database itself, with SQL of its own."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.contract.ledger import broken_rules

Connection = sqlite3.Connection | psycopg.Connection[Any]


@dataclass(frozen=True)
class Entry:
    """One call that had a lease, with its call record. Times are seconds since the epoch.

    Attributes:
        records: The number of its call records.
        disposition: Of its call record; None if it has no record, or more than one.
        asterisk: The name of its Asterisk.
    """

    call_id: str
    source: str
    state: str
    leased: int
    charged: int | None
    started: float
    ended: float | None
    records: int
    disposition: str | None
    asterisk: str = ""


@dataclass(frozen=True)
class Books:
    entries: dict[str, list[Entry]]  # by the caller's number
    broken: dict[str, list[str]]  # rule → what breaks it
    answered: frozenset[str]  # ids of the call records of answered calls

    def of(self, source: str) -> list[Entry]:
        return self.entries.get(source, [])


CALLS = """
    SELECT c.call_id, c.source, c.state, c.seconds_leased, c.seconds_charged, c.started_at, c.ended_at,
        COUNT(r.id) AS records, MIN(r.disposition) AS disposition, c.asterisk
    FROM calls AS c LEFT JOIN cdrs AS r USING (call_id) GROUP BY c.call_id ORDER BY c.started_at
"""
# Rules in addition to tests/contract/ledger.py, which hold when no call is live.
QUIET_RULES = {
    "nothing is leased when no call is live": "SELECT id FROM bookings WHERE seconds_leased <> 0 OR calls_leased <> 0",
    "no call id has two records": "SELECT call_id FROM cdrs GROUP BY call_id HAVING COUNT(*) > 1",
    "a refused call costs nothing": """
        SELECT r.id FROM cdrs AS r LEFT JOIN calls AS c USING (call_id) WHERE c.call_id IS NULL AND r.duration <> 0""",
}


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        yield connection


def leases_up(connection: Connection) -> int:
    return _count(connection, "SELECT COUNT(*) FROM calls WHERE ended_at IS NULL")


def callbacks_pending(connection: Connection) -> int:
    return _count(connection, "SELECT COUNT(*) FROM outbox WHERE state = 'PENDING'")


def _count(connection: Connection, sql: LiteralString) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def read(connection: sqlite3.Connection) -> Books:
    entries: dict[str, list[Entry]] = {}
    for row in connection.execute(CALLS):
        entry = _entry(*row)
        entries.setdefault(entry.source, []).append(entry)
    broken = broken_rules(connection)
    for rule, sql in QUIET_RULES.items():
        if found := [str(row[0]) for row in connection.execute(sql)]:
            broken[rule] = found
    answered = frozenset(str(row[0]) for row in connection.execute("SELECT id FROM cdrs WHERE duration > 0"))
    return Books(entries, broken, answered)


def _entry(
    call_id: str,
    source: str,
    state: str,
    leased: int,
    charged: int | None,
    started: int,
    ended: int | None,
    records: int,
    disposition: str | None,
    asterisk: str,
) -> Entry:
    return Entry(
        call_id,
        source,
        state,
        leased,
        charged,
        started / 1000,
        None if ended is None else ended / 1000,
        records,
        disposition if records == 1 else None,
        asterisk,
    )
