"""Whole rows are decoded by position: each value comes back in its own field, also from a newer schema."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.booking import Booking, CallerId
from engine.domain.call_ends import Attempt, CallEnd, HungUpBy
from engine.domain.directions import Direction
from engine.domain.dispositions import Disposition
from engine.domain.ids import BookingId, CallId
from engine.domain.metering import CallState, Credit
from engine.domain.numbers import E164
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.prompts import Language
from engine.domain.rejections import Reason
from engine.domain.screening import Screening
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage import queries
from engine.storage.bookings import Grant
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.columns import COLUMNS
from engine.storage.transaction import Transaction
from tests.contract.samples import HIDDEN, SECOND
from tests.contract.world import World, outsider

SQL = queries.load("sqlite3")


def full_booking(world: World) -> Booking:
    return Booking(
        id=BookingId("bkg_full"),
        account_id=world.account,
        service=E164("+3225559901"),
        destination=HIDDEN,
        usage_plan=UsagePlan.MEDIUM,
        callback="https://receiver.example/",
        created_at=EpochMs(1),
        end_at=EpochMs(2),
        exhausted_at=EpochMs(3),
        gone_at=EpochMs(4),
        seconds=Credit(60, 10, 20, 30),
        calls=Credit(9, 2, 3, 4),
        limits=BookingLimits(5, 6, 7),
        caller_id=CallerId.SERVICE,
        refuse_anonymous=True,
        paused=False,
        label="label",
        metadata={"key": "value"},
        language=Language.DE,
        whisper=True,
        screening=Screening.PRESS1,
        reverse=True,
        greeting=True,
        accept_former_callers=True,
        beep=True,
    )


CALL = Call(
    call_id=CallId("c1"),
    booking_id=BookingId("bkg_full"),
    state=CallState.VOIDED,
    source="+3225550101",
    destination=HIDDEN,
    callee_channel="PJSIP/trunk-00000001",
    seconds_leased=8,
    seconds_charged=7,
    started_at=EpochMs(11),
    ended_at=EpochMs(12),
    started_ticks=BootMs(13),
    answered=Timestamp(EpochMs(14), BootMs(15)),
    seen_ticks=BootMs(16),
    sip_call_id="17@caller",
    callee_sip_call_id="18@callee",
    incoming_trunk="north",
    direction=Direction.REVERSE,
    returnable=True,
)


async def test_every_value_of_a_row_comes_back_in_its_own_field(world: World) -> None:
    booking = full_booking(world)
    grant = Grant(
        "grt_1", booking.id, UsagePlan.MEDIUM, 60, 9, EpochMs(5), None, booking.account_id, booking.service, 7, "EUR"
    )
    record = Cdr(
        "cdr_1",
        world.account,
        booking.id,
        CALL.call_id,
        EpochMs(21),
        22,
        "source",
        booking.service,
        HIDDEN,
        Disposition.LOST,
        CallEnd("main", 404, 1, HungUpBy.CALLEE),
        "1@caller",
        "2@callee",
        7,
        "south",
        Reason.NO_TRUNK,
        (Attempt("first", "CONGESTION", 503, 34), Attempt("main", "CHANUNAVAIL")),
        Direction.REVERSE,
    )

    def write_and_read(tx: Transaction) -> tuple[object, ...]:
        tx.bookings.insert(booking)
        tx.bookings.insert_grant(grant)
        tx.calls.insert(CALL)
        tx.cdrs.insert(record)
        return (
            tx.bookings.by_id(booking.id),
            tx.bookings.grant(grant.id),
            tx.calls.by_id(CALL.call_id),
            tx.notifications.call_record(world.account, record.id),
        )

    def remove(tx: Transaction) -> None:  # the ledger is checked after each test
        for table in ("calls", "cdrs", "grants", "bookings"):
            tx.bookings._db.execute(f"DELETE FROM {table}")  # noqa: S608  ours

    assert await world.storage.run(write_and_read) == (booking, grant, CALL, record)
    await world.storage.run(remove)


async def test_an_updated_call_and_booking_are_read_as_they_were_written(world: World) -> None:
    booking = await world.stored(await world.book())
    await world.bridge(booking, "c1")
    changed = replace(booking, seconds=replace(booking.seconds, remaining=1, settled=booking.seconds.granted - 1))

    def check(tx: Transaction) -> None:
        tx.bookings.update_credit(changed)
        assert tx.bookings.by_id(booking.id) == changed
        tx.bookings.update(booking)
        assert tx.bookings.by_id(booking.id) == booking
        call = tx.calls.by_id(CallId("c1"))
        assert call is not None
        answered = replace(
            call,
            state=CallState.LIVE,
            callee_channel="x",
            seconds_leased=call.seconds_leased - 1,
            answered=Timestamp(EpochMs(1), BootMs(2)),
            seen_ticks=BootMs(3),
        )
        tx.calls.update(answered)
        assert tx.calls.by_id(call.call_id) == answered
        raise ZeroDivisionError  # so that the ledger still adds up

    with pytest.raises(ZeroDivisionError):
        await world.storage.run(check)


async def test_credit_and_the_count_of_callbacks_are_stored_together(world: World) -> None:
    booking = await world.stored(await world.book())
    seconds = booking.seconds.lease(5)

    def check(tx: Transaction) -> None:
        first = tx.outbox.next_sequence(booking.id)
        tx.bookings.update_credit_and_count(replace(booking, seconds=seconds))
        assert tx.outbox.next_sequence(booking.id) == first + 2
        stored = tx.bookings.by_id(booking.id)
        assert stored is not None
        assert stored.seconds == seconds
        tx.bookings.update_credit(booking)

    await world.storage.run(check)


async def test_columns_that_a_newer_schema_has_disturb_nothing(world: World, database: Path) -> None:
    with outsider(database) as connection:
        for table in COLUMNS:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN newer TEXT NOT NULL DEFAULT 'x'")
    booking = await world.book()
    await world.talk(booking, CallId("c1"), 10 * SECOND)
    assert (await world.stored(booking)).seconds.settled == 10
    with outsider(database) as connection:
        for table in COLUMNS:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN newer")


def test_no_statement_selects_whatever_columns_there_are() -> None:
    for name, statement in SQL.statements.items():
        without_patterns = re.sub(r"'[^']*'", "", statement.sql)
        assert "*" not in without_patterns.replace("COUNT(*)", "").replace("* 1000", ""), name


def test_the_function_of_a_statement_demands_its_parameters_by_name() -> None:
    connection = sqlite3.connect(":memory:")
    columns = ("id", "name", "webhook_secret", "created_at", "test_of", "suspended_at", "suspended_reason", "closed_at")
    connection.execute(f"CREATE TABLE accounts ({', '.join(columns)})")
    by_name: Callable[..., object] = SQL.account_by_name
    assert by_name(connection, name="Ann") is None
    with pytest.raises(TypeError, match="name"):
        by_name(connection)
    with pytest.raises(TypeError, match="nome"):
        by_name(connection, name="Ann", nome="Ann")
    with pytest.raises(AttributeError):
        SQL.no_such_statement  # noqa: B018
    connection.close()
