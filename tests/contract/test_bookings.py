"""Book, renew, cancel, sweep: who holds which number, and what happens to live calls meanwhile."""

import asyncio
from dataclasses import replace

import pytest

from engine.accounts.accounts import create_account
from engine.bookings.endings import SweepResult
from engine.bookings.number_pool import import_numbers
from engine.domain.dispositions import Disposition
from engine.domain.errors import BookingGone, DestinationIsOurs, DestinationNotAllowed, NoNumberFree, NotFound
from engine.domain.ids import CallId
from engine.domain.metering import Credit
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ALL_SLOTS_HELD, CREDIT_SPENT, UNKNOWN_NUMBER
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from tests.contract.samples import CALLBACK, DAY, HIDDEN, HOUR, OTHER_HIDDEN, SECOND, START
from tests.contract.world import POOL, World


def state_of(world: World, number: str) -> tuple[str, int | None]:
    [row] = world.rows("SELECT state, quarantined_until FROM numbers WHERE e164 = ?", number)
    return row["state"], row["quarantined_until"]


async def test_a_booking_gets_its_plans_credit_and_a_number_from_the_pool(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    assert await world.stored(booking) == booking
    assert (booking.service, booking.destination, booking.callback) == (POOL[0], HIDDEN, CALLBACK)
    assert (booking.seconds, booking.calls) == (Credit.new(300), Credit.new(10))
    assert (booking.created_at, booking.end_at) == (START, START + 7 * DAY)
    assert state_of(world, booking.service) == ("BOOKED", None)


async def test_simultaneous_bookings_get_different_numbers_until_none_is_free(world: World) -> None:
    booked = await asyncio.gather(*(world.book() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, NoNumberFree) for outcome in booked) == 6
    assert len(world.rows("SELECT DISTINCT service FROM bookings")) == len(POOL) == 4


async def test_a_refused_destination_takes_no_number(world: World) -> None:
    for destination, refusal in ((POOL[3], DestinationIsOurs), ("+3290012345", DestinationNotAllowed)):
        with pytest.raises(refusal):
            await world.book(destination=E164(destination))
    assert world.rows("SELECT * FROM numbers WHERE state <> 'FREE'") == []


async def test_a_refused_renewal_changes_nothing(world: World) -> None:
    booking = await world.book()
    for destination, refusal in ((POOL[3], DestinationIsOurs), ("+3290012345", DestinationNotAllowed)):
        with pytest.raises(refusal):
            await world.renew(booking, destination=destination)
    assert await world.stored(booking) == booking


async def test_another_accounts_booking_is_not_found(world: World) -> None:
    booking = await world.book()
    stranger = replace(world, account=(await world.storage.run(create_account, "Bob", START)).id)
    for attempt in (stranger.renew(booking), stranger.cancel(booking)):
        with pytest.raises(NotFound):
            await attempt
    assert await world.stored(booking) == booking


async def test_a_renewal_may_change_where_calls_go(world: World) -> None:
    booking = await world.book()
    renewed = await world.renew(booking, destination=OTHER_HIDDEN, callback="https://customer.example/2")
    assert await world.stored(booking) == renewed
    assert (renewed.destination, renewed.callback) == (OTHER_HIDDEN, "https://customer.example/2")
    assert (await world.bridge(booking, "c1")).booking.destination == OTHER_HIDDEN


async def test_a_renewal_revives_an_expired_booking(world: World) -> None:
    booking = await world.book()
    await world.talk(booking, CallId("c1"), 60 * SECOND)
    assert await world.route(booking.service) == CREDIT_SPENT
    renewed = await world.renew(booking)
    assert (renewed.seconds, renewed.calls) == (Credit(120, 60, 0, 60), Credit(2, 1, 0, 1))
    assert (await world.bridge(booking, "c2")).seconds == 60


async def test_a_renewal_during_a_call_is_not_lost_when_the_call_ends(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    await world.answered(CallId("c1"))
    await asyncio.gather(world.renew(booking), world.ended(CallId("c1"), 40 * SECOND), world.renew(booking))
    stored = await world.stored(booking)
    assert (stored.seconds, stored.calls) == (Credit(180, 140, 0, 40), Credit(3, 2, 0, 1))
    assert stored.end_at == START + 3 * DAY


async def test_a_renewal_during_a_call_admits_the_next_call(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    assert await world.route(booking.service, "c2") == ALL_SLOTS_HELD
    await world.renew(booking)
    assert (await world.bridge(booking, "c3")).seconds == 60


async def test_a_call_records_the_destination_it_was_bridged_to(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    await world.renew(booking, destination=OTHER_HIDDEN)
    await world.ended(CallId("c1"), SECOND)
    assert world.rows("SELECT destination FROM cdrs") == [{"destination": HIDDEN}]


async def test_a_delete_names_the_calls_to_hang_up_and_their_end_is_settled_once(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)
    for call_id in ("c1", "c2", "c3"):
        await world.bridge(booking, call_id)
    await world.ended(CallId("c3"), 0, "BUSY")
    await world.answered(CallId("c1"))
    assert sorted(await world.cancel(booking)) == ["c1", "c2"]
    assert await world.answered(CallId("c2")) == 0
    first = await world.ended(CallId("c1"), 10 * SECOND)
    assert (first and first.cdr.duration, await world.ended(CallId("c1"), 10 * SECOND)) == (10, None)
    assert await world.ended(CallId("c2"), 0, "CANCEL")
    stored = await world.stored(booking)
    assert (stored.seconds.settled, stored.seconds.leased, stored.calls.leased) == (10, 0, 0)
    assert len(world.rows("SELECT * FROM cdrs WHERE booking_id = ?", booking.id)) == 3


async def test_a_deleted_booking_is_gone_for_good(world: World) -> None:
    booking = await world.book()
    await world.cancel(booking)
    for attempt in (world.cancel(booking), world.renew(booking)):
        with pytest.raises(BookingGone):
            await attempt
    assert await world.route(booking.service) == UNKNOWN_NUMBER


async def test_a_booking_whose_grace_is_over_is_gone_even_before_the_sweep(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at + world.policy.grace_ms
    for attempt in (world.cancel(booking), world.renew(booking)):
        with pytest.raises(BookingGone):
            await attempt
    assert await world.route(booking.service) == UNKNOWN_NUMBER


async def test_a_quarantined_number_is_not_assigned_until_its_quarantine_is_over(world: World) -> None:
    booking = await world.book()
    await world.cancel(booking)
    over = START + world.policy.quarantine_ms
    assert state_of(world, booking.service) == ("QUARANTINED", over)
    others = {(await world.book()).service for _ in range(3)}
    assert others == {*POOL} - {booking.service}
    world.now = over - 1
    world.policy = replace(world.policy, grace_ms=365 * DAY)
    with pytest.raises(NoNumberFree):
        await world.book()
    world.now = over
    assert (await world.book()).service == booking.service


async def test_the_number_that_was_idle_longest_is_assigned_first(world: World) -> None:
    bookings = [await world.book() for _ in POOL]
    for index in (2, 0, 3, 1):
        world.now += SECOND
        await world.cancel(bookings[index])
    world.now += world.policy.quarantine_ms
    assert [(await world.book()).service for _ in POOL] == [POOL[index] for index in (2, 0, 3, 1)]


async def test_a_quarantine_ends_only_when_the_number_has_been_silent(world: World) -> None:
    booking = await world.book()
    await world.cancel(booking)
    silence, over = world.policy.quarantine_silence_ms, START + world.policy.quarantine_ms
    for called_at, ends in (
        (START + 10 * DAY, over),
        (over - silence + HOUR, over),
        (over - silence + HOUR + 1, over + HOUR + 1),
        (over - silence + 2 * HOUR, over + HOUR + 1),  # within an hour: no write
        (over - DAY, over - DAY + silence),
        (over, over + silence),
    ):
        world.now = EpochMs(called_at)
        assert await world.route(booking.service) == UNKNOWN_NUMBER
        assert (await world.sweep()).numbers_freed == 0
        assert state_of(world, booking.service) == ("QUARANTINED", ends)
    world.now = EpochMs(over + silence - 1)
    assert (await world.sweep()).numbers_freed == 0
    world.now += 1
    assert (await world.sweep()).numbers_freed == 1
    # Free and unknown numbers are in no quarantine, and a simulated call changes nothing.
    for number in (booking.service, E164("+3225559999")):
        assert await world.route(number) == UNKNOWN_NUMBER
    assert state_of(world, booking.service) == ("FREE", None)


async def test_an_imported_number_waits_behind_those_that_were_idle_before(world: World) -> None:
    await world.storage.run(import_numbers, [(1, "+3225549999")], EpochMs(START + SECOND))
    assert [(await world.book()).service for _ in range(5)] == [*POOL, "+3225549999"]


async def test_a_recycled_number_reaches_its_new_owner_only(world: World) -> None:
    old = await world.book(UsagePlan.MEDIUM, HIDDEN)
    await world.bridge(old, "from-before")
    await world.cancel(old)
    world.now += world.policy.quarantine_ms
    await world.storage.run(lambda tx: tx.numbers.free_quarantined(world.now))
    others = [await world.book(UsagePlan.MEDIUM, OTHER_HIDDEN) for _ in POOL]
    [new] = [booking for booking in others if booking.service == old.service]
    assert (await world.bridge(new, "c1")).booking == new
    assert await world.route(old.service, "from-before") == UNKNOWN_NUMBER
    assert await world.answered(CallId("from-before")) == 0
    late = await world.ended(CallId("from-before"), SECOND)
    await world.ended(CallId("c1"), 7 * SECOND)
    assert late is not None
    assert world.rows("SELECT booking_id, destination, duration FROM cdrs ORDER BY duration") == [
        {"booking_id": old.id, "destination": HIDDEN, "duration": 1},
        {"booking_id": new.id, "destination": OTHER_HIDDEN, "duration": 7},
    ]
    assert (await world.stored(new)).seconds == Credit(300, 293, 0, 7)


async def test_a_booking_that_finds_the_pool_empty_sweeps_it(world: World) -> None:
    for booking in [await world.book() for _ in POOL][:3]:
        await world.cancel(booking)
    world.now += world.policy.quarantine_ms
    assert (await world.book()).service in POOL[:3]


async def test_a_sweep_ends_grace_periods_frees_numbers_and_settles_lost_calls(world: World) -> None:
    quarantined, graced, live = [await world.book() for _ in range(3)]
    await world.cancel(quarantined)
    await world.bridge(graced, "lost")
    world.now += world.policy.quarantine_ms
    live = await world.renew(await world.book())
    await world.bridge(live, "up")
    assert await world.sweep() == SweepResult(bookings_gone=2, numbers_freed=1, calls_lost=1, channels=[])
    assert await world.sweep() == SweepResult(bookings_gone=0, numbers_freed=0, calls_lost=0, channels=[])
    assert state_of(world, quarantined.service) == ("FREE", None)
    assert state_of(world, graced.service) == ("QUARANTINED", world.now + world.policy.quarantine_ms)
    assert state_of(world, live.service) == ("BOOKED", None)


async def test_a_sweep_ends_a_grace_period_to_the_millisecond(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at + world.policy.grace_ms - 1
    assert (await world.sweep()).bookings_gone == 0
    world.now += 1
    assert (await world.sweep()).bookings_gone == 1


async def test_a_sweep_lists_live_calls_on_gone_bookings(world: World) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    assert (await world.sweep()).channels == []
    await world.cancel(booking)
    assert (await world.sweep()).channels == ["c1"]
    await world.ended(CallId("c1"), 0, "CANCEL")
    assert (await world.sweep()).channels == []


@pytest.mark.parametrize(("answered", "charged"), [(False, 0), (True, 60)])
async def test_a_call_without_an_end_report_is_settled_once_it_must_be_over(
    world: World, *, answered: bool, charged: int
) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    longest = 60 if answered else 60 + world.policy.ring_seconds
    if answered:
        world.now += 10 * SECOND
        assert await world.answered(CallId("c1")) == 60 * SECOND
    world.now += longest * SECOND + world.policy.lost_call_margin_ms - 1
    assert (await world.sweep()).calls_lost == 0
    world.now += 1
    assert (await world.sweep()).calls_lost == 1
    assert await world.ended(CallId("c1"), 20 * SECOND) is None
    [record] = world.rows("SELECT duration, disposition FROM cdrs")
    assert record == {"duration": charged, "disposition": Disposition.LOST}
    assert (await world.stored(booking)).seconds == Credit(60, 60 - charged, 0, charged)


async def test_a_delete_during_incoming_calls_lists_every_call_that_stays_up(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)
    before = [world.route(booking.service, f"before-{n}") for n in range(5)]
    after = [world.route(booking.service, f"after-{n}") for n in range(5)]
    *decisions, channels = await asyncio.gather(*before, *after, world.cancel(booking))
    assert isinstance(channels, list)
    assert sum(isinstance(decision, Bridge) for decision in decisions) == len(channels)
    assert await world.route(booking.service) == UNKNOWN_NUMBER
