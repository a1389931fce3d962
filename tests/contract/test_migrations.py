"""The schema: created once, created completely, and it refuses rows that do not add up."""

import sqlite3
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from engine.storage.migrate import MIGRATIONS, migrate
from engine.storage.sqlite import connect
from engine.storage.upgrade import upgrade
from tests.contract.samples import DAY, HIDDEN, START
from tests.contract.world import outsider

pytestmark = pytest.mark.sqlite_only

ROWS: dict[str, dict[str, Any]] = {
    "accounts": {"id": "acc_1", "name": "Ann", "webhook_secret": "whsec_x", "created_at": START},
    "bookings": {
        "id": "bkg_1",
        "account_id": "acc_1",
        "service": "+3225550001",
        "destination": HIDDEN,
        "usage_plan": "SMALL",
        "callback": "",
        "created_at": START,
        "end_at": START + DAY,
        "seconds_granted": 60,
        "seconds_remaining": 30,
        "seconds_leased": 20,
        "seconds_settled": 10,
        "calls_granted": 3,
        "calls_remaining": 1,
        "calls_leased": 1,
        "calls_settled": 1,
    },
    "number_swaps": {"account_id": "acc_1", "swapped_at": START, "booking_id": "bkg_1", "service": "+3225550002"},
    "booking_notes": {"digest": "d", "booking_id": "bkg_1"},
    "pair_callers": {
        "service": "+3225550009",
        "number": "+32470000009",
        "booking_id": None,
        "quarantined_until": START,
    },
    "pair_pins": {"service": "+3225550009", "pin": "40718352", "booking_id": None, "quarantined_until": START},
    "pin_tries": {"service": "+3225550009", "clears_at": START},
    "reached_callers": {"service": "+3225550000", "digest": "a digest", "booking_id": "bkg_1", "reached_at": START},
    "callers_noted": {"id": 1, "cdr_id": "cdr_1"},
    "grants": {
        "id": "grt_1",
        "booking_id": "bkg_1",
        "usage_plan": "SMALL",
        "seconds": 60,
        "calls": 3,
        "granted_at": START,
    },
    "blocked_callers": {"booking_id": "bkg_1", "caller": "+3225557777", "created_at": START},
    "proxy_services": {
        "id": "psv_1",
        "account_id": "acc_1",
        "unique_name": "shop",
        "default_ttl": 0,
        "callback_url": "",
        "out_of_session_callback_url": "",
        "created_at": START,
        "updated_at": START,
    },
    "proxy_sessions": {
        "id": "pse_1",
        "service_id": "psv_1",
        "unique_name": "order",
        "ttl": 0,
        "created_at": START,
        "updated_at": START,
    },
    "proxy_participants": {"id": "ppa_1", "session_id": "pse_1", "number": HIDDEN, "name": "Ann", "created_at": START},
    "numbers": {"e164": "+3225550001", "state": "FREE", "idle_since": START},
    "calls": {
        "call_id": "c1",
        "booking_id": "bkg_1",
        "state": "RINGING",
        "source": "",
        "destination": HIDDEN,
        "seconds_leased": 20,
        "started_at": START,
        "started_ticks": 0,
    },
    "cdrs": {
        "id": "cdr_1",
        "account_id": "acc_1",
        "booking_id": "bkg_1",
        "call_id": "c0",
        "started_at": START,
        "duration": 10,
        "source": "",
        "service": "+3225550001",
        "destination": HIDDEN,
        "disposition": "ANSWERED",
    },
    "outbox": {
        "id": "evt_1",
        "account_id": "acc_1",
        "booking_id": "bkg_1",
        "url": "",
        "body": "{}",
        "state": "PENDING",
        "attempts": 0,
        "created_at": START,
        "due_at": START,
    },
    "callback_attempts": {
        "callback_id": "evt_1",
        "attempt": 1,
        "began_at": START,
        "took_ms": 7,
        "status": 204,
        "response": "",
    },
    "callback_endpoints": {"id": "cep_1", "account_id": "acc_1", "url": "", "last_attempt_at": START},
    "web_links": {"digest": "d", "role": "VIEWER", "created_at": START, "use_before": START, "ends_at": START},
    "web_sessions": {
        "id": "ses_1",
        "digest": "d",
        "role": "VIEWER",
        "created_at": START,
        "seen_at": START,
        "ends_at": START,
    },
    "kept_answers": {
        "account_id": "acc_1",
        "idempotency_key": "k1",
        "fingerprint": "f",
        "status": 201,
        "body": "{}",
        "kept_at": START,
    },
    "notices": {"booking_id": "bkg_1", "kind": "booking.expired", "told_at": START},
    "notices_swept": {"kind": "booking.expired", "ends_at": START, "booking_id": ""},
    "expired_calls": {
        "booking_id": "bkg_1",
        "began_at": START,
        "told": 10,
        "not_told": 1,
        "last_cdr_id": "cdr_1",
    },
    "refused_calls": {
        "booking_id": "bkg_1",
        "disposition": "EXPIRED",
        "began_at": START,
        "recorded": 10,
        "cdr_id": "cdr_1",
    },
    "api_keys": {"id": "key_1", "account_id": "acc_1", "digest": "d", "hint": "h", "created_at": START},
}  # fmt: skip  one row a paragraph reads better than one column a line

INCONSISTENT: list[tuple[str, dict[str, Any]]] = [
    ("bookings", {"seconds_granted": 61}),
    ("bookings", {"seconds_remaining": 31}),
    ("bookings", {"seconds_remaining": -1, "seconds_leased": 51}),
    ("bookings", {"seconds_leased": -1, "seconds_remaining": 51}),
    ("bookings", {"seconds_settled": -1, "seconds_remaining": 41}),
    ("bookings", {"calls_granted": 4}),
    ("bookings", {"calls_remaining": -1, "calls_leased": 3}),
    ("bookings", {"calls_leased": -1, "calls_remaining": 3}),
    ("bookings", {"calls_settled": -1, "calls_remaining": 3}),
    ("bookings", {"account_id": "acc_none"}),
    ("grants", {"seconds": -1}),
    ("grants", {"calls": -1}),
    ("grants", {"usage_plan": None}),
    ("grants", {"reason": "because"}),
    ("grants", {"price": 1}),
    ("grants", {"price": 1, "currency": "EUR", "account_id": "acc_1"}),
    ("grants", {"price": -1, "currency": "EUR", "account_id": "acc_1", "service": "+32255"}),
    ("bookings", {"caller_id": "somebody"}),
    ("bookings", {"refuse_anonymous": 2}),
    ("bookings", {"seconds_forgotten": 11}),
    ("bookings", {"seconds_forgotten": -1}),
    ("bookings", {"calls_forgotten": 2}),
    ("bookings", {"calls_forgotten": -1}),
    ("bookings", {"forgotten": 2}),
    ("blocked_callers", {"booking_id": "bkg_none"}),
    ("proxy_services", {"account_id": "acc_none"}),
    ("proxy_services", {"default_ttl": -1}),
    ("proxy_sessions", {"service_id": "psv_none"}),
    ("proxy_sessions", {"ttl": -1}),
    ("proxy_sessions", {"booking_id": "bkg_1"}),
    ("proxy_sessions", {"booking_id": "bkg_none", "paid_until": START}),
    ("proxy_sessions", {"idle_until": START}),
    ("proxy_participants", {"session_id": "pse_none"}),
    ("proxy_participants", {"number": None}),
    ("grants", {"booking_id": "bkg_none"}),
    ("bookings", {"paused": 2}),
    ("bookings", {"start_at": START}),
    ("bookings", {"start_at": START + DAY}),
    ("bookings", {"whisper": 2}),
    ("bookings", {"screening": "press2"}),
    ("bookings", {"greeting": 2}),
    ("bookings", {"accept_former_callers": 2}),
    ("bookings", {"beep": 2}),
    ("numbers", {"state": "SOLD"}),
    ("numbers", {"state": "QUARANTINED"}),
    ("numbers", {"quarantined_until": START}),
    ("numbers", {"quarantined_by": "acc_1"}),
    ("numbers", {"state": "QUARANTINED", "quarantined_until": START, "quarantined_by": "acc_none"}),
    ("pair_callers", {"quarantined_by": "acc_none"}),
    ("pair_callers", {"last_booking_id": "bkg_none"}),
    ("accounts", {"max_bookings": 0}),
    ("accounts", {"new_bookings_a_day": 0}),
    ("accounts", {"stored_megabytes": 0}),
    ("accounts", {"calls_at_once": 0}),
    ("accounts", {"suspended_reason": "unpaid"}),
    ("accounts", {"closed_at": START}),
    ("accounts", {"requests_per_minute": 0}),
    ("calls", {"state": "GONE"}),
    ("calls", {"seconds_leased": 0}),
    ("calls", {"state": "SETTLED"}),
    ("calls", {"state": "SETTLED", "ended_at": START}),
    ("calls", {"ended_at": START, "seconds_charged": 1}),
    ("calls", {"seconds_charged": 1}),
    ("calls", {"state": "SETTLED", "ended_at": START, "seconds_charged": 21}),
    ("calls", {"state": "SETTLED", "ended_at": START, "seconds_charged": -1}),
    ("calls", {"booking_id": "bkg_none"}),
    ("calls", {"answered_at": START}),
    ("calls", {"answered_ticks": 0}),
    ("cdrs", {"duration": -1}),
    ("cdrs", {"sip_code": 100}),
    ("cdrs", {"hangup_cause": 128}),
    ("cdrs", {"hung_up_by": "NOBODY"}),
    ("cdrs", {"further_calls": -1}),
    ("refused_calls", {"recorded": 0}),
    ("refused_calls", {"booking_id": "bkg_none"}),
    ("outbox", {"state": "SENT"}),
    ("outbox", {"state": "DELIVERED"}),
    ("outbox", {"finished_at": START}),
    ("outbox", {"attempts_before": 1}),
    ("outbox", {"claimed": 2}),
    ("callback_attempts", {"callback_id": "evt_none"}),
    ("callback_attempts", {"status": None}),
    ("callback_attempts", {"trouble": "timeout"}),
    ("callback_attempts", {"took_ms": -1}),
    ("callback_endpoints", {"account_id": "acc_none"}),
    ("callback_endpoints", {"disabled_at": START}),
    ("callback_endpoints", {"reason": "GONE"}),
    ("callback_endpoints", {"disabled_at": START, "reason": "BORED"}),
    ("callback_endpoints", {"disabled_at": START, "reason": "GONE", "releasing": 1}),
    ("bookings", {"callbacks_posted": -1}),
    ("outbox", {"account_id": "acc_none"}),
    ("api_keys", {"account_id": "acc_none"}),
    ("notices", {"booking_id": "bkg_none"}),
    ("expired_calls", {"booking_id": "bkg_none"}),
    ("expired_calls", {"told": 0}),
    ("expired_calls", {"not_told": -1}),
    ("expired_calls", {"not_told": 0}),
    ("expired_calls", {"last_cdr_id": None}),
]


def insert(connection: sqlite3.Connection, table: str, **changes: Any) -> None:
    row = ROWS[table] | changes
    marks = ", ".join(f":{column}" for column in row)
    # Tables and columns are constants of this file.
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608


def schema(database: Path) -> list[dict[str, Any]]:
    with outsider(database) as connection:
        found: list[dict[str, Any]] = connection.execute("SELECT * FROM sqlite_master ORDER BY name").fetchall()
    return found


def test_a_consistent_row_of_each_table_is_kept(database: Path) -> None:
    connection = connect(database)
    for table in ROWS:
        insert(connection, table)
    connection.close()
    reopened = connect(database)
    kept = {table: reopened.execute(f"SELECT COUNT(*) AS n FROM {table}").fetchone()["n"] for table in ROWS}  # noqa: S608
    reopened.close()
    assert kept == dict.fromkeys(ROWS, 1)


@pytest.mark.parametrize(("table", "changes"), INCONSISTENT)
def test_the_database_itself_refuses_an_inconsistent_row(database: Path, table: str, changes: dict[str, Any]) -> None:
    connection = connect(database)
    for before in takewhile(lambda name: name != table, ("accounts", "bookings", "outbox")):
        insert(connection, before)
    with pytest.raises(sqlite3.IntegrityError):
        insert(connection, table, **changes)
    connection.close()


def test_the_database_itself_refuses_two_bookings_of_one_number(database: Path) -> None:
    connection = connect(database)
    insert(connection, "accounts")
    insert(connection, "bookings", gone_at=START)
    insert(connection, "bookings", id="bkg_2")
    with pytest.raises(sqlite3.IntegrityError):
        insert(connection, "bookings", id="bkg_3")
    connection.close()


def test_migrating_again_changes_nothing_and_loses_nothing(database: Path) -> None:
    with outsider(database) as connection:
        insert(connection, "accounts")
    before = schema(database)
    migrate(database)
    assert schema(database) == before
    with outsider(database) as connection:
        assert connection.execute("SELECT id FROM accounts").fetchall() == [{"id": "acc_1"}]


@pytest.mark.parametrize(("table", "text"), [("outbox", "body"), ("bookings", "metadata")])
def test_a_large_text_is_behind_all_columns_that_are_read_without_it(database: Path, table: str, text: str) -> None:
    """SQLite reads a row from its beginning, so the text would cost each such read up to its 40 kB."""
    with outsider(database) as connection:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
    assert columns[-1]["name"] == text


def test_a_missing_directory_is_created(tmp_path: Path) -> None:
    migrate(tmp_path / "new" / "deep" / "file.sqlite3")
    assert len(schema(tmp_path / "new" / "deep" / "file.sqlite3")) > len(ROWS)


def test_rows_of_the_first_schema_survive_every_migration(tmp_path: Path) -> None:
    database = tmp_path / "old.sqlite3"
    upgrade(database, MIGRATIONS, "0001")
    with outsider(database) as connection:
        for table in ("accounts", "bookings", "grants"):
            insert(connection, table)
        connection.execute(
            """INSERT INTO calls (call_id, booking_id, state, source, destination, channel, seconds_leased,
               started_at, started_ticks) VALUES ('c1', 'bkg_1', 'RINGING', '', '', 'PJSIP/x', 20, 1, 0)"""
        )
        insert(connection, "outbox")
        insert(
            connection, "outbox", id="evt_2", state="DELIVERED", attempts=3, finished_at=START, last_outcome="HTTP 204"
        )
    migrate(database)
    with outsider(database) as connection:
        assert [dict(row) for row in connection.execute("SELECT * FROM grants")] == [
            ROWS["grants"] | dict.fromkeys(("reason", "account_id", "service", "price", "currency"))
        ]
        [booking] = connection.execute("SELECT caller_id, refuse_anonymous FROM bookings").fetchall()
        assert booking == {"caller_id": "caller", "refuse_anonymous": 0}
        assert connection.execute("SELECT call_id FROM calls").fetchall() == [{"call_id": "c1"}]
        kept = "SELECT id, state, attempts, attempts_before, claimed, last_outcome FROM outbox ORDER BY id"
        assert [tuple(row.values()) for row in connection.execute(kept)] == [
            ("evt_1", "PENDING", 0, 0, 0, None),
            ("evt_2", "DELIVERED", 3, 0, 0, "HTTP 204"),
        ]


def test_a_failed_migration_leaves_nothing_behind_and_can_be_repeated(tmp_path: Path) -> None:
    database = tmp_path / "half.sqlite3"
    with outsider(database) as connection:
        connection.execute("CREATE TABLE outbox (in_the_way TEXT)")
    with pytest.raises(OperationalError, match="already exists"):
        migrate(database)
    assert [row["name"] for row in schema(database)] == ["outbox"]
    with outsider(database) as connection:
        connection.execute("DROP TABLE outbox")
    migrate(database)
    assert {*ROWS} < {row["name"] for row in schema(database)}
