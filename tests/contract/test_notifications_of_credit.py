"""Low credit is reported once until more is added, and not when the last second is spent."""

import pytest

from engine.bookings.adjustments import Adjustment, adjust
from engine.domain.booking import Booking
from engine.domain.events import EventType
from engine.domain.ids import CallId
from engine.domain.times import HOUR_MS, rfc3339
from tests.contract.notifying import choose, kinds, sweep, told
from tests.contract.samples import SECOND
from tests.contract.world import World


async def test_low_credit_is_reported_once_until_a_renewal(told_all: World) -> None:
    booking = await told_all.book()
    await choose(told_all, EventType.BOOKING_LOW_SECONDS)
    for number in range(9):
        await told_all.talk(booking, CallId(f"a{number}"), 60 * SECOND)
    assert told(told_all, EventType.BOOKING_LOW_SECONDS) == []
    told_all.now += SECOND
    await told_all.talk(booking, CallId("low"), SECOND)
    await told_all.talk(booking, CallId("lower"), SECOND)
    assert told(told_all, EventType.BOOKING_LOW_SECONDS) == [
        {
            "type": "booking.low_seconds",
            "timestamp": rfc3339(told_all.now),
            "bookingId": booking.id,
            "service": booking.service,
            "endTime": rfc3339(booking.end_at),
            "secondsRemaining": 59,
            "secondsHeld": 0,
            "callsRemaining": 90,
            "sequence": 11,
        }
    ]
    await told_all.renew(booking)
    for number in range(11):
        await told_all.talk(booking, CallId(f"b{number}"), 60 * SECOND)
    assert len(told(told_all, EventType.BOOKING_LOW_SECONDS)) == 2


async def test_seconds_held_by_other_live_calls_are_not_low_credit(told_all: World) -> None:
    booking = await told_all.book()
    await told_all.bridge(booking, "holds all")
    await told_all.answered(CallId("holds all"))
    for number in range(9):
        await told_all.talk(booking, CallId(f"c{number}"), 60 * SECOND)
    assert (await told_all.stored(booking)).seconds.unspent == 60
    assert told(told_all, EventType.BOOKING_LOW_SECONDS) == []
    await told_all.talk(booking, CallId("one more"), SECOND)
    [low] = told(told_all, EventType.BOOKING_LOW_SECONDS)
    assert low["secondsRemaining"] + low["secondsHeld"] == 59


async def adjusted(world: World, booking: Booking, name: str, seconds: int = 0, calls: int = 0) -> None:
    wanted = Adjustment(f"grt_{name}", booking.id, seconds, calls, "a test")
    for _ in range(2):  # a repeated report changes nothing
        await world.storage.run(adjust, wanted, world.at, world.policy)


async def test_an_operators_adjustment_is_reported_like_a_call_or_a_renewal(told_all: World) -> None:
    booking = await told_all.book()
    await adjusted(told_all, booking, "1", seconds=-550)
    await adjusted(told_all, booking, "2", seconds=-10)
    await adjusted(told_all, booking, "3", seconds=500)
    await adjusted(told_all, booking, "4", seconds=-500)
    await adjusted(told_all, booking, "5", seconds=-500)
    await adjusted(told_all, booking, "6", seconds=500)
    await adjusted(told_all, booking, "7", calls=-100)
    assert kinds(told_all) == [
        "booking.low_seconds",
        "booking.low_seconds",
        "booking.expired",
        "booking.expired",
    ]
    assert [body["reason"] for body in told(told_all, EventType.BOOKING_EXPIRED)] == ["seconds_spent", "calls_spent"]


async def test_a_spent_booking_revived_in_its_last_day_is_reported_once_as_expiring_soon(
    told_all: World,
) -> None:
    """The sweep has passed the booking while it was spent, and does not return to it."""
    booking = await told_all.book()
    await choose(told_all, EventType.BOOKING_EXPIRING_SOON)
    for number, seconds in enumerate((-600, 300, -300, 300)):
        if number == 1:
            await sweep(told_all)
            told_all.now = booking.end_at - HOUR_MS
            await sweep(told_all)
            assert kinds(told_all) == []
        given = Adjustment(f"grt_{number}", booking.id, seconds, 0, "a trial")
        await told_all.storage.run(adjust, given, told_all.at, told_all.policy)
        await sweep(told_all)
    assert kinds(told_all) == ["booking.expiring_soon"]


@pytest.mark.parametrize("late", [0, HOUR_MS])
async def test_a_spent_booking_revived_after_its_end_is_not_reported_as_expiring_soon(
    told_all: World, late: int
) -> None:
    booking = await told_all.book()
    await choose(told_all, EventType.BOOKING_EXPIRING_SOON)
    told_all.now = booking.end_at - HOUR_MS
    await adjusted(told_all, booking, "1", seconds=-600)
    await sweep(told_all)
    told_all.now = booking.end_at + late
    await adjusted(told_all, booking, "2", seconds=300)
    await sweep(told_all)
    assert kinds(told_all) == []
