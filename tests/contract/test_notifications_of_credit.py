"""Low credit is reported once until more is added, and not when the last second is spent."""

import pytest

from engine.bookings.adjustments import Adjustment, adjust
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.notifications import EventType
from engine.domain.times import HOUR_MS, rfc3339
from tests.contract.notifying import choose, kinds, reported, sweep
from tests.contract.samples import SECOND
from tests.contract.world import World


async def test_low_credit_is_reported_once_until_a_renewal(all_events: World) -> None:
    booking = await all_events.book()
    await choose(all_events, EventType.BOOKING_LOW_SECONDS)
    for number in range(9):
        await all_events.talk(booking, CallId(f"a{number}"), 60 * SECOND)
    assert reported(all_events, EventType.BOOKING_LOW_SECONDS) == []
    all_events.now += SECOND
    await all_events.talk(booking, CallId("low"), SECOND)
    await all_events.talk(booking, CallId("lower"), SECOND)
    assert reported(all_events, EventType.BOOKING_LOW_SECONDS) == [
        {
            "type": "booking.low_seconds",
            "timestamp": rfc3339(all_events.now),
            "bookingId": booking.id,
            "service": booking.service,
            "endTime": rfc3339(booking.end_at),
            "secondsRemaining": 59,
            "secondsHeld": 0,
            "callsRemaining": 90,
            "sequence": 11,
        }
    ]
    await all_events.renew(booking)
    for number in range(11):
        await all_events.talk(booking, CallId(f"b{number}"), 60 * SECOND)
    assert len(reported(all_events, EventType.BOOKING_LOW_SECONDS)) == 2


async def test_seconds_held_by_other_live_calls_are_not_low_credit(all_events: World) -> None:
    booking = await all_events.book()
    await all_events.bridge(booking, "holds all")
    await all_events.answered(CallId("holds all"))
    for number in range(9):
        await all_events.talk(booking, CallId(f"c{number}"), 60 * SECOND)
    assert (await all_events.stored(booking)).seconds.unspent == 60
    assert reported(all_events, EventType.BOOKING_LOW_SECONDS) == []
    await all_events.talk(booking, CallId("one more"), SECOND)
    [low] = reported(all_events, EventType.BOOKING_LOW_SECONDS)
    assert low["secondsRemaining"] + low["secondsHeld"] == 59


async def adjusted(world: World, booking: Booking, name: str, seconds: int = 0, calls: int = 0) -> None:
    wanted = Adjustment(f"grt_{name}", booking.id, seconds, calls, "a test")
    for _ in range(2):  # a repeated report changes nothing
        await world.storage.run(adjust, wanted, world.at, world.policy)


async def test_an_operators_adjustment_is_reported_like_a_call_or_a_renewal(all_events: World) -> None:
    booking = await all_events.book()
    await adjusted(all_events, booking, "1", seconds=-550)
    await adjusted(all_events, booking, "2", seconds=-10)
    await adjusted(all_events, booking, "3", seconds=500)
    await adjusted(all_events, booking, "4", seconds=-500)
    await adjusted(all_events, booking, "5", seconds=-500)
    await adjusted(all_events, booking, "6", seconds=500)
    await adjusted(all_events, booking, "7", calls=-100)
    assert kinds(all_events) == [
        "booking.low_seconds",
        "booking.low_seconds",
        "booking.expired",
        "booking.expired",
    ]
    assert [body["reason"] for body in reported(all_events, EventType.BOOKING_EXPIRED)] == [
        "seconds_spent",
        "calls_spent",
    ]


async def test_a_spent_booking_revived_in_its_last_day_is_reported_once_as_expiring_soon(
    all_events: World,
) -> None:
    """The sweep has passed the booking while it was spent, and does not return to it."""
    booking = await all_events.book()
    await choose(all_events, EventType.BOOKING_EXPIRING_SOON)
    for number, seconds in enumerate((-600, 300, -300, 300)):
        if number == 1:
            await sweep(all_events)
            all_events.now = booking.end_at - HOUR_MS
            await sweep(all_events)
            assert kinds(all_events) == []
        given = Adjustment(f"grt_{number}", booking.id, seconds, 0, "a trial")
        await all_events.storage.run(adjust, given, all_events.at, all_events.policy)
        await sweep(all_events)
    assert kinds(all_events) == ["booking.expiring_soon"]


@pytest.mark.parametrize("late", [0, HOUR_MS])
async def test_a_spent_booking_revived_after_its_end_is_not_reported_as_expiring_soon(
    all_events: World, late: int
) -> None:
    booking = await all_events.book()
    await choose(all_events, EventType.BOOKING_EXPIRING_SOON)
    all_events.now = booking.end_at - HOUR_MS
    await adjusted(all_events, booking, "1", seconds=-600)
    await sweep(all_events)
    all_events.now = booking.end_at + late
    await adjusted(all_events, booking, "2", seconds=300)
    await sweep(all_events)
    assert kinds(all_events) == []
