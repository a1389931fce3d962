"""W6: a flood of calls to one expired booking. Callbacks are bounded and count the calls they leave out; every call
is still refused and recorded."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from engine.callbacks import notifications
from engine.cdr.refused import OWN_RECORDS
from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.policy import NotificationRules
from engine.domain.rejections import BOOKING_EXPIRED
from engine.domain.times import EpochMs, rfc3339
from engine.storage.database import open_storage
from tests.contract.samples import DAY, HOUR, POLICY, SECOND
from tests.contract.world import World, outsider

FLOOD = 1_000
MOST = 10


@pytest.fixture
async def expired(world: World) -> Booking:
    booking = await world.book()
    world.now = booking.end_at
    return booking


async def flood(world: World, booking: Booking, many: int) -> None:
    decisions = await asyncio.gather(*(world.route(booking.service) for _ in range(many)))
    assert decisions == [BOOKING_EXPIRED] * many


async def sweep(world: World) -> None:
    await notifications.notify_all_due(world.storage, world.now, world.policy)


def reported(world: World) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox ORDER BY id")]


def left_out(world: World) -> list[int]:
    """Returns `callsNotReported` of each callback."""
    return [body.get("callsNotReported", 0) for body in reported(world)]


async def test_a_thousand_simultaneous_calls_create_ten_callbacks_and_ten_records_that_stand_for_all(
    world: World, expired: Booking
) -> None:
    await flood(world, expired, FLOOD)
    assert left_out(world) == [0] * MOST
    records = world.rows(
        "SELECT disposition, duration, COUNT(*) AS own, SUM(1 + further_calls) AS calls FROM cdrs GROUP BY 1, 2"
    )
    assert records == [{"disposition": "EXPIRED", "duration": 0, "own": OWN_RECORDS, "calls": FLOOD}]
    callbacks = len(reported(world))
    print(f"W6: {FLOOD} calls to one expired booking, {OWN_RECORDS} records, {callbacks} callbacks")  # noqa: T201  a figure


async def test_the_next_call_after_the_window_reports_the_suppressed_calls(world: World, expired: Booking) -> None:
    await flood(world, expired, FLOOD)
    world.now += HOUR - 1
    await flood(world, expired, 1)
    assert len(reported(world)) == MOST
    world.now += 1
    await flood(world, expired, 2)
    assert left_out(world)[MOST:] == [FLOOD - MOST + 1, 0]


async def test_without_a_next_call_the_sweep_reports_the_last_one_and_the_suppressed_calls(
    world: World, expired: Booking
) -> None:
    await flood(world, expired, FLOOD - 1)
    world.now += 60 * SECOND
    last = world.now
    await flood(world, expired, 1)
    world.now = expired.end_at + HOUR - 1
    await sweep(world)
    assert len(reported(world)) == MOST
    world.now += 1
    for _ in range(3):
        await sweep(world)
        world.now += 2 * HOUR
    reports = reported(world)[MOST:]
    assert [(body["timestamp"], body["callsNotReported"]) for body in reports] == [
        (rfc3339(EpochMs(last)), FLOOD - MOST - 1)
    ]


async def test_a_report_by_the_sweep_counts_as_the_first_of_a_new_window(world: World, expired: Booking) -> None:
    await flood(world, expired, MOST + 1)
    world.now += HOUR
    await sweep(world)
    await flood(world, expired, FLOOD)
    assert left_out(world) == [0] * 2 * MOST


async def test_a_flood_for_hours_is_reported_at_most_ten_times_an_hour(world: World, expired: Booking) -> None:
    hours = 5
    for _ in range(hours * 4):
        await flood(world, expired, 50)
        await sweep(world)
        world.now += HOUR // 4
    assert len(reported(world)) == hours * MOST
    assert (
        sum(left_out(world)) + len(reported(world)) + world.rows("SELECT not_told FROM expired_calls")[0]["not_told"]
        == world.rows("SELECT SUM(1 + further_calls) AS calls FROM cdrs")[0]["calls"]
    )


async def test_a_booking_that_ends_reports_the_rest_and_leaves_no_row(world: World, expired: Booking) -> None:
    await flood(world, expired, MOST + 5)
    await world.cancel(expired)
    assert left_out(world) == [0] * MOST + [4]
    assert world.rows("SELECT * FROM expired_calls") == []


async def test_each_booking_is_counted_separately(world: World, expired: Booking) -> None:
    other = await world.book()
    world.now = other.end_at
    await flood(world, expired, 20)
    await flood(world, other, 20)
    by_booking = world.rows("SELECT booking_id, COUNT(*) AS many FROM outbox GROUP BY 1 ORDER BY 1")
    assert by_booking == [{"booking_id": each.id, "many": MOST} for each in (expired, other)]


async def test_one_accounts_rest_can_be_reported_by_its_own_clock(world: World, expired: Booking) -> None:
    await flood(world, expired, 20)
    await world.storage.run(notifications.notify_due, EpochMs(world.now + HOUR), world.policy, AccountId("acc_other"))
    assert len(reported(world)) == MOST
    await world.storage.run(notifications.notify_due, EpochMs(world.now + HOUR), world.policy, world.account)
    assert left_out(world)[MOST:] == [9]


async def test_the_count_outlives_the_engine(world: World, expired: Booking) -> None:
    await flood(world, expired, 15)
    again = open_storage(world.database)
    world.storage, first = again, world.storage
    try:
        await flood(world, expired, 15)
        world.now += HOUR
        await flood(world, expired, 1)
    finally:
        world.storage = first
        await again.close()
    assert left_out(world) == [0] * MOST + [20]


async def test_a_call_whose_record_was_deleted_is_not_reported_and_blocks_nothing(
    world: World, expired: Booking
) -> None:
    world.policy = replace(POLICY, notifications=NotificationRules(expired_window_ms=2 * DAY))
    await flood(world, expired, 20)
    with outsider(world.database) as connection:
        connection.execute("DELETE FROM cdrs")
        connection.execute("DELETE FROM outbox")
    world.now += 2 * DAY
    await sweep(world)
    assert reported(world) == []
    assert world.rows("SELECT told, not_told, last_cdr_id FROM expired_calls") == [
        {"told": 1, "not_told": 0, "last_cdr_id": None}
    ]
