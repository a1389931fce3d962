"""Another rented number for a booking: what happens to the old one, and to the calls that are up."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from engine.accounts.accounts import create_account, sandbox_of
from engine.accounts.lifecycle import suspend
from engine.bookings.swapping import swap_number
from engine.domain.account_limits import AccountLimits
from engine.domain.booking import Booking
from engine.domain.errors import (
    AccountSuspended,
    BookingGone,
    NotFound,
    NumberNotFree,
    QuotaReached,
    TooManyNewBookings,
)
from engine.domain.ids import AccountId, CallId
from engine.domain.notifications import EventType
from engine.domain.number_choice import NO_WISH, NumberRequest
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.rejections import BOOKING_EXPIRED, UNKNOWN_NUMBER
from engine.domain.routing import Bridge
from engine.domain.times import EpochMs
from tests.contract.notifying import choose
from tests.contract.samples import DAY, SECOND
from tests.contract.world import POOL as NUMBERS
from tests.contract.world import World

POOL = [E164(number) for number in NUMBERS]


async def swap(
    world: World, booking: Booking, wanted: NumberRequest = NO_WISH, account: AccountId | None = None
) -> Booking:
    return await world.storage.run(swap_number, account or world.account, booking.id, world.now, world.policy, wanted)


def numbers(world: World) -> dict[str, tuple[str, str | None]]:
    rows = world.rows("SELECT e164, state, quarantined_by FROM numbers ORDER BY e164")
    return {row["e164"]: (row["state"], row["quarantined_by"]) for row in rows}


async def test_only_the_number_changes_and_the_old_one_is_quarantined(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM, label="shop", metadata={"order": "1871"})
    await world.talk(booking, CallId("before"), 7 * SECOND)
    before = await world.stored(booking)
    world.now += DAY
    swapped = await swap(world, booking)
    assert swapped == await world.stored(booking) == replace(before, service=POOL[1])
    assert numbers(world) == {
        POOL[0]: ("QUARANTINED", world.account),
        POOL[1]: ("BOOKED", None),
        POOL[2]: ("FREE", None),
        POOL[3]: ("FREE", None),
    }
    assert await world.route(POOL[0]) == UNKNOWN_NUMBER
    assert isinstance(await world.route(POOL[1]), Bridge)
    # The old number goes to somebody else only when its quarantine is over.
    eve = await world.storage.run(create_account, "Eve", world.now)
    others = [(await world.book(account=eve.id)).service for _ in range(2)]
    assert sorted(others) == POOL[2:]
    world.now += world.policy.quarantine_ms
    assert (await world.book(account=eve.id)).service == POOL[0]


async def test_calls_that_are_up_go_on_and_keep_the_number_that_they_dialled(world: World) -> None:
    await choose(world, EventType.CALL_STARTED, EventType.CALL_MISSED)
    booking = await world.book(UsagePlan.LARGE)
    for name in ("talking", "ringing", "missed"):
        await world.bridge(booking, name)
        world.now += 1
    await world.answered(CallId("talking"))
    once = await swap(world, booking)
    await world.bridge(once, "new")
    twice = await swap(world, once)
    assert (await world.sweep()).channels == []
    live = await world.storage.run(lambda tx: tx.overview.live_calls(10))
    assert {each.call.call_id: each.service for each in live} == {
        **dict.fromkeys(("talking", "ringing", "missed"), booking.service),
        "new": once.service,
    }
    assert await world.answered(CallId("ringing")) > 0
    for name, talked, status in (
        ("talking", 5 * SECOND, "ANSWER"),
        ("ringing", 3 * SECOND, "ANSWER"),
        ("new", 2 * SECOND, "ANSWER"),
        ("missed", 0, "BUSY"),
    ):
        await world.ended(CallId(name), talked, status)
    of_call = {row["call_id"]: row["service"] for row in world.rows("SELECT call_id, service FROM cdrs")}
    assert of_call == {**dict.fromkeys(("talking", "ringing", "missed"), booking.service), "new": once.service}
    bodies = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox")]
    assert len(bodies) == 7
    assert [body["service"] for body in bodies].count(once.service) == 2
    assert twice.service not in [body["service"] for body in bodies]
    assert (await world.stored(booking)).seconds.settled == 10


async def test_a_swap_is_reported_to_who_chose_it(world: World) -> None:
    booking = await world.book()
    await swap(world, booking)
    assert world.rows("SELECT * FROM outbox") == []
    await choose(world, EventType.BOOKING_NUMBER_SWAPPED)
    swapped = await swap(world, booking)
    [body] = [json.loads(row["body"]) for row in world.rows("SELECT body FROM outbox")]
    assert body["type"] == "booking.number_swapped"
    assert (body["bookingId"], body["service"], body["previousService"]) == (booking.id, swapped.service, POOL[1])


async def test_a_number_is_chosen_as_for_a_new_booking(world: World) -> None:
    booking = await world.book()
    for taken in (booking.service, E164("+3225559999")):
        with pytest.raises(NumberNotFree):
            await swap(world, booking, NumberRequest(service=taken))
    assert numbers(world)[booking.service] == ("BOOKED", None)
    assert (await swap(world, booking, NumberRequest(service=POOL[3]))).service == POOL[3]


async def test_a_swap_counts_like_a_new_booking(world: World) -> None:
    world.policy = replace(world.policy, account_limits=AccountLimits(max_bookings=3, new_bookings_a_day=2))
    booking = await world.book()
    await swap(world, booking)
    with pytest.raises(TooManyNewBookings):
        await swap(world, booking)
    with pytest.raises(TooManyNewBookings):
        await world.book()
    world.now += DAY
    last = await swap(world, booking)
    world.now += DAY
    with pytest.raises(QuotaReached):
        await swap(world, last)
    assert await world.stored(booking) == last
    assert list(numbers(world).values()).count(("QUARANTINED", world.account)) == 2


async def test_a_booking_in_its_grace_gets_a_number_and_a_gone_one_does_not(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at
    swapped = await swap(world, booking)
    assert await world.route(swapped.service) == BOOKING_EXPIRED
    await world.storage.run(suspend, world.account, None, world.now)
    with pytest.raises(AccountSuspended):
        await swap(world, swapped)
    with pytest.raises(NotFound):
        await swap(world, swapped, account=AccountId("acc_other"))
    world.now = EpochMs(booking.end_at + world.policy.grace_ms)
    with pytest.raises(BookingGone):
        await swap(world, swapped)


async def test_refused_calls_are_not_counted_on_the_record_of_another_number(world: World) -> None:
    booking = await world.book()
    world.now = booking.end_at
    for _ in range(12):
        await world.route(booking.service)
    swapped = await swap(world, booking)
    await world.route(swapped.service)
    rows = world.rows("SELECT service, COUNT(*) AS records, SUM(further_calls) AS more FROM cdrs GROUP BY 1 ORDER BY 1")
    assert [(row["service"], row["records"], row["more"]) for row in rows] == [(POOL[0], 10, 2), (POOL[1], 1, 0)]


async def test_in_a_sandbox_nothing_is_quarantined(world: World) -> None:
    sandbox = await world.storage.run(sandbox_of, world.account, world.now)
    booking = await world.book(account=sandbox.id)
    swapped = await swap(world, booking, account=sandbox.id)
    assert swapped.service.startswith("+999")
    assert swapped.service != booking.service
    assert {state for state, _ in numbers(world).values()} == {"FREE"}
    assert world.rows("SELECT * FROM number_swaps") == []


async def test_who_had_a_number_before_is_found(world: World) -> None:
    booking = await world.book()
    await swap(world, booking)
    everything: Any = {"expires_after": 0, "gone": True, "limit": 9, "service": POOL[0]}
    [found] = await world.storage.run(lambda tx: tx.overview.bookings(None, **everything))
    assert found.booking.id == booking.id
    now = everything | {"gone": False}
    assert await world.storage.run(lambda tx: tx.overview.bookings(None, **now)) == []


async def test_many_swaps_and_calls_at_once_leave_one_number_and_no_call_on_another(world: World) -> None:
    booking = await world.book(UsagePlan.LARGE)

    async def call(number: E164, name: str) -> tuple[str, bool]:
        return number, isinstance(await world.route(number, name, f"+1415555{name[1:]}"), Bridge)

    tasks: list[Any] = [swap(world, booking) for _ in range(3)]
    tasks += [call(number, f"c{serial:04}") for serial, number in enumerate(POOL * 5)]
    done = await asyncio.gather(*tasks)
    assert [state for state, _ in numbers(world).values()].count("BOOKED") == 1
    assert numbers(world)[(await world.stored(booking)).service] == ("BOOKED", None)
    bridged = {f"c{serial:04}": number for serial, (number, is_up) in enumerate(done[3:]) if is_up}
    for name in bridged:
        await world.ended(CallId(name), SECOND)
    records = world.rows("SELECT call_id, service FROM cdrs WHERE duration > 0")
    assert {row["call_id"]: row["service"] for row in records} == bridged
