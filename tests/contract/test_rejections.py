"""Refused calls: what is recorded of them, all of it or nothing."""

import json
from typing import Any

import pytest

from engine.bookings.number_pool import import_numbers
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.rejections import ALL_SLOTS_HELD, BOOKING_EXPIRED, FORBIDDEN, UNKNOWN_NUMBER, Reject
from engine.domain.routing import RouteDecision
from tests.contract.samples import CALLER, HIDDEN, SECOND
from tests.contract.world import INTEGRITY_ERRORS, POOL, World, refused


async def expired(world: World) -> Booking:
    booking = await world.book()
    world.now = booking.end_at
    return booking


def records(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT call_id, duration, disposition, destination, source FROM cdrs")


async def test_a_call_to_an_expired_booking_is_recorded_and_reported_with_the_contracts_message(world: World) -> None:
    booking = await expired(world)
    assert await world.route(booking.service, "c1") == BOOKING_EXPIRED
    assert records(world) == [
        {"call_id": "c1", "duration": 0, "disposition": "EXPIRED", "destination": HIDDEN, "source": CALLER}
    ]
    [callback] = world.rows("SELECT body, account_id FROM outbox")
    assert callback["account_id"] == world.account
    assert json.loads(callback["body"]) == {
        "timestamp": "2026-03-02T12:00:00.000Z",
        "source": CALLER,
        "destination": HIDDEN,
        "bookingId": booking.id,
        "message": "Incoming call for expired booking",
        "service": booking.service,
        "sequence": 1,
    }


async def test_record_and_callback_of_an_expired_call_are_committed_together_or_not_at_all(world: World) -> None:
    booking = await expired(world)
    with refused(world.database, "INSERT", "outbox"), pytest.raises(INTEGRITY_ERRORS, match="refused"):
        await world.route(booking.service, "c1")
    assert records(world) == []


async def test_debit_record_and_callback_of_a_call_are_committed_together_or_not_at_all(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    before = world.rows("SELECT * FROM bookings") + world.rows("SELECT * FROM calls")
    with refused(world.database, "INSERT", "outbox"), pytest.raises(INTEGRITY_ERRORS, match="refused"):
        await world.ended(CallId("c1"), 10 * SECOND)
    assert world.rows("SELECT * FROM bookings") + world.rows("SELECT * FROM calls") == before
    assert records(world) == []


@pytest.mark.parametrize("decision", [ALL_SLOTS_HELD, FORBIDDEN], ids=["all slots held", "destination is ours"])
async def test_a_refused_call_on_an_active_booking_is_recorded_without_a_callback(
    world: World, decision: Reject
) -> None:
    booking = await world.book()
    if decision == ALL_SLOTS_HELD:
        await world.bridge(booking, "c1")
    else:
        await world.storage.run(import_numbers, [(1, HIDDEN)], world.now)
    assert await world.route(booking.service, "c2") == decision
    assert [(row["call_id"], row["duration"], row["disposition"]) for row in records(world)] == [
        ("c2", 0, decision.disposition)
    ]
    assert world.rows("SELECT * FROM outbox") == []


@pytest.mark.parametrize("case", ["foreign", "free", "deleted", "grace over"])
async def test_a_call_to_a_number_without_a_booking_leaves_no_trace(world: World, case: str) -> None:
    booking = await world.book()
    service = {"foreign": "+12025550123", "free": POOL[3]}.get(case, booking.service)
    if case == "deleted":
        await world.cancel(booking)
    if case == "grace over":
        world.now = booking.end_at + world.policy.grace_ms
    decision: RouteDecision = await world.route(E164(service), "c1")
    assert decision == UNKNOWN_NUMBER
    assert records(world) == world.rows("SELECT * FROM outbox") == world.rows("SELECT * FROM calls") == []
