"""Asterisk asks about the same call again: one call id has one decision, one lease and one record."""

from dataclasses import replace

from engine.calls.lifecycle import abandon_call
from engine.domain.ids import CallId
from engine.domain.metering import Credit
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.rejections import BOOKING_PAUSED, GIVEN_UP, UNKNOWN_NUMBER
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from tests.contract.samples import HIDDEN, OTHER_HIDDEN, SECOND
from tests.contract.world import POOL, World


async def test_a_repeated_request_gets_the_same_answer_and_no_second_lease(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    first = await world.bridge(booking, "c1")
    again = await world.bridge(booking, "c1")
    assert (again.seconds, again.booking.destination) == (first.seconds, first.booking.destination)
    assert (await world.stored(booking)).calls == Credit(10, 9, 1, 0)


async def test_a_repeated_request_keeps_the_recorded_destination_after_a_change(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    await world.renew(booking, destination=OTHER_HIDDEN)
    assert (await world.bridge(booking, "c1")).destination == HIDDEN


async def test_a_request_after_its_own_calls_end_is_not_bridged(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    await world.talk(booking, CallId("c1"), SECOND)
    assert await world.route(booking.service, "c1") == UNKNOWN_NUMBER


async def test_the_decision_of_the_engine_that_was_asked_last_stands(world: World) -> None:
    """Asterisk has left the first engine, which hung. When it goes on, it gives up what it decided itself.

    It may have hung before its command, which then comes after that of the second engine.
    """
    booking = await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    first = world.now
    world.now += SECOND
    await world.bridge(booking, "c1")
    world.now -= SECOND
    await world.bridge(booking, "c1")
    world.now += SECOND
    for started_at, gave_up in ((first, False), (world.now, True)):
        settlement = await world.storage.run(
            abandon_call, CallId("c1"), started_at, EpochMs(world.now + SECOND), world.policy
        )
        assert (settlement is not None) is gave_up
    assert await world.route(booking.service, "c1") == GIVEN_UP
    assert [row["disposition"] for row in world.rows("SELECT disposition FROM cdrs")] == ["CANCELLED"]
    assert (await world.stored(booking)).calls == Credit(10, 10, 0, 0)


async def test_a_call_id_reused_for_another_number_never_reaches_the_first_owner(
    world: World,
) -> None:
    booking, other = await world.book(UsagePlan.MEDIUM), await world.book(UsagePlan.MEDIUM)
    await world.bridge(booking, "c1")
    assert await world.route(other.service, "c1") == UNKNOWN_NUMBER
    assert await world.route(E164(POOL[3]), "c1") == UNKNOWN_NUMBER


async def test_a_call_that_was_rejected_is_not_bridged_by_a_repeated_request(world: World) -> None:
    """It has its one record already."""
    booking = await world.book()
    await world.storage.run(lambda tx: tx.bookings.update(replace(booking, paused=True)))
    assert await world.route(booking.service, "c1") == BOOKING_PAUSED
    await world.storage.run(lambda tx: tx.bookings.update(booking))
    assert await world.route(booking.service, "c1") == UNKNOWN_NUMBER
    assert [row["disposition"] for row in world.rows("SELECT disposition FROM cdrs")] == ["PAUSED"]
    assert world.rows("SELECT call_id FROM calls") == []
    assert isinstance(await world.route(booking.service, "c2"), Bridge)


async def test_a_repeated_request_after_a_delete_is_not_bridged(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    await world.cancel(booking)
    assert await world.route(booking.service, "c1") == UNKNOWN_NUMBER
