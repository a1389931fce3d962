"""Which number a booking gets on request, and what an operator does with single numbers."""

from dataclasses import replace

import pytest

from engine.accounts.accounts import sandbox_of
from engine.bookings import lifecycle as bookings
from engine.bookings import number_pool
from engine.bookings.lifecycle import BookingRequest
from engine.bookings.number_pool import import_numbers
from engine.domain.booking import Booking
from engine.domain.errors import InvalidInput, NoNumberFree, NumberNotFree
from engine.domain.number_choice import NO_WISH, NumberRequest
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.times import EpochMs
from engine.storage import numbers
from engine.storage.numbers import Number
from tests.contract.samples import CALLBACK, DAY, HIDDEN, OTHER_HIDDEN, START
from tests.contract.world import POOL, World

FRENCH = [f"+331990000{n:02}" for n in range(4)]
LONDON = "+442079460000"
# Of no single country: an international network.
NOWHERE = "+883510000091"


async def book(world: World, wanted: NumberRequest = NO_WISH, destination: E164 = HIDDEN) -> Booking:
    request = BookingRequest(world.account, destination, UsagePlan.SMALL, CALLBACK, wanted=wanted)
    return await world.storage.run(bookings.book, request, world.now, world.policy)


async def add(world: World, *new: str) -> None:
    await world.storage.run(import_numbers, list(enumerate(new, 1)), world.now)


async def number(world: World, e164: E164) -> Number:
    found = await world.storage.run(lambda tx: tx.numbers.by_number(e164))
    assert found is not None
    return found


async def test_a_number_has_the_country_of_its_numbering_plan(world: World) -> None:
    await add(world, FRENCH[0], NOWHERE)
    assert [(await number(world, E164(each))).country for each in (POOL[0], FRENCH[0], NOWHERE)] == ["BE", "FR", None]


async def test_a_requested_number_is_assigned_and_then_not_free(world: World) -> None:
    booking = await book(world, NumberRequest(service=E164(POOL[2])))
    assert booking.service == POOL[2]
    with pytest.raises(NumberNotFree) as refused:
        await book(world, NumberRequest(service=E164(POOL[2])))
    await world.cancel(booking)
    for service in (POOL[2], "+3225559999"):
        with pytest.raises(NumberNotFree, match=str(refused.value)):
            await book(world, NumberRequest(service=E164(service)))
    # The number is free without waiting for the sweep.
    world.now += world.policy.quarantine_ms
    assert (await book(world, NumberRequest(service=E164(POOL[2])))).service == POOL[2]


@pytest.mark.parametrize(
    "wanted",
    [
        NumberRequest(country="FR"),
        NumberRequest(prefix="+331"),
        NumberRequest(prefix=FRENCH[0][:-1]),
        NumberRequest(country="FR", area="199"),
    ],
)
async def test_the_matching_number_that_was_idle_longest_is_assigned(world: World, wanted: NumberRequest) -> None:
    world.now += DAY
    await add(world, *FRENCH)
    # The first number is assigned and returned: now it is the most recently used.
    world.now += DAY
    await world.cancel(await book(world, NumberRequest(service=E164(FRENCH[0]))))
    world.now += world.policy.quarantine_ms
    await world.sweep()
    given = [(await book(world, wanted)).service for _ in FRENCH]
    assert given == [*FRENCH[1:], FRENCH[0]]
    with pytest.raises(NoNumberFree, match="every such number"):
        await book(world, wanted)
    assert (await world.book()).service == POOL[0]


async def test_a_prefix_matches_only_the_beginning_of_a_number(world: World) -> None:
    await add(world, "+33199000099", "+33199000100", "+33199001000")
    assert (await book(world, NumberRequest(prefix="+331990001"))).service == "+33199000100"
    with pytest.raises(NoNumberFree):
        await book(world, NumberRequest(prefix="+331990001"))


@pytest.mark.parametrize("looked_at", [1, 3])
@pytest.mark.parametrize("wanted", [NumberRequest(prefix="+33199"), NumberRequest(country="FR", area="199")])
async def test_a_prefix_is_found_however_few_numbers_are_scanned(
    world: World, monkeypatch: pytest.MonkeyPatch, looked_at: int, wanted: NumberRequest
) -> None:
    monkeypatch.setattr(numbers, "SCAN_LIMIT", looked_at)
    await add(world, "+33140000001", "+33140000002", "+33590000001")
    world.now += DAY
    await add(world, *FRENCH)
    given = {(await book(world, wanted)).service for _ in FRENCH}
    assert given == set(FRENCH)


async def test_a_booking_without_a_wish_gets_a_number_of_its_destinations_country_where_one_is_free(
    world: World,
) -> None:
    await add(world, LONDON, *FRENCH)
    given = [(await book(world, destination=OTHER_HIDDEN)).service for _ in range(3)]
    assert given == [LONDON, POOL[0], POOL[1]]
    # Of the destination's country, the number that was idle longest is the first one, as among all.
    assert [(await book(world)).service for _ in range(3)] == [POOL[2], POOL[3], FRENCH[0]]
    for country in ("BE", "GB"):
        with pytest.raises(NoNumberFree, match="every such number"):
            await book(world, NumberRequest(country=country))
    for _ in FRENCH[1:]:
        await book(world)
    for wanted in (NO_WISH, NumberRequest(country="any")):
        with pytest.raises(NoNumberFree, match="every number"):
            await book(world, wanted)


async def test_a_number_of_the_destinations_country_is_preferred_from_the_moment_its_quarantine_is_over(
    world: World,
) -> None:
    await add(world, LONDON)
    await world.cancel(await book(world, destination=OTHER_HIDDEN))
    world.now += world.policy.quarantine_ms - 1
    assert (await book(world, destination=OTHER_HIDDEN)).service == POOL[0]
    world.now += 1
    assert (await book(world, destination=OTHER_HIDDEN)).service == LONDON


@pytest.mark.parametrize("by_setting", [True, False])
async def test_the_country_counts_neither_with_any_nor_with_the_setting_off(world: World, by_setting: bool) -> None:
    world.now += DAY
    await add(world, LONDON)
    world.policy = replace(world.policy, local_numbers=not by_setting)
    wanted = NO_WISH if by_setting else NumberRequest(country="any")
    assert [(await book(world, wanted, OTHER_HIDDEN)).service for _ in range(5)] == [*POOL, LONDON]


async def test_an_area_is_one_of_the_asked_country_or_of_the_destinations(world: World) -> None:
    # Of these, +1 506 is Canadian and +1 201 American: no area of the one is found in the other.
    await add(world, "+15062345678", "+12015550123", LONDON, "+441212345678")
    for wanted, destination, service in (
        (NumberRequest(area="20"), OTHER_HIDDEN, LONDON),
        (NumberRequest(area="1", country="GB"), HIDDEN, "+441212345678"),
        (NumberRequest(area="506", country="CA"), HIDDEN, "+15062345678"),
        (NumberRequest(area="2"), HIDDEN, POOL[0]),
    ):
        assert (await book(world, wanted, destination)).service == service
    for nowhere in (
        NumberRequest(area="201", country="CA"),
        NumberRequest(area="3"),
        NumberRequest(area="2", country="FR"),
        # With the trunk prefix, which is not dialled after a country code.
        NumberRequest(area="02"),
    ):
        with pytest.raises(NoNumberFree, match="every such number"):
            await book(world, nowhere)
    assert (await book(world, NumberRequest(area="201", country="US"))).service == "+12015550123"


async def test_a_number_quarantined_by_the_operator_is_not_assigned_until_then(world: World) -> None:
    until = world.now + 3 * DAY
    out = await world.storage.run(number_pool.quarantine, POOL[0][1:], EpochMs(until))
    assert out == Number(E164(POOL[0]), "QUARANTINED", START, EpochMs(until), "BE")
    assert (await world.storage.run(number_pool.quarantine, POOL[0], EpochMs(until - DAY))).quarantined_until == until
    assert (await world.book()).service == POOL[1]
    world.now = until
    await world.sweep()
    assert (await number(world, E164(POOL[0]))).state == "FREE"


async def test_a_retired_number_is_not_assigned_may_be_hidden_and_returns_only_when_restored(
    world: World,
) -> None:
    await world.storage.run(number_pool.retire, POOL[0])
    with pytest.raises(NumberNotFree):
        await book(world, NumberRequest(service=E164(POOL[0])))
    world.now += world.policy.quarantine_ms
    await world.sweep()
    assert (await world.book(destination=HIDDEN)).service == POOL[1]
    with pytest.raises(InvalidInput, match=f"line 1: .{POOL[0]} is retired".replace("+", "")):
        await add(world, POOL[0])
    assert (await world.storage.run(number_pool.restore, POOL[0])).state == "FREE"
    assert (await book(world, NumberRequest(service=E164(POOL[0])))).service == POOL[0]


async def test_a_retired_number_is_a_destination_like_any_other_until_it_is_restored(world: World) -> None:
    await add(world, HIDDEN)
    await world.storage.run(number_pool.retire, HIDDEN)
    booking = await world.book(destination=HIDDEN)
    await world.bridge(booking, "c1")
    await world.storage.run(number_pool.restore, HIDDEN)
    decision = await world.route(booking.service, "c2")
    assert getattr(decision, "disposition", None) == "FORBIDDEN"


async def test_a_restored_number_finishes_its_quarantine(world: World) -> None:
    booking = await world.book()
    await world.cancel(booking)
    rests = await number(world, booking.service)
    await world.storage.run(number_pool.retire, booking.service)
    # What the operator did counts against no account.
    assert rests.quarantined_by == world.account
    assert await world.storage.run(number_pool.restore, booking.service) == replace(rests, quarantined_by=None)


async def test_a_booked_number_is_neither_quarantined_nor_retired(world: World) -> None:
    booking = await world.book()
    with pytest.raises(InvalidInput, match="is booked"):
        await world.storage.run(number_pool.quarantine, booking.service, EpochMs(START + DAY))
    with pytest.raises(InvalidInput, match="is booked"):
        await world.storage.run(number_pool.retire, booking.service)
    assert (await number(world, booking.service)).state == "BOOKED"


async def test_an_invalid_choice_is_refused_and_named(world: World) -> None:
    await world.storage.run(number_pool.retire, POOL[0])
    for command, e164, complaint in (
        (lambda tx, one: number_pool.quarantine(tx, one, START), POOL[0], "is retired"),
        (number_pool.restore, POOL[1], "is not retired, but free"),
        (number_pool.retire, "+3225559999", "there is no number"),
        (number_pool.retire, "nonsense", "there is no number"),
    ):
        with pytest.raises(InvalidInput, match=complaint):
            await world.storage.run(command, e164)


async def test_a_sandbox_can_request_only_a_simulated_number(world: World) -> None:
    sandbox = await world.storage.run(sandbox_of, world.account, START)
    simulated = "+999123456789012"

    async def in_world(wanted: NumberRequest) -> str:
        request = BookingRequest(sandbox.id, HIDDEN, UsagePlan.SMALL, CALLBACK, wanted=wanted)
        return (await world.storage.run(bookings.book, request, world.now, world.policy)).service

    assert await in_world(NumberRequest(service=E164(simulated))) == simulated
    for service in (simulated, POOL[0]):
        with pytest.raises(NumberNotFree):
            await in_world(NumberRequest(service=E164(service)))
    for wanted in (NO_WISH, NumberRequest(prefix="+99"), NumberRequest(country="any")):
        assert (await in_world(wanted)).startswith("+999")
    for wanted in (NumberRequest(country="BE"), NumberRequest(prefix="+32"), NumberRequest(area="2")):
        with pytest.raises(NoNumberFree):
            await in_world(wanted)
