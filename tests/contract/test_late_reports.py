"""Reports that are handled late: a call costs what it talked, and its limit counts from its answer.

Asterisk and the engine have the same wall clock here, as on one machine.
"""

import pytest

from engine.calls import lease_rebalancing
from engine.calls.lifecycle import call_ended, note_answer
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.times import EpochMs
from tests.contract.samples import SECOND, answer_report, end_report
from tests.contract.world import World

CALL = CallId("c1")
RINGS, TALKS = 2 * SECOND, 20 * SECOND


async def answered(world: World, booking: Booking, late_ms: int) -> None:
    """Routes a call that is answered after two seconds, and handles the report `late_ms` later."""
    lease = (await world.bridge(booking, CALL)).seconds
    world.now += RINGS
    report = answer_report(CALL, lease, booking_id=booking.id, asterisk_now=world.now)
    world.now += late_ms
    noted = await world.storage.run(note_answer, report, world.at)
    assert not noted.limit_differs
    assert not noted.must_end


@pytest.mark.parametrize("answer_late", [0, 7 * SECOND, 19 * SECOND])
@pytest.mark.parametrize("end_late", [0, 4 * SECOND, 60 * SECOND])
async def test_a_call_costs_what_it_talked_however_late_its_reports_come(
    lenient: World, answer_late: int, end_late: int
) -> None:
    booking = await lenient.book()
    await answered(lenient, booking, answer_late)
    lenient.now += TALKS - answer_late
    report = end_report(CALL, TALKS, booking_id=booking.id, asterisk_now=lenient.now)
    lenient.now += end_late
    settlement = await lenient.storage.run(call_ended, report, lenient.at, lenient.policy)
    assert settlement is not None
    assert settlement.cdr.duration == TALKS // SECOND


async def test_both_reports_at_once_cost_what_was_talked(lenient: World) -> None:
    """An engine that stood still during the whole call handles both after it."""
    booking = await lenient.book()
    await answered(lenient, booking, TALKS)
    report = end_report(CALL, TALKS, booking_id=booking.id, asterisk_now=lenient.now)
    settlement = await lenient.storage.run(call_ended, report, lenient.at, lenient.policy)
    assert settlement is not None
    assert settlement.cdr.duration == TALKS // SECOND


async def test_a_limit_counts_from_the_answer_and_not_from_its_report(lenient: World) -> None:
    booking = await lenient.book()
    await answered(lenient, booking, 7 * SECOND)
    call = await lenient.storage.run(lambda tx: tx.calls.by_id(CALL))
    assert call is not None
    assert await lenient.left_ms(CALL) == call.seconds_leased * SECOND - 7 * SECOND


@pytest.mark.parametrize("ahead", [-3600 * SECOND, -30 * SECOND, 5 * SECOND, 3600 * SECOND])
async def test_a_report_cannot_be_older_than_its_call_or_of_the_future(lenient: World, ahead: int) -> None:
    """Then Asterisk's clock differs from ours, and the report counts as on time."""
    booking = await lenient.book()
    await lenient.bridge(booking, CALL)
    lenient.now += RINGS
    report = answer_report(CALL, booking_id=booking.id, asterisk_now=EpochMs(lenient.now + ahead))
    await lenient.storage.run(note_answer, report, lenient.at)
    call = await lenient.storage.run(lambda tx: tx.calls.by_id(CALL))
    assert call is not None
    assert call.answered is not None
    assert (call.answered.boot_ms, call.answered.wall_ms) == (lenient.at.boot_ms, lenient.now + ahead)


async def test_a_call_that_is_answered_while_its_lease_is_lowered_gets_the_smaller_limit(lenient: World) -> None:
    booking = await lenient.book()
    await lenient.bridge(booking, CALL)
    [planned] = await lenient.storage.run(
        lease_rebalancing.plan_shrinks, booking.id, lenient.at, lenient.policy, keep_free=30
    )
    now = lenient.storage.run
    assert await now(lease_rebalancing.limit_if_answered, planned, lenient.at) is None
    report = answer_report(CALL, booking_id=booking.id, asterisk_now=lenient.now)
    await now(note_answer, report, lenient.at)
    lenient.now += SECOND
    limit = await now(lease_rebalancing.limit_if_answered, planned, lenient.at)
    assert limit is not None
    assert (limit.channel, limit.leased) == (f"{CALL}-callee", planned.leased)
    assert limit.left_ms == planned.leased * SECOND - SECOND
    await now(call_ended, end_report(CALL, SECOND, booking_id=booking.id), lenient.at, lenient.policy)
    assert await now(lease_rebalancing.limit_if_answered, planned, lenient.at) is None
