"""SQLite's plan of every query of the product: its cost must not grow with the tables."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.storage import queries

# Queries that may scan a whole table, and why.
SCANS = {
    "accounts_list": "for the operator; customers are few",
    "api_keys_of": "for the operator; keys are few",
    "delete_kept_answers_with": "erasure; answers are kept for a day",
    "numbers_by_state": "for `doctor`",
    "oldest_cdrs": "in the order of the index, to the first that is young enough",
}
# Queries that may sort their result, and why it is small.
SORTS = {
    "grants_of_booking": "of one booking",
    "bookings_of_account_ending": "of a test world",
    "bookings_ending": "by id, of those that end in the same millisecond",
    "overview_live_calls": "calls that are up",
    "free_number_among_oldest": "so many as are looked at",
    "free_number_among_range": "so many as are looked at",
    "numbers_by_state": "for `doctor`",
}
SQL = queries.load("sqlite3")
ALL = sorted(name for name in SQL.available_queries if not name.endswith("_cursor"))


@pytest.fixture
def db(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def plan(db: sqlite3.Connection, name: str) -> list[str]:
    sql = getattr(SQL, name).sql
    names = dict.fromkeys(re.findall(r"(?<!:):([a-z]\w*)", sql))
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", names)]


def passed_over(db: sqlite3.Connection, step: str) -> bool:
    """Returns whether a step scans a whole table. A partial index is made to be scanned."""
    scan = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    if scan is None or scan[1] == "CONSTANT":
        return False
    made = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (scan[2],)).fetchone()
    return not (made and made[0] and " WHERE " in made[0])


def subqueries(steps: list[str]) -> set[str]:
    """Names of subqueries, which are no tables."""
    return {step.split()[1] for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}


def test_no_query_scans_a_growing_table(db: sqlite3.Connection) -> None:
    found: dict[str, list[str]] = {}
    for name in ALL:
        steps = plan(db, name)
        tables = [step for step in steps if passed_over(db, step) and step.split()[1] not in subqueries(steps)]
        found |= {name: tables} if tables else {}
    assert found.keys() == SCANS.keys(), found


def test_no_query_sorts_an_unbounded_number_of_rows(db: sqlite3.Connection) -> None:
    sorts = {name for name in ALL if any("TEMP B-TREE" in step for step in plan(db, name))}
    assert sorts == SORTS.keys()


def test_a_list_of_bookings_uses_an_index_in_its_order(db: sqlite3.Connection) -> None:
    for name in ("bookings_page_end", "bookings_page"):
        assert any("bookings_listed (account_id=? AND id" in step for step in plan(db, name))
