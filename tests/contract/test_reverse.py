"""Reverse calls: the hidden number calls the rented number and reaches who called last, on the same credit."""

import json
from dataclasses import replace

import pytest

from engine.bookings.blocked_callers import block
from engine.bookings.swapping import swap_number
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.domain.booking import Booking, CallerId
from engine.domain.directions import Direction
from engine.domain.ids import CallId
from engine.domain.metering import CallState
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.policy import UsagePlan
from engine.domain.rejections import LAST_CALLER_FORBIDDEN, NO_LAST_CALLER, Reason, Reject
from engine.domain.routing import Bridge, RouteDecision
from tests.contract.samples import CALLER, HIDDEN, OTHER_HIDDEN, SECOND
from tests.contract.world import POOL, World

FIRST = E164("+32470999001")


async def asked(
    world: World, booking: Booking, call_id: str, source: str, asserted: E164 | None = None
) -> RouteDecision:
    world.now += SECOND
    incoming = IncomingCall(CallId(call_id), booking.service, source, asserted=asserted)
    decision = await world.storage.run(calls.route_call, incoming, world.at, world.policy)
    assert isinstance(decision, Bridge | Reject)
    return decision


async def called(world: World, booking: Booking, call_id: str, source: str) -> None:
    """A whole call to the hidden number that nobody answers."""
    assert isinstance(await asked(world, booking, call_id, source), Bridge)
    await world.ended(CallId(call_id), 0, "NOANSWER")


async def calls_back(world: World, booking: Booking, call_id: str, source: str = HIDDEN) -> RouteDecision:
    return await asked(world, booking, call_id, source, HIDDEN)


async def test_the_hidden_number_reaches_who_called_last_who_sees_the_rented_number(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True, caller_id=CallerId.CALLER, refuse_anonymous=True)
    await called(world, booking, "c1", FIRST)
    await called(world, booking, "c2", CALLER)
    # Whether the hidden number withholds itself makes no difference: only what the carrier asserts counts.
    for call_id, shown in (("c3", HIDDEN), ("c4", ANONYMOUS), ("c5", OTHER_HIDDEN)):
        decision = await calls_back(world, booking, call_id, shown)
        assert isinstance(decision, Bridge)
        assert (decision.destination, decision.shown, decision.direction) == (
            CALLER,
            booking.service,
            Direction.REVERSE,
        )
        assert {route.destination for route in decision.routes} == {CALLER}
        assert {route.shown for route in decision.routes} == {booking.service}
        again = await calls_back(world, booking, call_id, shown)  # a second engine is asked
        assert isinstance(again, Bridge)
        assert replace(again, booking=decision.booking) == decision
        await world.ended(CallId(call_id), 0, "NOANSWER")


async def test_a_reverse_call_is_metered_recorded_and_reported_on_the_booking_once(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    await called(world, booking, "c1", CALLER)
    decision = await calls_back(world, booking, "c2")
    assert isinstance(decision, Bridge)
    up = await world.stored(booking)
    assert (up.seconds.leased, up.calls.leased) == (decision.seconds, 1)
    await world.answered(CallId("c2"))
    settlement = await world.ended(CallId("c2"), 12_001)
    assert settlement is not None
    assert await world.ended(CallId("c2"), 12_001) is None
    cdr, after = settlement.cdr, await world.stored(booking)
    assert (cdr.direction, cdr.source, cdr.destination, cdr.service) == (
        Direction.REVERSE, HIDDEN, CALLER, booking.service,
    )  # fmt: skip
    assert (cdr.duration, after.seconds.settled, after.calls.settled, after.seconds.leased) == (13, 13, 1, 0)
    [posted] = world.rows("SELECT body FROM outbox")
    body = json.loads(posted["body"])
    assert (body["direction"], body["source"], body["destination"]) == ("reverse", HIDDEN, CALLER)
    # The one who is called back has not called: another one is still who called last.
    assert isinstance(again := await calls_back(world, booking, "c3"), Bridge)
    assert again.destination == CALLER


@pytest.mark.parametrize("asserted", [None, OTHER_HIDDEN])
async def test_whoever_only_shows_the_hidden_number_rings_it_like_every_caller(
    world: World, asserted: E164 | None
) -> None:
    """Nothing tells a caller who guesses that the guess is right, and nobody else is reached."""
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    await called(world, booking, "c1", CALLER)
    decision = await asked(world, booking, "c2", HIDDEN, asserted)
    assert isinstance(decision, Bridge)
    assert (decision.destination, decision.direction) == (HIDDEN, Direction.FORWARD)
    await world.ended(CallId("c2"), 0, "BUSY")
    assert isinstance(back := await calls_back(world, booking, "c3"), Bridge)
    assert back.destination == CALLER


async def test_without_reverse_the_hidden_number_is_a_caller_like_every_other(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await called(world, booking, "c1", CALLER)
    decision = await calls_back(world, booking, "c2")
    assert isinstance(decision, Bridge)
    assert (decision.destination, decision.direction) == (HIDDEN, Direction.FORWARD)


@pytest.mark.parametrize("number", ["112", "911", "15", "3631", "+33112", "+3215", "+8835100012345", "+32900123456"])
async def test_emergency_short_and_premium_numbers_are_never_called_back(world: World, number: str) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    await called(world, booking, "c1", CALLER)
    await called(world, booking, "c2", number)
    assert await calls_back(world, booking, "c3") == LAST_CALLER_FORBIDDEN
    [record] = world.rows("SELECT * FROM cdrs WHERE call_id = 'c3'")
    assert (record["reason"], record["direction"]) == (Reason.LAST_CALLER_NOT_ALLOWED, "reverse")
    assert (record["source"], record["destination"]) == (HIDDEN, booking.service)
    assert (await world.stored(booking)).calls.leased == 0


async def test_nobody_is_reached_if_the_last_caller_cannot_be_called_back(world: World) -> None:
    """An earlier caller would be a stranger to this call."""
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    assert await calls_back(world, booking, "c1") == NO_LAST_CALLER
    await called(world, booking, "c2", CALLER)
    await called(world, booking, "c3", ANONYMOUS)
    assert await calls_back(world, booking, "c4") == NO_LAST_CALLER
    await called(world, booking, "c5", FIRST)
    await world.storage.run(block, world.account, booking.id, FIRST, world.now, world.policy)
    assert await calls_back(world, booking, "c6") == NO_LAST_CALLER
    # A refused call leaves nobody either, and numbers of ours never called.
    assert isinstance(await asked(world, booking, "c7", FIRST), Reject)
    await called(world, booking, "c8", CALLER)
    await called(world, booking, "c9", POOL[3])
    assert isinstance(back := await calls_back(world, booking, "c10"), Bridge)
    assert back.destination == CALLER


async def test_two_calls_in_opposite_directions_each_hold_a_lease_of_their_own(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    assert isinstance(await asked(world, booking, "c1", CALLER), Bridge)
    await world.answered(CallId("c1"))
    await world.share(booking.id, keep_free=booking.seconds.remaining // 2)
    decision = await calls_back(world, booking, "c2")
    assert isinstance(decision, Bridge)
    assert decision.destination == CALLER
    both = await world.stored(booking)
    assert both.calls.leased == 2
    states = {row["call_id"]: row["state"] for row in world.rows("SELECT call_id, state FROM calls")}
    assert states == {"c1": CallState.LIVE, "c2": CallState.RINGING}
    await world.ended(CallId("c2"), 0, "BUSY")
    await world.ended(CallId("c1"), 3 * SECOND)
    after = await world.stored(booking)
    assert (after.seconds.settled, after.calls.settled, after.calls.leased) == (3, 1, 0)


async def test_an_expired_or_paused_booking_refuses_reverse_calls_as_all_others(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    await called(world, booking, "c1", CALLER)
    paused = replace(await world.stored(booking), paused=True)
    await world.storage.run(lambda tx: tx.bookings.update(paused))
    assert isinstance(refused := await calls_back(world, booking, "c2"), Reject)
    assert refused.reason is Reason.PAUSED
    world.now = booking.end_at
    assert isinstance(refused := await calls_back(world, booking, "c3"), Reject)
    assert refused.reason is Reason.END_REACHED
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox")]
    assert [(body["direction"], body["destination"]) for body in bodies] == [("reverse", booking.service)]


async def test_after_a_swap_nobody_who_called_the_old_number_sees_the_new_one(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, reverse=True)
    await called(world, booking, "c1", CALLER)
    swapped = await world.storage.run(swap_number, world.account, booking.id, world.now, world.policy)
    assert await calls_back(world, swapped, "c2") == NO_LAST_CALLER
    await called(world, swapped, "c3", FIRST)
    decision = await calls_back(world, swapped, "c4")
    assert isinstance(decision, Bridge)
    assert (decision.destination, decision.shown) == (FIRST, swapped.service)
