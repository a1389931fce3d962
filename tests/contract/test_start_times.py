"""A booking that begins later: its number is held, its time counts from the start, and calls before are refused."""

import pytest

from engine.accounts.accounts import sandbox_of
from engine.domain.errors import BookingTooLong
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.rejections import BOOKING_EXPIRED, BOOKING_NOT_BEGUN, Reason
from engine.domain.routing import Bridge
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.times import EpochMs
from engine.sandbox.clock import advance_clock
from engine.sandbox.simulation import simulate_call
from tests.contract.samples import CALLER, DAY, SECOND, START
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
