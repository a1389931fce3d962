"""Limits of a booking in the database: what counts, to the millisecond and for fifty simultaneous calls."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.calls import lease_rebalancing
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.policy import NO_BOOKING_LIMITS, BookingLimits, UsagePlan
from engine.domain.rejections import CALLER_LIMIT, CONCURRENCY_LIMIT
from engine.domain.routing import Bridge, Preparation, RouteDecision
from engine.domain.times import HOUR_MS
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, OTHER_HIDDEN, SECOND
from tests.contract.world import World

OTHER_CALLER = "+14155550199"


async def booked(world: World, destination: E164 = HIDDEN, **limits: int) -> Booking:
    """3,600 s, 100 calls."""
    request = BookingRequest(world.account, destination, UsagePlan.LARGE, CALLBACK, BookingLimits(**limits))
    return await world.storage.run(bookings.book, request, world.now, world.policy)


async def renewed(world: World, booking: Booking, **limits: int | None) -> Booking:
    renewal = Renewal(UsagePlan.SMALL, limits=limits)
    return await world.storage.run(bookings.renew, world.account, booking.id, renewal, world.now, world.policy)


async def route(world: World, booking: Booking, call_id: CallId, source: str = CALLER) -> RouteDecision | Preparation:
    incoming = IncomingCall(call_id, booking.service, source)
    return await world.storage.run(calls.route_call, incoming, world.at, world.policy)


async def lease_of(world: World, call_id: CallId) -> int:
    call = await world.storage.run(lambda tx: tx.calls.by_id(call_id))
    assert call is not None
    return call.seconds_leased


def dispositions(world: World) -> dict[str, tuple[str, int]]:
    rows = world.rows("SELECT call_id, disposition, duration FROM cdrs")
    return {row["call_id"]: (row["disposition"], row["duration"]) for row in rows}


def refused(world: World) -> dict[str, int]:
    """Counts the calls that are recorded as refused, also those that share a record."""
    rows = world.rows("SELECT disposition, SUM(1 + further_calls) AS calls FROM cdrs GROUP BY 1")
    return {row["disposition"]: row["calls"] for row in rows}


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_of_fifty_simultaneous_calls_exactly_the_allowed_number_is_bridged(world: World, limit: int) -> None:
    booking = await booked(world, max_concurrent_calls=limit)
    decisions = await asyncio.gather(*(route(world, booking, CallId(f"c{n}"), f"+1415555{n:04}") for n in range(50)))
    assert sum(isinstance(decision, Bridge) for decision in decisions) == limit
    assert [decision for decision in decisions if not isinstance(decision, Bridge)] == [CONCURRENCY_LIMIT] * (
        50 - limit
    )
    assert refused(world) == ({"CONCURRENCY_LIMIT": 50 - limit} if limit < 50 else {})
    assert world.rows("SELECT * FROM outbox") == []


async def test_of_fifty_calls_by_one_caller_exactly_the_allowed_number_is_bridged(world: World) -> None:
    booking = await booked(world, max_calls_per_caller_per_hour=7)
    decisions = await asyncio.gather(*(route(world, booking, CallId(f"c{n}")) for n in range(50)))
    assert sum(isinstance(decision, Bridge) for decision in decisions) == 7
    assert refused(world) == {"CALLER_LIMIT": 43}
    assert world.rows("SELECT * FROM outbox") == []


@pytest.mark.parametrize("answered", [0, SECOND])
async def test_an_ended_call_makes_room_for_the_next(world: World, answered: int) -> None:
    booking = await booked(world, max_concurrent_calls=1)
    await route(world, booking, CallId("c1"))
    await world.answered(CallId("c1"))
    assert await route(world, booking, CallId("c2")) == CONCURRENCY_LIMIT
    await world.ended(CallId("c1"), answered)
    assert isinstance(await route(world, booking, CallId("c3")), Bridge)


async def test_a_caller_is_admitted_again_after_exactly_an_hour(world: World) -> None:
    booking = await booked(world, max_calls_per_caller_per_hour=2)
    begin = world.now
    for call_id, later in (("c1", 0), ("c2", 1)):
        world.now = begin + later
        await route(world, booking, CallId(call_id))
        await world.ended(CallId(call_id), SECOND)
    seen = {}
    for later in (2, HOUR_MS - 1, HOUR_MS, HOUR_MS + 1):
        world.now = begin + later
        seen[later] = await route(world, booking, CallId(f"after-{later}"))
        await world.ended(CallId(f"after-{later}"), SECOND)
    # Each of the two calls leaves the hour separately, and the call admitted then counts again.
    assert [later for later, decision in seen.items() if decision == CALLER_LIMIT] == [2, HOUR_MS - 1]
    assert await route(world, booking, CallId("again")) == CALLER_LIMIT


async def test_unanswered_calls_count_and_refused_ones_do_not(world: World) -> None:
    booking = await booked(world, max_calls_per_caller_per_hour=1)
    begin = world.now
    await route(world, booking, CallId("c1"))
    await world.ended(CallId("c1"), 0, "NOANSWER")
    for minute in range(1, 60):
        world.now = begin + minute * 60 * SECOND
        assert await route(world, booking, CallId(f"refused-{minute}")) == CALLER_LIMIT
    world.now = begin + HOUR_MS
    assert isinstance(await route(world, booking, CallId("c2")), Bridge)


async def test_each_caller_and_each_booking_is_counted_separately(world: World) -> None:
    booking = await booked(world, max_calls_per_caller_per_hour=1)
    other = await booked(world, OTHER_HIDDEN, max_calls_per_caller_per_hour=1)
    assert isinstance(await route(world, booking, CallId("c1")), Bridge)
    assert isinstance(await route(world, booking, CallId("c2"), OTHER_CALLER), Bridge)
    assert isinstance(await route(world, other, CallId("c3")), Bridge)
    assert await route(world, booking, CallId("c4")) == CALLER_LIMIT


async def test_anonymous_callers_count_as_one_caller(world: World) -> None:
    booking = await booked(world, max_calls_per_caller_per_hour=2)
    decisions = [await route(world, booking, CallId(f"c{n}"), ANONYMOUS) for n in range(3)]
    assert [isinstance(decision, Bridge) for decision in decisions] == [True, True, False]
    assert isinstance(await route(world, booking, CallId("c4")), Bridge)


async def test_a_repeated_route_request_is_answered_again_and_counted_once(world: World) -> None:
    booking = await booked(world, max_concurrent_calls=1, max_calls_per_caller_per_hour=1)
    for _ in range(2):
        assert isinstance(await route(world, booking, CallId("c1")), Bridge)
    assert [row["source"] for row in world.rows("SELECT source FROM calls")] == [CALLER]


async def test_the_operators_limits_apply_to_bookings_without_their_own(world: World) -> None:
    first, own = await booked(world), await booked(world, OTHER_HIDDEN, max_concurrent_calls=2)
    world.policy = replace(world.policy, default_limits=BookingLimits(max_concurrent_calls=1))
    for booking, allowed in ((first, 1), (own, 2)):
        decisions = [await route(world, booking, CallId(f"{booking.id}-{n}")) for n in range(3)]
        assert sum(isinstance(decision, Bridge) for decision in decisions) == allowed


async def test_limits_are_stored_and_changed_one_by_one(world: World) -> None:
    booking = await booked(world, max_concurrent_calls=2, max_call_seconds=9)
    assert (await world.stored(booking)).limits == BookingLimits(2, None, 9)
    await renewed(world, booking)
    assert (await world.stored(booking)).limits == BookingLimits(2, None, 9)
    await renewed(world, booking, max_concurrent_calls=None, max_calls_per_caller_per_hour=4)
    assert (await world.stored(booking)).limits == BookingLimits(None, 4, 9)
    await renewed(world, booking, max_calls_per_caller_per_hour=None, max_call_seconds=None)
    assert (await world.stored(booking)).limits == NO_BOOKING_LIMITS


async def test_a_call_may_last_as_long_as_its_booking_allows(world: World) -> None:
    booking = await booked(world, max_call_seconds=20)
    await route(world, booking, CallId("c1"))
    assert await world.answered(CallId("c1")) == 20 * SECOND
    settled = await world.ended(CallId("c1"), 25 * SECOND)
    assert settled is not None
    assert settled.cdr.duration == 20


async def shares(world: World, booking: Booking) -> tuple[list[Any], list[Any]]:
    """Returns the (call, milliseconds left) of limits that `LimitKeeper.changed` lowers and of those it raises."""
    shrinks = await world.storage.run(lease_rebalancing.plan_shrinks, booking.id, world.at, world.policy)
    shrunk = {limit.call_id: limit.leased for limit in shrinks}
    grown = await world.storage.run(lease_rebalancing.apply_shares, booking.id, shrunk, world.at, world.policy)
    return [(each.call_id, each.left_ms) for each in shrinks], [(each.call_id, each.left_ms) for each in grown]


async def test_a_lowered_max_call_seconds_shortens_a_live_call_that_is_alone(world: World) -> None:
    booking = await booked(world)
    await route(world, booking, CallId("c1"))
    assert await world.answered(CallId("c1")) == 60 * SECOND
    world.now += 10 * SECOND
    await renewed(world, booking, max_call_seconds=25)
    assert await shares(world, booking) == ([("c1", 15 * SECOND)], [])
    assert await lease_of(world, CallId("c1")) == 25


async def test_a_call_past_the_new_max_call_seconds_ends_with_its_present_second(world: World) -> None:
    booking = await booked(world)
    await route(world, booking, CallId("c1"))
    await world.answered(CallId("c1"))
    world.now += 10 * SECOND + 400
    await renewed(world, booking, max_call_seconds=5)
    assert await shares(world, booking) == ([("c1", 600)], [])
    settled = await world.ended(CallId("c1"), 11 * SECOND)
    assert settled is not None
    assert settled.cdr.duration == 11


@pytest.mark.parametrize("raised", [None, 40])
async def test_a_raised_max_call_seconds_lengthens_a_live_call(world: World, raised: int | None) -> None:
    booking = await booked(world, max_call_seconds=5)
    await route(world, booking, CallId("c1"))
    await world.answered(CallId("c1"))
    world.now += 2 * SECOND
    await renewed(world, booking, max_call_seconds=raised)
    assert await shares(world, booking) == ([], [("c1", (raised or 60) * SECOND - 2 * SECOND)])


async def test_a_lowered_concurrency_limit_ends_no_call(world: World) -> None:
    booking = await booked(world)
    for call_id in ("c1", "c2", "c3"):
        await route(world, booking, CallId(call_id))
        await world.answered(CallId(call_id))
    await renewed(world, booking, max_concurrent_calls=1)
    assert await shares(world, booking) == ([], [])
    await world.ended(CallId("c1"), SECOND)
    await world.ended(CallId("c2"), SECOND)
    assert await route(world, booking, CallId("c4")) == CONCURRENCY_LIMIT
    await world.ended(CallId("c3"), SECOND)
    assert isinstance(await route(world, booking, CallId("c5")), Bridge)
