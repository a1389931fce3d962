"""A booking that begins later: its number is held, its time counts from the start, and calls before are refused."""

from dataclasses import replace

import pytest

from engine.accounts.accounts import sandbox_of
from engine.bookings.lifecycle import BookingPatch, change
from engine.domain.booking import Booking
from engine.domain.errors import BookingBegun, BookingTooLong
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from engine.domain.policy import UsagePlan
from engine.domain.rejections import BOOKING_EXPIRED, BOOKING_NOT_BEGUN, Reason
from engine.domain.routing import Bridge
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import EpochMs
from engine.sandbox.clock import advance_clock
from engine.sandbox.simulation import simulate_call
from tests.contract.samples import CALLER, DAY, HOUR, SECOND, START
from tests.contract.world import World


async def test_calls_are_refused_until_it_begins_and_cost_and_report_nothing(world: World) -> None:
    start = EpochMs(START + 3 * DAY)
    booking = await world.book(UsagePlan.MEDIUM, start_at=start)
    assert (booking.begins_at, booking.end_at) == (start, start + 7 * DAY)
    assert await world.stored(booking) == booking
    assert world.rows("SELECT state FROM numbers WHERE e164 = ?", booking.service) == [{"state": "BOOKED"}]
    world.now = EpochMs(start - 1)
    assert await world.route(booking.service, "early") == BOOKING_NOT_BEGUN
    assert world.rows("SELECT disposition, duration, reason FROM cdrs") == [
        {"disposition": "NOT_BEGUN", "duration": 0, "reason": "not_begun"}
    ]
    assert world.rows("SELECT * FROM outbox") == world.rows("SELECT * FROM calls") == []
    world.now = start
    assert isinstance(await world.route(booking.service, "in time"), Bridge)
    await world.ended(CallId("in time"), SECOND)
    world.now = booking.end_at
    assert await world.route(booking.service, "late") == BOOKING_EXPIRED


async def test_a_renewal_before_the_start_adds_to_the_end(world: World) -> None:
    booking = await world.book(start_at=EpochMs(START + 3 * DAY))
    renewed = await world.renew(booking)
    assert (renewed.begins_at, renewed.end_at) == (booking.begins_at, START + 5 * DAY)
    assert await world.route(booking.service) == BOOKING_NOT_BEGUN


@pytest.mark.parametrize("start", [START, START - DAY, 0])
async def test_a_start_that_has_passed_is_now(world: World, start: int) -> None:
    booking = await world.book(start_at=EpochMs(start))
    assert (booking.start_at, booking.begins_at, booking.end_at) == (None, START, START + DAY)


async def test_a_start_too_far_ahead_books_nothing(world: World) -> None:
    for days in (366, 89.5):  # the second ends beyond the horizon
        with pytest.raises(BookingTooLong):
            await world.book(start_at=EpochMs(START + round(days * DAY)))
    assert world.rows("SELECT * FROM bookings") == []
    assert world.rows("SELECT COUNT(*) AS n FROM numbers WHERE state <> 'FREE'") == [{"n": 0}]


async def test_in_a_sandbox_it_begins_by_the_sandboxs_clock(world: World) -> None:
    sandbox = await world.storage.run(sandbox_of, world.account, world.now)
    booking = await world.book(account=sandbox.id, start_at=EpochMs(START + DAY))
    call = SimulatedCall(booking.service, CALLER, Outcome.BUSY, 0)

    async def reason() -> Reason:
        return (await world.storage.run(simulate_call, sandbox.id, call, world.at, world.policy)).reason

    assert await reason() is Reason.NOT_BEGUN
    await world.storage.run(advance_clock, sandbox.id, DAY, world.now)
    assert await reason() is Reason.PUT_THROUGH


async def move(world: World, booking: Booking, start: int) -> Booking:
    changes = BookingPatch(start_at=EpochMs(start))
    return await world.storage.run(change, world.account, booking.id, changes, world.now, world.policy)


@pytest.mark.parametrize(
    ("wanted", "begins"),
    [
        (START + 5 * DAY, START + 5 * DAY),
        (START + 2 * DAY, START + 2 * DAY),
        (START - DAY, START + DAY),  # a time that has passed is now
    ],
)
async def test_a_start_moves_with_the_end_until_the_booking_has_begun(world: World, wanted: int, begins: int) -> None:
    booking = await world.book(UsagePlan.MEDIUM, start_at=EpochMs(START + 3 * DAY))
    world.now = EpochMs(START + DAY)
    moved = await move(world, booking, wanted)
    assert moved == replace(booking, start_at=EpochMs(begins), end_at=EpochMs(begins + 7 * DAY))
    assert await world.stored(booking) == moved
    world.now = EpochMs(begins)
    assert await move(world, moved, begins) == moved, "the start that it has is no change"
    for late in (begins - 1, begins + DAY):
        with pytest.raises(BookingBegun):
            await move(world, moved, late)
    assert isinstance(await world.route(booking.service, "in time"), Bridge)
    await world.ended(CallId("in time"), 0, "CANCEL")
    world.now = moved.end_at
    assert await world.route(booking.service, "late") == BOOKING_EXPIRED
    assert await world.stored(booking) == moved
    world.check_ledger()


async def test_a_booking_made_just_now_for_later_can_begin_now(world: World) -> None:
    booking = await world.book(start_at=EpochMs(START + DAY))
    begun = await move(world, booking, START)
    assert (begun.start_at, begun.begins_at, begun.end_at) == (None, START, START + DAY)
    assert isinstance(await world.route(booking.service), Bridge)


async def test_a_start_moves_with_a_renewal_within_the_same_bounds(world: World) -> None:
    booking = await world.book(start_at=EpochMs(START + 3 * DAY))
    for days in (366, 89.5):
        with pytest.raises(BookingTooLong):
            await move(world, booking, START + round(days * DAY))
    begun = await world.book()
    with pytest.raises(BookingBegun):
        await world.renew(begun, start_at=EpochMs(START + DAY))
    assert (await world.stored(booking), await world.stored(begun)) == (booking, begun)
    renewed = await world.renew(booking, UsagePlan.MEDIUM, start_at=EpochMs(START + 10 * DAY))
    assert (renewed.begins_at, renewed.end_at) == (START + 10 * DAY, START + 18 * DAY)


async def test_a_booking_whose_end_moves_away_is_told_of_its_end_again(world: World) -> None:
    booking = await world.book(start_at=EpochMs(START + HOUR))
    await world.storage.run(lambda tx: tx.notifications.mark(booking.id, EventType.BOOKING_EXPIRING_SOON, world.now))
    marks = "SELECT kind FROM notices WHERE booking_id = ?"
    await move(world, booking, START + HOUR - 1)
    assert len(world.rows(marks, booking.id)) == 1
    await move(world, booking, START + DAY)
    assert world.rows(marks, booking.id) == []
