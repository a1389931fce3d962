"""SQLite's plan of every query of the product: its cost must not grow with the tables."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.storage import queries

pytestmark = pytest.mark.sqlite_only

# Queries that may scan a whole table, and why.
SCANS = dict.fromkeys(
    ("book_all_held", "quarantine_all_but_held", "numbers_stored", "prefixes_of_numbers", "texts_with_numbers"),
    "for `restore`, without engine",
) | {
    "accounts_list": "for the operator; customers are few",
    "booked_without_booking": "for `doctor`",
    "busiest_bookings": "for the operator; customers are few, and each one's calls are searched",
    "api_keys_of": "for the operator; keys are few",
    "countries_rented_out": "for the operator's warnings, every five minutes, on a connection besides that of requests",
    "asterisks": "one row for each Asterisk",
    "keepers": "one row for each Asterisk",
    "left_by_country": "accounts, and of each its swaps within a week; for the operator",
    "numbers_taken": "accounts, and of each its swaps within a week; for the forecast",
    "taken_by_country": "accounts, and of each its swaps within a week; for the operator",
    "latest_reported_call": "for `doctor`; from the newest call on, until an answered one",
    "numbers_by_country": "for the operator",
    "numbers_by_state": "for `doctor`",
    "numbers_by_country_and_state": "for metrics, once a minute at most, and on a connection of its own",
    "end_web_sessions": "for `console end --all` and `restore`; sessions are few, and old ones are deleted",
    "delete_unused_web_links": "for `console end --all` and `restore`; links are few, and old ones are deleted",
    "web_sessions_open": "for `console sessions`; likewise",
    "oldest_cdrs": "in the order of the index, until the first recent one",
}
# Queries that may sort their result, and why it is small.
SORTS = {
    "asterisks": "live calls",
    "asterisks_with_calls": "live calls",
    "busiest_bookings": "bookings that were called within the last hours",
    "numbers_matching": "for the operator",
    "nth_end_of_quarantine": "what one account gave back, when it is refused a booking",
    "countries_rented_out": "countries, which are few",
    "taken_by_country": "numbers that were taken within a week",
    "calls_by_hour": "a bounded number of scanned rows",
    "dispositions_between": "a bounded number of scanned rows",
    "ends_of_quarantine_by_country": "numbers in quarantine, by country and day",
    "left_by_country": "numbers that were left within a week",
    "numbers_by_country": "for the operator",
    "proxy_sessions_idle": "sessions with a time to live that have just had calls or are over",
    "proxy_numbers_page": "the open sessions of one service",
    "proxy_number": "the open sessions of one service",
    "usage_by_booking": "bookings that one account had on one day",
    "calls_by_number": "numbers that one account had on one day",
    "ends_of_quarantine": "numbers in quarantine, by day",
    "grants_of_booking": "of one booking",
    "charges_between": "plans that one account was granted on one day",
    "bookings_of_account_ending": "of one sandbox",
    "bookings_ending": "by id, of those that end in the same millisecond",
    "overview_live_calls": "live calls",
    "silent_asterisk_sums": "live calls in Asterisks that are silent",
    "free_number_among_oldest": "a bounded number of scanned rows",
    "free_number_among_oldest_of_country": "a bounded number of scanned rows",
    "free_number_among_range": "a bounded number of scanned rows",
    "free_number_among_range_of_country": "a bounded number of scanned rows",
    "numbers_by_state": "for `doctor`",
    "numbers_by_country_and_state": "for metrics, once a minute at most, and on a connection of its own",
    "prefixes_of_numbers": "for `restore`; first digits, of which there are few",
}
# The index of frequent queries, and as much of their search as matters.
INDEXES = {
    "taken_by_country": "bookings_created (created_at>? AND created_at<?)",
    "left_by_country": "bookings_ended (gone_at>? AND gone_at<?)",
    "calls_by_hour": "sqlite_autoindex_cdrs_1 (id>?)",
    "cdr_id_before": "sqlite_autoindex_cdrs_1 (id<?)",
    "dispositions_between": "sqlite_autoindex_cdrs_1 (id>? AND id<?)",
    "newest_cdrs": "sqlite_autoindex_cdrs_1 (id>? AND id<?)",
    "endpoints_tried": "callback_endpoints_used (last_attempt_at>?)",
    "calls_by_number": "cdrs_begun (account_id=? AND started_at>? AND started_at<?)",
    "charges_between": "grants_charged (account_id=? AND granted_at>? AND granted_at<?)",
    "bookings_of_closed_accounts": "accounts_closed",
    "booking_id_before": "sqlite_autoindex_bookings_1 (id<?)",
    "callback_id_before": "sqlite_autoindex_outbox_1 (id<?)",
    "console_callbacks": "sqlite_autoindex_outbox_1 (id>? AND id<?)",
    "console_bookings": "sqlite_autoindex_bookings_1 (id>? AND id<?)",
    "bookings_page": "bookings_listed (account_id=? AND id",
    "bookings_page_end": "bookings_listed (account_id=? AND id",
    "accounts_with_callbacks": "outbox_due (account_id>?)",
    "callback_place_after": "outbox_listed (account_id=? AND (created_at,id)>(?,?) AND created_at<?)",
    "callback_place_before": "outbox_listed (account_id=? AND created_at>? AND (created_at,id)<(?,?))",
    "callbacks_failed_to_redeliver": "outbox_failed_listed (account_id=? AND (created_at,id)>(?,?)",
    "callbacks_page": "outbox_listed (account_id=? AND created_at>? AND (created_at,id)<(?,?))",
    "callbacks_page_failed": "outbox_failed_listed (account_id=? AND created_at>? AND (created_at,id)<(?,?))",
    "callbacks_page_filtered": "outbox_listed (account_id=? AND (created_at,id)>(?,?) AND (created_at,id)<(?,?))",
    "callbacks_page_held": "outbox_held_listed (account_id=? AND created_at>? AND (created_at,id)<(?,?))",
    "callbacks_to_redeliver": "outbox_listed (account_id=? AND (created_at,id)>(?,?) AND (created_at,id)<(?,?))",
    "cdr_by_id": "sqlite_autoindex_cdrs_1 (id=?)",
    "cdr_places": "cdrs_begun (account_id=? AND (started_at,id)>(?,?) AND (started_at,id)<(?,?))",
    "cdrs_between": "cdrs_begun (account_id=? AND (started_at,id)>(?,?) AND (started_at,id)<(?,?))",
    "free_number_among_oldest": "numbers_free",
    "free_number_among_oldest_of_country": "numbers_free_country (country=?)",
    "free_number_among_range": "numbers_free_e164 (e164>? AND e164<?)",
    "free_number_among_range_of_country": "numbers_free_area (country=? AND e164>? AND e164<?)",
    "free_numbers_by_country": "numbers_free_area",
    "least_recently_used_free": "numbers_free",
    "line_up_due_callbacks": "outbox_due (account_id=? AND due_at<?)",
    "least_recently_used_free_of_country": "numbers_free_country (country=?)",
    "nth_end_of_quarantine": "numbers_quarantined_by (quarantined_by=? AND quarantined_until>?)",
    "nth_newest_number_taken": "bookings_account_created (account_id=? AND created_at>?)",
    "numbers_quarantined_by": "numbers_quarantined_by (quarantined_by=? AND quarantined_until>?)",
    "oldest_cdrs": "sqlite_autoindex_cdrs_1",
}
# Frequent queries of a table that is its own index.
BY_PRIMARY_KEY = {
    "noted_bookings_page": "n USING PRIMARY KEY (digest=? AND booking_id>? AND booking_id<?)",
    "noted_bookings_page_end": "booking_notes USING PRIMARY KEY (digest=? AND booking_id<?)",
}
# Queries whose index alone holds what they read.
COVERED = {
    "booking_id_before",
    "callback_id_before",
    "cdr_id_before",
    "callback_place_after",
    "callback_place_before",
    "cdr_places",
    "nth_newest_number_taken",
}
# All searches of the statements that every call runs.
CALL_PATH = {
    "asked": [
        "b USING INDEX sqlite_autoindex_bookings_1 (id=?)",
        "s USING INDEX bookings_service (service=?)",
        "p USING PRIMARY KEY (service=? AND number=?)",
        "i USING PRIMARY KEY (service=? AND pin=?)",
        "n USING INDEX sqlite_autoindex_numbers_1 (e164=?)",
        "x USING COVERING INDEX sqlite_autoindex_blocked_callers_1 (booking_id=? AND caller=?)",
        "c USING COVERING INDEX calls_caller (booking_id=? AND source=? AND started_at>?)",
        "u USING COVERING INDEX calls_of_account (account_id=? AND ended_at=?)",
        "a USING INDEX sqlite_autoindex_accounts_1 (id=?)",
        "o USING INDEX sqlite_autoindex_accounts_1 (id=?)",
        "k USING COVERING INDEX sqlite_autoindex_calls_1 (call_id=?)",
        "r USING COVERING INDEX cdrs_call (call_id=?)",
        "o USING PRIMARY KEY (call_id=?)",
        "s USING INDEX sqlite_autoindex_accounts_1 (id=?)",
        "f USING INDEX sqlite_autoindex_reached_callers_1 (service=? AND digest=?)",
    ],
    "last_caller": [
        "c USING INDEX calls_returnable (booking_id=?)",
        "x USING COVERING INDEX sqlite_autoindex_blocked_callers_1 (booking_id=? AND caller=?)",
    ],
    "begin_expected_talk": [
        "calls USING INDEX sqlite_autoindex_calls_1 (call_id=?)",
        "b USING INDEX sqlite_autoindex_bookings_1 (id=?)",
        "a USING INDEX sqlite_autoindex_accounts_1 (id=?)",
    ],
    "called": [
        "c USING INDEX sqlite_autoindex_calls_1 (call_id=?)",
        "b USING INDEX sqlite_autoindex_bookings_1 (id=?)",
        "a USING INDEX sqlite_autoindex_accounts_1 (id=?)",
    ],
    "update_credit": ["bookings USING INDEX sqlite_autoindex_bookings_1 (id=?)"],
    "update_credit_and_count": ["bookings USING INDEX sqlite_autoindex_bookings_1 (id=?)"],
    "end_call": ["calls USING INDEX sqlite_autoindex_calls_1 (call_id=?)"],
}
SQL = queries.load("sqlite3")
ALL = sorted(SQL.statements)


@pytest.fixture
def db(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def plan(db: sqlite3.Connection, name: str) -> list[str]:
    sql = SQL.statements[name].sql
    names = dict.fromkeys(re.findall(r"(?<!:):([a-z]\w*)", sql))
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", names)]


def scans_table(db: sqlite3.Connection, step: str) -> bool:
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
        tables = [step for step in steps if scans_table(db, step) and step.split()[1] not in subqueries(steps)]
        found |= {name: tables} if tables else {}
    assert found.keys() == SCANS.keys(), found


def test_no_query_sorts_an_unbounded_number_of_rows(db: sqlite3.Connection) -> None:
    sorts = {name for name in ALL if any("TEMP B-TREE" in step for step in plan(db, name))}
    assert sorts == SORTS.keys()


@pytest.mark.parametrize("name", INDEXES)
def test_a_frequent_query_uses_its_index(db: sqlite3.Connection, name: str) -> None:
    kind = "USING COVERING INDEX" if name in COVERED else "USING INDEX"
    assert any(f"{kind} {INDEXES[name]}" in f"{step} " for step in plan(db, name))


@pytest.mark.parametrize("name", BY_PRIMARY_KEY)
def test_a_query_of_notes_searches_their_primary_key(db: sqlite3.Connection, name: str) -> None:
    assert f"SEARCH {BY_PRIMARY_KEY[name]}" in plan(db, name)


@pytest.mark.parametrize("name", CALL_PATH)
def test_a_step_of_a_call_only_searches_by_keys(db: sqlite3.Connection, name: str) -> None:
    steps = [step for step in plan(db, name) if "SUBQUERY" not in step]
    assert steps == [f"SEARCH {search}" for search in CALL_PATH[name]]


def test_only_doctor_and_restore_scan_the_outbox(db: sqlite3.Connection) -> None:
    scans = {name for name in ALL if any(step.startswith("SCAN outbox") for step in plan(db, name))}
    assert scans == {"callback_counts", "texts_with_numbers"}


def test_a_callback_that_is_posted_has_two_indexes_besides_its_id(db: sqlite3.Connection) -> None:
    """Every index costs a write at every call."""
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute(
        "INSERT INTO outbox (id, account_id, booking_id, url, body, state, attempts, created_at, due_at)"
        " VALUES ('evt_1', 'acc_1', 'bkg_1', '', '', 'PENDING', 0, 1, 1)"
    )
    made = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '% ON outbox (%'"
    conditions = {name: sql.partition(" WHERE ")[2] or "TRUE" for name, sql in db.execute(made)}
    holds = "SELECT COUNT(*) FROM outbox WHERE {}"
    written = {name for name, condition in conditions.items() if db.execute(holds.format(condition)).fetchone()[0]}
    assert written == {"outbox_due", "outbox_listed"}


def test_call_records_have_one_index_besides_their_ids(db: sqlite3.Connection) -> None:
    """Every index costs a write at every call."""
    indexes = {
        row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'cdrs' AND type <> 'trigger'")
    }
    assert indexes == {"cdrs", "cdrs_begun", "cdrs_call", "sqlite_autoindex_cdrs_1"}
