"""How many numbers an account may take: the count outlives restarts and holds for requests at the same time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.accounts.accounts import create_account, sandbox_of, set_limits
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest
from engine.bookings.number_pool import import_numbers
from engine.bookings.shared_numbers import share
from engine.bookings.swapping import swap_number
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.domain.account_limits import AccountLimits
from engine.domain.booking import Booking, CallerId
from engine.domain.errors import InvalidInput, QuotaReached, TooManyNewBookings
from engine.domain.ids import AccountId, CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import E164
from engine.domain.pairs import Participant
from engine.domain.policy import UsagePlan
from engine.domain.spellings import Spellings
from engine.domain.times import EpochMs, rfc3339
from engine.privacy.erasure import erase
from engine.storage.database import open_storage
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, DAY, HIDDEN, PEPPER, SECOND, START
from tests.contract.world import POOL, World

MOST, A_DAY = 20, 5
PEOPLE = [E164(f"+324709990{n:02}") for n in range(8)]


@pytest.fixture
async def limited(world: World) -> World:
    await world.storage.run(import_numbers, list(enumerate(f"+33199{n:06}" for n in range(40))), START)
    world.policy = replace(world.policy, account_limits=AccountLimits(MOST, A_DAY))
    return world


def limits_of(tx: Transaction, account_id: AccountId, default: AccountLimits) -> AccountLimits:
    return tx.accounts.limits(account_id, default)


async def attempt(world: World) -> Booking | QuotaReached | TooManyNewBookings:
    try:
        return await world.book()
    except (QuotaReached, TooManyNewBookings) as refusal:
        return refusal


async def share_numbers(world: World, count: int) -> list[E164]:
    numbers = [E164(each) for each in POOL[:count]]
    for each in numbers:
        await world.storage.run(share, each)
    return numbers


async def pair(world: World, first: E164, second: E164) -> Booking:
    both = Participant(first), Participant(second)
    return await world.book(destination=None, participants=both, caller_id=CallerId.SERVICE)


async def in_quarantine(world: World) -> int:
    """Returns `numbersInQuarantine`, and checks that the operator's summary has it too."""
    summary, seen = await world.storage.run(
        lambda tx: (
            tx.accounts.summary(world.account, world.policy.account_limits, world.now),
            tx.numbers.in_quarantine_of(world.account, world.now, 1_000),
        )
    )
    assert summary is not None
    assert summary.numbers_in_quarantine == seen
    return summary.numbers_in_quarantine


async def test_of_many_bookings_at_once_only_as_many_succeed_as_are_allowed(limited: World) -> None:
    for days, most in ((1, A_DAY), (1_000, MOST)):
        limited.now += DAY
        limited.policy = replace(limited.policy, account_limits=AccountLimits(MOST, days * A_DAY))
        await asyncio.gather(*(attempt(limited) for _ in range(60)))
        [held] = limited.rows("SELECT COUNT(*) AS n FROM bookings")
        assert held == {"n": most}


async def test_a_restart_forgets_neither_the_days_bookings_nor_what_is_in_quarantine(
    limited: World, database: Path
) -> None:
    async def restart() -> None:
        await limited.storage.close()
        limited.storage = open_storage(database)

    for day in range(MOST // A_DAY):
        for _ in range(A_DAY):
            await limited.cancel(await limited.book())
            await restart()
        refusal = await attempt(limited)
        assert isinstance(refusal, TooManyNewBookings if day < MOST // A_DAY - 1 else QuotaReached)
        limited.now += DAY
    await restart()
    assert isinstance(await attempt(limited), QuotaReached)
    limited.now = START + limited.policy.quarantine_ms
    # Without a sweep. What was given back on the first day is free, and no more than that.
    made = [await attempt(limited) for _ in range(A_DAY + 1)]
    assert [isinstance(each, Booking) for each in made] == [True] * A_DAY + [False]
    await limited.storage.close()


async def test_the_count_of_a_day_survives_a_wall_clock_that_is_set_back(limited: World) -> None:
    for _ in range(A_DAY):
        await limited.book()
    limited.now -= 10 * DAY
    refusal = await attempt(limited)
    assert isinstance(refusal, TooManyNewBookings)
    assert refusal.retry_after == 11 * DAY // SECOND


async def test_a_number_whose_booking_was_erased_counts_like_one_that_was_deleted(limited: World) -> None:
    booking = await limited.book()
    await erase(limited.storage, Spellings(HIDDEN), limited.now, limited.policy, PEPPER)
    [number] = limited.rows("SELECT state, quarantined_by FROM numbers WHERE e164 = ?", booking.service)
    assert number == {"state": "QUARANTINED", "quarantined_by": limited.account}


async def test_a_number_counts_against_the_account_that_gave_it_back_last(limited: World) -> None:
    other = await limited.storage.run(create_account, "Bob", START)
    quarantined = "SELECT e164, quarantined_by FROM numbers WHERE quarantined_by IS NOT NULL"
    request = BookingRequest(limited.account, HIDDEN, UsagePlan.SMALL, CALLBACK, wanted=NumberRequest(E164(POOL[0])))
    for account in (limited.account, other.id):
        booking = await limited.storage.run(
            bookings.book, replace(request, account_id=account), limited.now, limited.policy
        )
        await limited.storage.run(bookings.cancel, account, booking.id, limited.now, limited.policy)
        assert limited.rows(quarantined) == [{"e164": POOL[0], "quarantined_by": account}]
        limited.now += limited.policy.quarantine_ms
        await limited.sweep()
        assert limited.rows(quarantined) == []


async def test_a_pair_that_is_gone_counts_until_both_of_its_people_have_left_the_quarantine(limited: World) -> None:
    limited.policy = replace(limited.policy, account_limits=AccountLimits(3, 1_000))
    number, _ = await share_numbers(limited, 2)
    await limited.cancel(await pair(limited, PEOPLE[0], PEOPLE[1]))
    limited.now += DAY
    kept = await pair(limited, PEOPLE[2], PEOPLE[3])
    await limited.storage.run(swap_number, limited.account, kept.id, limited.now, limited.policy)
    assert await in_quarantine(limited) == 2
    first_end = START + limited.policy.quarantine_ms
    with pytest.raises(QuotaReached, match=f"it holds 1, and 2 numbers .* possible at {rfc3339(EpochMs(first_end))}"):
        await pair(limited, PEOPLE[4], PEOPLE[5])
    limited.now = EpochMs(first_end - DAY)  # a late call of one of the two
    incoming = IncomingCall(CallId("late"), number, PEOPLE[1], asserted=PEOPLE[1])
    await limited.storage.run(route_call, incoming, limited.at, limited.policy)
    limited.now = first_end
    assert await in_quarantine(limited) == 2
    with pytest.raises(QuotaReached, match=f"possible at {rfc3339(EpochMs(first_end + DAY))}"):
        await pair(limited, PEOPLE[4], PEOPLE[5])
    limited.now = EpochMs(first_end + DAY)  # without a sweep
    assert await in_quarantine(limited) == 1
    assert (await pair(limited, PEOPLE[0], PEOPLE[4])).service == number


async def test_each_number_that_a_pair_was_swapped_away_from_counts_until_its_quarantine_ends(limited: World) -> None:
    swaps = 3
    limited.policy = replace(limited.policy, account_limits=AccountLimits(swaps + 1, 1_000))
    await share_numbers(limited, swaps + 1)
    swapped = await pair(limited, PEOPLE[0], PEOPLE[1])
    ends = []
    for _ in range(swaps):
        await limited.storage.run(swap_number, limited.account, swapped.id, limited.now, limited.policy)
        ends.append(rfc3339(EpochMs(limited.now + limited.policy.quarantine_ms)))
        limited.now += DAY
    assert await in_quarantine(limited) == swaps
    for limit, end in enumerate(reversed(ends), start=2):
        limited.policy = replace(limited.policy, account_limits=AccountLimits(limit, 1_000))
        with pytest.raises(QuotaReached, match=f"it holds 1, and .* in quarantine.* possible at {end}"):
            await limited.storage.run(swap_number, limited.account, swapped.id, limited.now, limited.policy)
    limited.now = EpochMs(START + limited.policy.quarantine_ms)  # without a sweep
    assert await in_quarantine(limited) == swaps - 1


async def test_limits_are_kept_for_customers_accounts_only(world: World) -> None:
    default = world.policy.account_limits
    sandbox = await world.storage.run(sandbox_of, world.account, START)
    await world.storage.run(set_limits, "Ann", {"max_bookings": 7})
    await world.storage.run(set_limits, world.account, {"requests_per_minute": 9})
    for account in (world.account, sandbox.id):
        assert await world.storage.run(limits_of, account, default) == AccountLimits(7, default.new_bookings_a_day, 9)
    with pytest.raises(InvalidInput, match=f"has the limits of the account {world.account}"):
        await world.storage.run(set_limits, sandbox.id, {"max_bookings": 8})
    with pytest.raises(InvalidInput, match="there is no account 'Eve'"):
        await world.storage.run(set_limits, "Eve", {"max_bookings": 8})
    await world.storage.run(set_limits, "Ann", {"new_bookings_a_day": 3}, reset=True)
    assert await world.storage.run(lambda tx: tx.accounts.own_limits(world.account)) == {"new_bookings_a_day": 3}
