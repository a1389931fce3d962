"""Several live calls: all are bridged, share the remaining seconds, and together never exceed them."""

import asyncio
from dataclasses import replace

import pytest

from engine.calls import lease_rebalancing
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.metering import Credit
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ALL_SLOTS_HELD
from engine.domain.routing import Bridge
from tests.contract.samples import HOUR, SECOND
from tests.contract.world import World


async def talk_begins(world: World, booking: Booking, call_id: CallId) -> int:
    """Returns the milliseconds that the call may last from its answer."""
    await world.bridge(booking, call_id)
    return await world.answered(call_id)


def leases(world: World) -> dict[str, int]:
    rows = world.rows("SELECT call_id, seconds_leased FROM calls WHERE ended_at IS NULL")
    return {row["call_id"]: row["seconds_leased"] for row in rows}


async def test_a_call_that_is_alone_may_use_all_remaining_seconds(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    assert await talk_begins(lenient, booking, CallId("c1")) == 300 * SECOND


async def test_several_live_calls_share_the_remaining_seconds(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await talk_begins(lenient, booking, CallId("c1"))
    lenient.now += 100 * SECOND
    # Its first second has started, so it counts as used.
    assert await talk_begins(lenient, booking, CallId("c2")) == 101 * SECOND
    assert leases(lenient) == {"c1": 199, "c2": 101}
    lenient.now += 50 * SECOND
    assert await talk_begins(lenient, booking, CallId("c3")) == 34 * SECOND
    assert leases(lenient) == {"c1": 183, "c2": 83, "c3": 34}
    assert [await lenient.left_ms(CallId(call_id)) for call_id in ("c1", "c2", "c3")] == [33_000, 33_000, 34_000]


async def test_every_call_is_bridged_while_another_holds_all_seconds(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await talk_begins(lenient, booking, CallId("c0"))
    for n in range(1, 10):
        await talk_begins(lenient, booking, CallId(f"c{n}"))
    assert leases(lenient) == {f"c{n}": 30 for n in range(10)}
    assert await lenient.route(booking.service) == ALL_SLOTS_HELD


@pytest.mark.parametrize("talks", [False, True])
async def test_calls_that_ring_have_the_same_shares_as_calls_that_talk(lenient: World, *, talks: bool) -> None:
    """A call that is answered while the engine is away talks for its share."""
    booking = await lenient.book(UsagePlan.MEDIUM)
    await lenient.bridge(booking, "c1")
    if talks:
        await lenient.answered(CallId("c1"))
    assert (await lenient.bridge(booking, "c2")).seconds == 150
    assert leases(lenient) == {"c1": 150, "c2": 150}
    assert await lenient.answered(CallId("c2")) == 150 * SECOND


async def test_nothing_is_moved_for_a_call_that_is_alone(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    assert (await lenient.bridge(booking, "c1")).seconds == 300
    before = lenient.rows("SELECT * FROM bookings")
    assert await lenient.answered(CallId("c1")) == 300 * SECOND
    assert lenient.rows("SELECT * FROM bookings") == before
    assert await lenient.storage.run(lease_rebalancing.plan_shrinks, booking.id, lenient.at, lenient.policy) == []


async def test_an_ended_calls_unused_lease_goes_to_the_others(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2", "c3"):
        await talk_begins(lenient, booking, CallId(call_id))
    lenient.now += 10 * SECOND
    await lenient.ended(CallId("c2"), 10 * SECOND)
    await lenient.share(booking.id)
    assert leases(lenient) == {"c1": 145, "c3": 145}
    assert (await lenient.stored(booking)).seconds == Credit(300, 0, 290, 10)


@pytest.mark.parametrize("talks", [False, True])
async def test_a_settlement_names_the_one_call_that_could_use_the_returned_seconds(
    lenient: World, *, talks: bool
) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await talk_begins(lenient, booking, CallId("c1"))
    await lenient.bridge(booking, "c2")
    if talks:
        await lenient.answered(CallId("c2"))
    first, last = await lenient.ended(CallId("c1"), SECOND), await lenient.ended(CallId("c2"), 0, "CANCEL")
    assert first
    assert last
    assert (first.others_up, last.others_up) == (True, False)


async def test_idle_seconds_that_a_live_call_could_use_are_noticed(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    run = lenient.storage.run
    for call_id in ("c1", "c2"):
        await talk_begins(lenient, booking, CallId(call_id))
    assert await run(lease_rebalancing.bookings_to_share, lenient.at, lenient.policy) == []
    await lenient.ended(CallId("c2"), SECOND)
    assert await run(lease_rebalancing.bookings_to_share, lenient.at, lenient.policy) == [booking.id]
    # Not if the call may not last any longer.
    assert (
        await run(lease_rebalancing.bookings_to_share, lenient.at, replace(lenient.policy, longest_call_seconds=150))
        == []
    )
    await lenient.share(booking.id)
    assert await run(lease_rebalancing.bookings_to_share, lenient.at, lenient.policy) == []
    await lenient.ended(CallId("c1"), SECOND)
    assert await run(lease_rebalancing.bookings_to_share, lenient.at, lenient.policy) == []


async def test_seconds_that_one_call_may_not_use_go_to_the_others(world: World) -> None:
    world.policy = replace(world.policy, longest_call_seconds=200)
    booking = await world.book(UsagePlan.MEDIUM)
    assert await talk_begins(world, booking, CallId("c1")) == 200 * SECOND
    world.now += 150 * SECOND
    assert await talk_begins(world, booking, CallId("c2")) == 100 * SECOND
    assert leases(world) == {"c1": 200, "c2": 100}


async def test_a_renewal_during_calls_lengthens_them_all(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2"):
        await talk_begins(lenient, booking, CallId(call_id))
    lenient.now += 50 * SECOND
    await lenient.renew(booking, UsagePlan.SMALL)
    await lenient.share(booking.id)
    assert leases(lenient) == {"c1": 180, "c2": 180}
    assert await lenient.left_ms(CallId("c1")) == 130 * SECOND


async def test_after_a_delete_no_lease_moves(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2"):
        await talk_begins(lenient, booking, CallId(call_id))
    await lenient.ended(CallId("c2"), SECOND)
    before = leases(lenient)
    await lenient.cancel(booking)
    await lenient.share(booking.id)
    assert leases(lenient) == before
    assert await lenient.storage.run(lease_rebalancing.limits_on, booking.id, lenient.at) == []


async def test_no_call_lasts_beyond_the_bookings_end(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    lenient.now = booking.end_at - 100 * SECOND
    assert await talk_begins(lenient, booking, CallId("c1")) == 100 * SECOND
    lenient.now += 60 * SECOND
    assert await talk_begins(lenient, booking, CallId("c2")) == 40 * SECOND
    assert [await lenient.left_ms(CallId(call_id)) for call_id in ("c1", "c2")] == [40 * SECOND] * 2


async def test_a_lease_that_asterisk_did_not_receive_is_not_stored(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await talk_begins(lenient, booking, CallId("c1"))
    run = lenient.storage.run
    await run(lease_rebalancing.apply_shares, booking.id, {}, lenient.at, lenient.policy, keep_free=100)
    assert leases(lenient) == {"c1": 300}
    # A report of a lowered limit cannot raise a lease.
    await run(lease_rebalancing.apply_shares, booking.id, {CallId("c1"): 1_000}, lenient.at, lenient.policy)
    assert leases(lenient) == {"c1": 300}
    await run(
        lease_rebalancing.apply_shares, booking.id, {CallId("c1"): 200}, lenient.at, lenient.policy, keep_free=100
    )
    assert leases(lenient) == {"c1": 200}


async def test_no_lease_shrinks_to_zero(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    for call_id in ("c1", "c2"):
        await lenient.bridge(booking, call_id)
        await lenient.answered(CallId(call_id))
    shrinks = await lenient.storage.run(lease_rebalancing.plan_shrinks, booking.id, lenient.at, lenient.policy, 1_000)
    assert {limit.call_id: limit.leased for limit in shrinks} == {"c1": 1, "c2": 1}
    await lenient.share(booking.id, keep_free=1_000)
    assert leases(lenient) == {"c1": 1, "c2": 1}


async def test_a_call_is_refused_as_busy_if_no_call_can_return_a_second(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    world.policy = replace(world.policy, longest_call_seconds=4 * 3_600)
    await talk_begins(world, booking, CallId("c1"))
    world.now += 299_001
    assert await world.route(booking.service, "c2") == ALL_SLOTS_HELD


async def test_ten_calls_answered_at_once_all_talk(lenient: World) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    decisions = await asyncio.gather(*(lenient.route(booking.service, f"c{n}") for n in range(10)))
    assert all(isinstance(decision, Bridge) for decision in decisions)
    limits = [await lenient.answered(CallId(f"c{n}")) for n in range(10)]
    assert min(limits) >= SECOND
    assert sum(leases(lenient).values()) == 300


@pytest.mark.parametrize("hour", [HOUR, -HOUR])
async def test_a_wall_clock_set_by_an_hour_changes_no_limit(lenient: World, hour: int) -> None:
    booking = await lenient.book(UsagePlan.MEDIUM)
    await talk_begins(lenient, booking, CallId("c1"))
    lenient.now += 100 * SECOND
    lenient.now += hour
    lenient.clock_step -= hour
    assert await lenient.left_ms(CallId("c1")) == 200 * SECOND
