"""Expired data is deleted in time, in short steps, and the ledger still proves every booking."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.accounts.idempotency import KEPT_MS, KeyedRequest, once
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch
from engine.cdr.ledger import audit_page
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS
from engine.domain.ids import CallId
from engine.domain.numbers import ERASED
from engine.domain.policy import RetentionPeriods
from engine.domain.times import EpochMs
from engine.privacy.retention import BATCH, DeletedCounts, delete_batch, delete_expired
from engine.storage import queries
from engine.storage.kept_answers import KeptAnswer
from engine.storage.sqlite import connect
from engine.storage.transaction import Transaction
from tests.contract.samples import DAY, HIDDEN, HOUR, START
from tests.contract.test_migrations import insert
from tests.contract.world import INTEGRITY_ERRORS, World, outsider

RETENTION = RetentionPeriods(records_ms=180 * DAY, callbacks_ms=30 * DAY, bookings_ms=30 * DAY)
# `RETENTION_RECORDS=10000000 pytest -s tests/contract/test_retention.py -k does_not_grow` prints the figures.
MANY = int(os.environ.get("RETENTION_RECORDS", "60000"))


async def _forget(world: World) -> DeletedCounts:
    return await delete_expired(world.storage, world.now, RETENTION)


async def _discrepancies(world: World) -> list[str]:
    return [each.rule for each in (await world.storage.run(audit_page)).discrepancies]


async def _deliver_all(world: World) -> None:
    def finish(tx: Transaction) -> None:
        for due in tx.outbox.line_up_due(world.account, world.now, world.now, 1000).due:
            delivery = tx.outbox.begin(due.event_id, due.attempts, world.now)
            assert delivery is not None
            tx.outbox.finish(delivery, "DELIVERED", "204", world.now)

    await world.storage.run(finish)


def _kept(world: World) -> dict[str, int]:
    """Returns the number of rows by table."""
    return {
        table: world.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]  # noqa: S608  our own words
        for table in ("cdrs", "calls", "outbox", "bookings", "blocked_callers")
    }


async def test_a_record_and_its_call_are_deleted_after_exactly_the_retention_time(world: World) -> None:
    booking = await world.book()
    await world.talk(booking, CallId("first"), 7_000)
    await _deliver_all(world)
    world.now = START + 180 * DAY - 1
    # Callbacks have a shorter retention time.
    assert await _forget(world) == DeletedCounts(callbacks=1)
    assert (_kept(world)["cdrs"], _kept(world)["calls"]) == (1, 1)
    world.now += 1
    assert await _forget(world) == DeletedCounts(records=1)
    assert (_kept(world)["cdrs"], _kept(world)["calls"]) == (0, 0)
    assert await _discrepancies(world) == []


async def test_a_pending_callback_is_kept_however_old_it_is(world: World) -> None:
    booking = await world.book()
    await world.talk(booking, CallId("first"), 7_000)
    world.now += 100 * DAY
    assert await _forget(world) == DeletedCounts()
    assert _kept(world)["outbox"] == 1


async def test_a_refused_call_is_deleted_too(world: World) -> None:
    booking = await world.book()
    await world.talk(booking, CallId("first"), 7_000)
    await world.route(booking.service, "rejected")
    assert _kept(world)["cdrs"] == 2
    await _deliver_all(world)
    world.now += 180 * DAY
    assert (await _forget(world)).records == 2
    assert await _discrepancies(world) == []


async def test_a_live_call_is_not_deleted(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "up")
    world.now += 200 * DAY
    assert await _forget(world) == DeletedCounts()
    assert _kept(world)["calls"] == 1


async def _half_forgotten(world: World) -> None:
    """A booking with two answered calls and an unanswered one; the first record is deleted."""
    booking = await world.book()
    booking = await world.renew(booking)
    booking = await world.renew(booking)
    await world.talk(booking, CallId("old"), 7_000)
    world.now += 12 * HOUR
    await world.talk(booking, CallId("young"), 5_000)
    await world.bridge(booking, "unanswered")
    await world.ended(CallId("unanswered"), 0, "BUSY")
    await _deliver_all(world)
    world.now = START + 180 * DAY
    assert (await _forget(world)).records == 1


async def test_the_ledger_balances_for_a_booking_with_old_and_recent_calls(storage: Any, database: Path) -> None:
    world = await World.begin(storage, database)
    await _half_forgotten(world)
    assert await _discrepancies(world) == []
    [row] = world.rows("SELECT seconds_settled, seconds_forgotten, calls_settled, calls_forgotten FROM bookings")
    assert row == {"seconds_settled": 12, "seconds_forgotten": 7, "calls_settled": 2, "calls_forgotten": 1}


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("DELETE FROM cdrs WHERE call_id = 'young'", "seconds_settled = records_seconds"),
        ("DELETE FROM cdrs WHERE call_id = 'young'", "every ended call has its record"),
        ("DELETE FROM cdrs WHERE call_id = 'unanswered'", "every ended call has its record"),
        ("DELETE FROM calls WHERE call_id = 'young'", "seconds_settled = charged_seconds"),
        ("DELETE FROM calls WHERE call_id = 'young'", "calls_settled = charged_calls"),
        ("UPDATE cdrs SET duration = 6 WHERE call_id = 'young'", "seconds_settled = records_seconds"),
        ("UPDATE bookings SET seconds_forgotten = 6", "seconds_settled = charged_seconds"),
        ("UPDATE bookings SET calls_forgotten = 0", "calls_settled = charged_calls"),
    ],
)
async def test_a_record_missing_without_retention_is_still_detected(
    storage: Any, database: Path, damage: str, rule: str
) -> None:
    world = await World.begin(storage, database)
    await _half_forgotten(world)
    with outsider(database) as connection:
        assert connection.execute(damage).rowcount == 1
    assert rule in await _discrepancies(world)


@pytest.mark.parametrize("forged", ["seconds_forgotten = 13", "calls_forgotten = 3", "seconds_forgotten = -1"])
async def test_no_more_seconds_can_be_deleted_than_were_settled(storage: Any, database: Path, forged: str) -> None:
    world = await World.begin(storage, database)
    await _half_forgotten(world)
    with outsider(database) as connection, pytest.raises(INTEGRITY_ERRORS):
        connection.execute(f"UPDATE bookings SET {forged}")  # noqa: S608  our own words


async def test_a_gone_bookings_row_stays_without_its_personal_data(world: World) -> None:
    gone, held = await world.book(), await world.book()
    for booking in (gone, held):
        noted = BookingPatch(label="Ann", metadata={"who": "Ann"})
        await world.storage.run(bookings.change, world.account, booking.id, noted, world.now, world.policy)
    await world.cancel(gone)
    with outsider(world.database) as connection:
        for booking in (gone, held):
            insert(connection, "blocked_callers", booking_id=booking.id)
    world.now += 30 * DAY - 1
    assert await _forget(world) == DeletedCounts()
    world.now += 1
    assert await _forget(world) == DeletedCounts(bookings=1)
    assert await _forget(world) == DeletedCounts()
    rows = {row["id"]: (row["destination"], row["callback"]) for row in world.rows("SELECT * FROM bookings")}
    assert rows == {gone.id: (ERASED, ""), held.id: (HIDDEN, held.callback)}
    assert [(row["label"], row["metadata"]) for row in world.rows("SELECT * FROM bookings ORDER BY id")] == [
        ("", "{}"),
        ("Ann", '{"who":"Ann"}'),
    ]
    assert [row["booking_id"] for row in world.rows("SELECT * FROM blocked_callers")] == [held.id]
    assert await _discrepancies(world) == []


async def test_a_gone_bookings_personal_data_stays_while_a_call_on_it_is_live(storage: Any, database: Path) -> None:
    world = await World.begin(storage, database)
    booking = await world.book()
    await world.bridge(booking, "up")
    await world.answered(CallId("up"))
    await world.cancel(booking)
    world.now += 31 * DAY
    assert await _forget(world) == DeletedCounts()
    assert await world.ended(CallId("up"), 5_000) is not None
    # The call is reported to its owner.
    assert [row["url"] for row in world.rows("SELECT url FROM outbox")] == [booking.callback]
    assert await _forget(world) == DeletedCounts(bookings=1)
    assert await _discrepancies(world) == []


@pytest.fixture
def filled(database: Path) -> Callable[[int], sqlite3.Connection]:
    """Creates that many call records, a booking's calls and delivered callbacks; returns a connection."""

    def fill(many: int) -> sqlite3.Connection:
        path = database.with_name(f"{many}.sqlite3")
        path.write_bytes(database.read_bytes())
        connection = connect(path)
        connection.execute("PRAGMA synchronous = OFF")
        insert(connection, "accounts")
        insert(connection, "bookings", seconds_settled=0, seconds_leased=30, calls_settled=0, calls_leased=2)
        ids = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        connection.execute("BEGIN")
        connection.execute(
            f"""{ids} INSERT INTO cdrs (id, account_id, booking_id, call_id, started_at, duration, source, service,
                destination, disposition) SELECT printf('cdr_%032x', i), 'acc_1', 'bkg_1', printf('c%012d', i), i, 0,
                '+14155550123', '+3225550001', '{HIDDEN}', 'BUSY' FROM n""",  # noqa: S608  as above
            [many],
        )
        connection.execute(
            f"""{ids} INSERT INTO calls (call_id, booking_id, state, source, destination, seconds_leased,
                seconds_charged, started_at, ended_at, started_ticks)
                SELECT printf('c%012d', i), 'bkg_1', 'VOIDED', '+14155550123', '{HIDDEN}', 1, 0, i, i, i FROM n""",  # noqa: S608
            [many],
        )
        connection.execute(
            f"""{ids} INSERT INTO outbox (id, account_id, booking_id, url, body, state, attempts, created_at, due_at,
                finished_at, last_outcome)
                SELECT printf('evt_%032x', i), 'acc_1', 'bkg_1', '', '{{}}', 'DELIVERED', 1, i, i, i, '204' FROM n""",  # noqa: S608
            [many],
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    return fill


def _steps(
    connection: sqlite3.Connection, now: EpochMs, retention: RetentionPeriods
) -> tuple[int, DeletedCounts, float]:
    """Returns the cost of one batch in hundreds of steps of SQLite's machine, its result, and its seconds."""
    count = 0

    def progress() -> int:
        nonlocal count
        count += 1
        return 0

    tx = Transaction(queries.load("sqlite3"), connection)
    connection.set_progress_handler(progress, 100)
    began = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    done = delete_batch(tx, now, retention)
    connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.set_progress_handler(None, 0)
    return count, done, seconds


@pytest.mark.timeout(3600)
@pytest.mark.sqlite_only
def test_the_cost_of_retention_does_not_grow_with_the_number_of_records(
    filled: Callable[[int], sqlite3.Connection],
) -> None:
    short = RetentionPeriods(records_ms=1, callbacks_ms=1, bookings_ms=1)
    long = RetentionPeriods(records_ms=10**12, callbacks_ms=10**12, bookings_ms=10**12)
    costs = {}
    for many in (1_000, MANY):
        with closing(filled(many)) as connection:
            nothing = _steps(connection, EpochMs(many + 1), long)
            batch = _steps(connection, EpochMs(many + 1), short)
            assert nothing[1] == DeletedCounts()
            assert batch[1] == DeletedCounts(records=BATCH, callbacks=BATCH)
            costs[many] = nothing[0], batch[0]
            print(f"\n{many} records: nothing due {nothing[2] * 1e3:.1f} ms, {BATCH} due {batch[2] * 1e3:.1f} ms")  # noqa: T201
    assert costs[MANY] == costs[1_000]


async def test_a_kept_answer_is_deleted_after_a_day(world: World) -> None:
    keyed = KeyedRequest(world.account, "k1", "f")
    await world.storage.run(once, keyed, world.now, lambda tx: KeptAnswer(201, None, "{}"), DEFAULT_ACCOUNT_LIMITS)
    assert await _forgotten_answers(world, EpochMs(world.now + KEPT_MS - 1)) == 0
    assert await _forgotten_answers(world, EpochMs(world.now + KEPT_MS)) == 1
    assert world.rows("SELECT * FROM kept_answers") == []


async def _forgotten_answers(world: World, now: EpochMs) -> int:
    return (await delete_expired(world.storage, now, RETENTION)).answers
