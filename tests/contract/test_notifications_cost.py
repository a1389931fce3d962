"""The cost of events: a sweep costs the same with 20,000 bookings as with 1,000, an answered call one more read.

`NOTIFICATIONS_BOOKINGS=1000000 pytest -s tests/contract/test_notifications_cost.py` prints the figures.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.callbacks import notifications
from engine.calls.lifecycle import AnswerNoted, note_answer
from engine.domain.notifications import EventType
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage import queries
from engine.storage.sqlite import connect
from engine.storage.transaction import Transaction
from tests.contract.samples import DAY, HIDDEN, POLICY, SECOND, START, answer_report
from tests.contract.test_migrations import insert

pytestmark = pytest.mark.sqlite_only

MANY = int(os.environ.get("NOTIFICATIONS_BOOKINGS", "20000"))
FEW = 1_000
ACCOUNTS = 100
CHOSEN = ",".join(EventType)


@pytest.fixture
def filled(database: Path) -> Callable[[int], sqlite3.Connection]:
    """Creates a database with that many bookings of a hundred accounts, which end from a week ago to a month ahead."""

    def fill(many: int) -> sqlite3.Connection:
        path = database.with_name(f"{many}.sqlite3")
        path.write_bytes(database.read_bytes())
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for number in range(ACCOUNTS):
            insert(connection, "accounts", id=f"acc_{number}", name=f"{number}")
        connection.execute(
            f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                INSERT INTO bookings (id, account_id, service, destination, usage_plan, callback, created_at, end_at,
                    seconds_granted, seconds_remaining, seconds_leased, seconds_settled,
                    calls_granted, calls_remaining, calls_leased, calls_settled)
                SELECT printf('bkg_%032x', i), 'acc_' || (i % {ACCOUNTS}), printf('+322%09d', i), '{HIDDEN}', 'SMALL',
                    'https://customer.example/', {START}, {START} - 7 * {DAY} + (i * 37 * {DAY}) / ?,
                    60, 60, 0, 0, 3, 3, 0, 0 FROM n""",  # noqa: S608  our own words
            [many, many],
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    return fill


@contextmanager
def steps_of(connection: sqlite3.Connection) -> Iterator[list[int]]:
    """Counts the work done inside, in tens of steps of SQLite's virtual machine."""
    count = [0]

    def progress() -> int:
        count[0] += 1
        return 0

    connection.set_progress_handler(progress, 10)
    yield count
    connection.set_progress_handler(None, 0)


def choose(connection: sqlite3.Connection, accounts: str) -> None:
    connection.execute(f"UPDATE accounts SET events = ? WHERE {accounts}", [CHOSEN])  # noqa: S608  as above


def a_sweep(connection: sqlite3.Connection, now: EpochMs) -> tuple[int, float, int]:
    """Sweeps ten seconds after the previous sweep; returns its steps, milliseconds and scanned bookings."""
    tx = Transaction(queries.load("sqlite3"), connection)
    connection.execute("BEGIN IMMEDIATE")
    notifications.notify_due(tx, EpochMs(now - 10 * SECOND), POLICY)
    connection.execute("COMMIT")
    with steps_of(connection) as steps:
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        notified = notifications.notify_due(tx, now, POLICY)
        connection.execute("COMMIT")
        took = time.perf_counter() - began
    return steps[0], took * 1000, notified.scanned


@pytest.mark.parametrize("accounts", ["0", "id = 'acc_7'", "1"], ids=["none", "one", "all"])
def test_the_cost_of_a_sweep_does_not_grow_with_the_number_of_bookings(
    filled: Callable[[int], sqlite3.Connection], accounts: str
) -> None:
    costs = []
    for many in (FEW, MANY):
        connection = filled(many)
        choose(connection, accounts)
        steps, ms, scanned = a_sweep(connection, EpochMs(START + DAY // 2))
        print(f"{many} bookings, accounts {accounts}: {steps * 10} steps, {ms:.2f} ms, {scanned} scanned")  # noqa: T201
        costs.append(steps / (1 + scanned))
        connection.close()
    assert costs[1] <= 1.5 * costs[0] + 20


def test_a_day_without_an_engine_is_caught_up_in_short_transactions(
    filled: Callable[[int], sqlite3.Connection],
) -> None:
    connection = filled(FEW * 37)
    choose(connection, "id = 'acc_7'")
    tx = Transaction(queries.load("sqlite3"), connection)
    notifications.notify_due(tx, START, POLICY)
    rounds: list[notifications.NotifiedBatch] = []
    while not rounds or rounds[-1].is_full:
        rounds.append(notifications.notify_due(tx, EpochMs(START + DAY), POLICY))
    reported = connection.execute("SELECT body FROM outbox").fetchall()
    connection.close()
    # A thousand bookings end each day; one of a hundred is reported as expired and another as expiring soon.
    assert len(reported) == 20
    assert len(rounds) == 6
    assert max(each.scanned for each in rounds) <= 2 * notifications.BATCH


def test_an_answered_call_costs_one_lookup_of_its_account_by_key(database: Path) -> None:
    connection = connect(database)
    for table in ("accounts", "bookings", "calls"):
        insert(connection, table)
    asked: list[str] = []
    tx = Transaction(queries.load("sqlite3"), connection)
    connection.set_trace_callback(asked.append)
    noted = note_answer(tx, answer_report("c1"), Timestamp(START, BootMs(0)))
    connection.set_trace_callback(None)
    assert noted == AnswerNoted(limit_differs=True)
    # The answer as it is expected; then, as the limit is another one, the call with its booking, and the call again.
    [step, _, _] = asked
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {step}").fetchall()]
    connection.close()
    assert [line for line in plan if "SEARCH a USING INDEX" in line and "(id=?)" in line]
    assert not [line for line in plan if "SCAN" in line and "CORRELATED" not in line]
