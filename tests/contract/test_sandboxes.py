"""Sandboxes: simulated calls cost and are reported like real ones, and no sandbox affects another."""

import json
import random

import pytest

from engine.accounts.accounts import create_account
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.bookings.number_pool import import_numbers
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.reconciliation import LiveChannels, compare_with_asterisk
from engine.domain.booking import BookingStatus, status_at
from engine.domain.directions import Direction
from engine.domain.errors import BookingGone, InvalidDestination, InvalidInput
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import ANONYMOUS, E164, is_e164, is_simulated
from engine.domain.policy import BookingLimits, UsagePlan
from engine.domain.rejections import UNKNOWN_NUMBER, Reason
from engine.domain.simulation import Outcome
from engine.domain.times import BootMs, EpochMs, rfc3339
from engine.sandbox.simulation import Simulation
from engine.storage.blocked_callers import BlockedCaller
from tests.contract.samples import CALLBACK, CALLER, DAY, HOUR, POLICY, SECOND, START
from tests.contract.trial import Trial
from tests.contract.world import POOL, World


@pytest.fixture
async def trial(world: World) -> Trial:
    return await Trial.begin(world)


@pytest.mark.parametrize(
    ("outcome", "seconds", "sip", "disposition", "lasts"),
    [
        (Outcome.ANSWERED, 12, 200, "ANSWERED", 12 * SECOND),
        (Outcome.BUSY, 0, 486, "BUSY", 0),
        (Outcome.NO_ANSWER, 0, 480, "NO_ANSWER", POLICY.ring_seconds * SECOND),
        (Outcome.CANCELLED, 0, 487, "CANCELLED", 0),
    ],
)
async def test_a_simulated_call_is_recorded_charged_and_moves_the_clock_as_a_real_one_would(
    trial: Trial, outcome: Outcome, seconds: int, sip: int, disposition: str, lasts: int
) -> None:
    booking = await trial.book()
    simulation = await trial.call(booking.service, outcome, seconds)
    assert (simulation.put_through, simulation.reason, simulation.sip_status) == (True, Reason.PUT_THROUGH, sip)
    assert simulation.record is not None
    assert (simulation.record.disposition, simulation.record.duration) == (disposition, seconds)
    assert (simulation.record.started_at, simulation.record.source) == (START, CALLER)
    assert simulation.now == await trial.now() == START + lasts
    assert simulation.booking is not None
    assert simulation.booking.seconds.remaining == booking.seconds.remaining - seconds
    assert simulation.booking.calls.remaining == booking.calls.remaining - (1 if seconds else 0)
    assert await trial.discrepancies() == []


async def test_a_simulated_calls_callback_has_the_sandboxs_time_and_is_due_by_the_machines_clock(trial: Trial) -> None:
    await trial.advance(5 * DAY)
    booking = await trial.book()
    await trial.talk(booking, 12)
    [event] = trial.around.rows("SELECT account_id, body, due_at, created_at FROM outbox")
    assert (event["account_id"], event["due_at"]) == (trial.account, trial.around.now)
    assert event["created_at"] == START + 5 * DAY + 12 * SECOND
    assert json.loads(event["body"])["timestamp"] == rfc3339(EpochMs(START + 5 * DAY))


async def test_a_simulated_call_is_cut_where_a_real_one_is(trial: Trial) -> None:
    """By the operator's longest call, by the remaining seconds, by the end of the booking."""
    booking = await trial.book()
    for seconds in (POLICY.longest_call_seconds,) * 5:
        simulation = await trial.talk(booking, 10_000)
        assert simulation.record is not None
        assert simulation.record.duration == seconds
    assert (await trial.talk(booking, 10_000)).reason is Reason.SECONDS_SPENT
    ending = await trial.book()
    await trial.advance(ending.end_at - await trial.now() - 2_500)
    simulation = await trial.talk(ending, 10_000)
    assert simulation.record is not None
    assert (simulation.record.duration, simulation.now) == (3, ending.end_at)
    assert simulation.booking is not None
    assert status_at(simulation.booking, simulation.now, POLICY) is BookingStatus.EXPIRED


async def test_simulated_calls_are_refused_for_the_same_reasons_as_real_ones(trial: Trial) -> None:
    world = trial.around
    booking = await trial.book(refuse_anonymous=True, limits=BookingLimits(max_calls_per_caller_per_hour=1))
    blocked = BlockedCaller("+14155550199", START)
    await world.storage.run(lambda tx: tx.blocked.insert(booking.id, blocked))
    assert (await trial.call(booking.service, source=ANONYMOUS)).reason is Reason.ANONYMOUS_REFUSED
    assert (await trial.call(booking.service, source=blocked.caller)).reason is Reason.CALLER_BLOCKED
    assert (await trial.call(booking.service)).put_through
    refused = await trial.call(booking.service)
    assert (refused.reason, refused.sip_status) == (Reason.CALLER_LIMIT, 403)
    await trial.advance(booking.end_at - START)
    expired = await trial.call(booking.service)
    assert (expired.reason, expired.sip_status, expired.put_through) == (Reason.END_REACHED, 410, False)
    records = [row["disposition"] for row in world.rows("SELECT disposition FROM cdrs ORDER BY id")]
    assert records == ["ANONYMOUS_REFUSED", "CALLER_BLOCKED", "BUSY", "CALLER_LIMIT", "EXPIRED"]
    [event] = world.rows("SELECT body FROM outbox")
    assert json.loads(event["body"])["message"] == "Incoming call for expired booking"


async def test_a_simulated_hidden_number_calls_back_who_called_last(trial: Trial) -> None:
    booking = await trial.book(UsagePlan.MEDIUM, reverse=True)

    async def calls_back(outcome: Outcome, seconds: int) -> Simulation:
        return await trial.call(booking.service, outcome, seconds, booking.destination, Direction.REVERSE)

    nobody = await calls_back(Outcome.BUSY, 0)
    assert (nobody.reason, nobody.sip_status, nobody.put_through) == (Reason.NO_LAST_CALLER, 480, False)
    assert (await trial.call(booking.service)).put_through
    # Without the carrier's word the hidden number is a caller like every other, and reaches itself.
    only_shown = await trial.call(booking.service, source=booking.destination)
    called = await calls_back(Outcome.ANSWERED, 3)
    records = [each.record for each in (only_shown, called)]
    assert [each and (each.direction, each.destination, each.duration) for each in records] == [
        (Direction.FORWARD, booking.destination, 0),
        (Direction.REVERSE, CALLER, 3),
    ]
    assert called.booking is not None
    assert called.booking.seconds.settled == 3


async def test_no_call_reaches_another_sandbox(trial: Trial) -> None:
    """Real calls reach the pool's numbers, a sandbox's simulated calls its own; any other number is unknown."""
    world = trial.around
    real = await world.book()
    simulated = await trial.book()
    await world.storage.run(create_account, "Bob", START)
    other = await Trial.begin(world, "Bob")
    for service, from_world in ((real.service, trial), (simulated.service, other), (POOL[-1], trial)):
        simulation = await from_world.call(E164(service), Outcome.ANSWERED, 5)
        assert (simulation.reason, simulation.sip_status) == (Reason.NO_BOOKING, 404)
        assert (simulation.record, simulation.booking) == (None, None)
    incoming = IncomingCall(CallId("a real one"), simulated.service, CALLER)
    assert await world.storage.run(calls.route_call, incoming, world.at, world.policy) == UNKNOWN_NUMBER
    assert world.rows("SELECT call_id FROM calls UNION ALL SELECT call_id FROM cdrs") == []
    assert world.rows("SELECT id FROM outbox") == []


async def test_simulated_numbers_are_in_no_pool_and_belong_to_no_carrier(trial: Trial) -> None:
    world = trial.around
    for _ in POOL:
        await world.book()
    booked = [await trial.book() for _ in range(10)]
    assert len({booking.service for booking in booked}) == 10
    assert all(is_simulated(booking.service) and is_e164(booking.service) for booking in booked)
    assert {row["e164"] for row in world.rows("SELECT e164 FROM numbers")} == set(POOL)
    await world.storage.run(bookings.cancel, AccountId(trial.account), booked[0].id, world.now, world.policy)
    assert {row["state"] for row in world.rows("SELECT state FROM numbers")} == {"BOOKED"}


async def test_a_simulated_number_can_be_neither_imported_nor_hidden(trial: Trial) -> None:
    world = trial.around
    service = (await trial.book()).service
    with pytest.raises(InvalidInput, match=r"line 7: .* sandboxes"):
        await world.storage.run(import_numbers, [(7, service)], START)
    for account in (trial.account, world.account):
        request = BookingRequest(AccountId(account), service, UsagePlan.SMALL, CALLBACK)
        with pytest.raises(InvalidDestination):
            await world.storage.run(bookings.book, request, world.now, world.policy)


async def test_reconciliation_ignores_simulated_calls(trial: Trial) -> None:
    booking = await trial.book()
    await trial.talk(booking, 30)
    world = trial.around
    nothing = LiveChannels(frozenset(), {})
    compared = await world.storage.run(compare_with_asterisk, nothing, BootMs(world.at.boot_ms + HOUR))
    assert (compared.found, compared.missing, compared.unmetered) == ([], set(), set())
    assert (await world.sweep()).calls_lost == 0
    assert await trial.discrepancies() == []


@pytest.mark.parametrize("seed", range(3))
async def test_the_ledger_balances_after_any_order_of_calls_renewals_and_time(trial: Trial, seed: int) -> None:
    """The fixture checks the ledger once more at the end."""
    chance, world, held = random.Random(seed), trial.around, [await trial.book() for _ in range(3)]
    reasons = set()
    for _ in range(60):
        booking = chance.choice(held)
        match chance.randrange(6):
            case 0:
                await trial.advance(chance.randrange(1, 9 * DAY))
            case 1:
                renewal, now = Renewal(UsagePlan.SMALL), await trial.now()
                try:
                    await world.storage.run(
                        bookings.renew, AccountId(trial.account), booking.id, renewal, EpochMs(now), POLICY
                    )
                except BookingGone:
                    held.append(await trial.book())
            case _:
                outcome = chance.choice(list(Outcome))
                seconds = chance.randrange(1, 90) if outcome is Outcome.ANSWERED else 0
                reasons.add((await trial.call(booking.service, outcome, seconds)).reason)
        assert await trial.discrepancies() == []
    assert {Reason.PUT_THROUGH, Reason.END_REACHED, Reason.NO_BOOKING} <= reasons
