"""Refused calls are recorded in bounded number, and the records say how many calls there were."""

from dataclasses import replace

import pytest

from engine.cdr.refused import OWN_RECORDS, REPEATED_MS
from engine.domain.booking import Booking
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.policy import RetentionPeriods
from engine.domain.times import DAY_MS, MINUTE_MS, EpochMs
from engine.privacy.retention import delete_batch
from tests.contract.world import World, outsider

LATER = 7
RETENTION = RetentionPeriods(DAY_MS, DAY_MS, DAY_MS)


@pytest.fixture
async def expired(world: World) -> Booking:
    booking = await world.book()
    world.now = booking.end_at
    return booking


async def refuse(world: World, booking: Booking, many: int) -> None:
    for _ in range(many):
        await world.route(booking.service)


def further_calls(world: World) -> list[int]:
    return [row["further_calls"] for row in world.rows("SELECT further_calls FROM cdrs ORDER BY id")]


async def test_the_first_calls_of_each_minute_have_records_and_the_last_of_these_counts_further_ones(
    world: World, expired: Booking
) -> None:
    await refuse(world, expired, OWN_RECORDS + LATER)
    world.now = EpochMs(world.now + MINUTE_MS)
    await refuse(world, expired, OWN_RECORDS - 1)
    assert further_calls(world) == [0] * (OWN_RECORDS - 1) + [LATER] + [0] * (OWN_RECORDS - 1)


async def test_each_disposition_and_each_booking_counts_for_itself(world: World, expired: Booking) -> None:
    await refuse(world, expired, OWN_RECORDS + LATER)
    other = await world.book()
    await world.storage.run(lambda tx: tx.bookings.update(replace(other, paused=True)))
    for booking in (expired, other):
        await refuse(world, booking, 2)
    counted = world.rows("SELECT booking_id, disposition, SUM(1 + further_calls) AS calls FROM cdrs GROUP BY 1, 2")
    assert {(row["booking_id"], row["disposition"], row["calls"]) for row in counted} == {
        (expired.id, Disposition.EXPIRED, OWN_RECORDS + LATER + 2),
        (other.id, Disposition.PAUSED, 2),
    }


async def test_a_call_that_is_asked_about_again_is_counted_once(world: World, expired: Booking) -> None:
    await refuse(world, expired, OWN_RECORDS)
    for _ in range(3):
        await world.route(expired.service, call_id=CallId("asked-thrice"))
    assert further_calls(world)[-1] == 1
    await world.renew(expired)
    await world.route(expired.service, call_id=CallId("asked-thrice"))
    assert world.rows("SELECT call_id FROM calls") == []


async def test_what_was_noted_of_counted_calls_and_of_gone_bookings_is_deleted(world: World, expired: Booking) -> None:
    await refuse(world, expired, OWN_RECORDS + LATER)
    assert len(world.rows("SELECT * FROM counted_calls")) == LATER
    world.now = EpochMs(world.now + REPEATED_MS)
    await world.storage.run(delete_batch, world.now, RETENTION)
    assert world.rows("SELECT * FROM counted_calls") == []
    world.now = EpochMs(expired.end_at + world.policy.grace_ms)
    await world.sweep()
    assert world.rows("SELECT * FROM refused_calls") == []


async def test_a_call_has_a_new_record_if_the_one_to_count_on_is_deleted(world: World) -> None:
    paused = await world.book()
    await world.storage.run(lambda tx: tx.bookings.update(replace(paused, paused=True)))
    await refuse(world, paused, OWN_RECORDS)
    with outsider(world.database) as connection:
        connection.execute("DELETE FROM cdrs")
    await refuse(world, paused, LATER)
    assert further_calls(world) == [LATER - 1]
