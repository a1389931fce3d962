"""Adjustments during live calls, with a real database and a fake manager interface on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.bookings import adjustments
from engine.bookings.adjustments import MAX_ADJUSTMENT, MAX_REASON, Adjustment
from engine.calls.lease_rebalancing import plan_shrinks
from engine.domain.errors import InvalidInput, NotFound
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from tests.contract.samples import SECOND
from tests.contract.world import World
from tests.integration.ami_links import unanswered
from tests.integration.exchange import GRANTED, Exchange, ami, at_work, world
from tests.integration.fake_channels import FakeChannels

__all__ = ["ami", "world"]  # fixtures


@pytest.fixture
async def exchange(world: World, ami: FakeChannels) -> AsyncIterator[Exchange]:
    async with at_work(world, ami) as exchange:
        yield exchange
        world.check_ledger()
        granted = (await world.stored(exchange.booking)).seconds.granted
        assert sum(exchange.ami.limits[call_id] for call_id in exchange.ami.up) <= granted


def an_adjustment(booking_id: str = "bkg_1", seconds: int = -120, calls: int = 0, **changes: Any) -> Adjustment:
    return Adjustment(
        **{"id": "grt_1", "booking_id": booking_id, "reason": "a complaint"} | changes, seconds=seconds, calls=calls
    )


async def adjust(exchange: Exchange, seconds: int, calls: int = 0, **changes: Any) -> tuple[int, int]:
    done = await exchange.keeper.adjust(an_adjustment(exchange.booking.id, seconds, calls, **changes))
    return done.seconds, done.calls


async def test_leased_seconds_are_taken_only_after_asterisk_lowered_the_limit(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    assert await adjust(exchange, -120) == (-120, 0)
    assert exchange.leases() == exchange.ami.limits == {"c1": 180}
    stored = (await exchange.world.stored(exchange.booking)).seconds
    assert (stored.granted, stored.remaining, stored.leased) == (180, 0, 180)


async def test_live_calls_share_a_reduction_evenly(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.talk(CallId("c2"))
    assert await adjust(exchange, -100) == (-100, 0)
    assert exchange.leases() == exchange.ami.limits == {"c1": 100, "c2": 100}


async def test_seconds_already_talked_cannot_be_taken(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.world.now += 59_400
    assert await adjust(exchange, -1000) == (-240, 0)
    assert exchange.leases() == {"c1": 60}
    assert exchange.ami.limits["c1"] == pytest.approx(0.6, abs=0.1)


async def test_a_ringing_call_keeps_its_first_second(exchange: Exchange) -> None:
    await exchange.incoming("c1")
    assert await adjust(exchange, -1000, -1000) == (-299, -9)
    assert exchange.leases() == exchange.ami.limits == {"c1": 1}


async def test_added_seconds_lengthen_live_calls(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.talk(CallId("c2"))
    assert await adjust(exchange, 100, 5) == (100, 5)
    await exchange.until_leased(c1=200, c2=200)


async def test_without_an_answer_from_asterisk_only_unleased_seconds_are_taken(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    with unanswered(exchange.ami, exchange.link):
        assert await adjust(exchange, -120) == (0, 0)
        assert exchange.leases() == {"c1": 300}
    assert await adjust(exchange, -120, id="grt_2") == (-120, 0)
    assert exchange.leases() == {"c1": 180}


async def test_a_repeated_adjustment_is_applied_once(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    assert [await adjust(exchange, -120) for _ in range(3)] == [(-120, 0)] * 3
    await exchange.until_leased(c1=180)
    assert exchange.world.rows("SELECT seconds, reason, usage_plan FROM grants WHERE id = 'grt_1'") == [
        {"seconds": -120, "reason": "a complaint", "usage_plan": None}
    ]


async def test_the_ledger_balances_when_calls_come_and_go_during_adjustments(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.ami.late["AbsoluteTimeout"] = 0.05
    outcomes = await asyncio.gather(
        adjust(exchange, -200), exchange.incoming("c2"), adjust(exchange, -60, id="grt_2"), exchange.incoming("c3")
    )
    taken = sum(outcome[0] for outcome in outcomes if isinstance(outcome, tuple))
    assert (await exchange.world.stored(exchange.booking)).seconds.granted == GRANTED + taken
    assert -260 <= taken <= -230


async def test_an_adjustment_waits_for_the_report_of_a_call_answered_just_now(exchange: Exchange) -> None:
    """The call has set the limit that it read before the reduction: its seconds are taken once its limit is lowered."""
    await exchange.incoming("c1")
    report = exchange.report_of_answer(CallId("c1"))
    adjusting = asyncio.create_task(adjust(exchange, -120))
    await exchange.ami.wait_for("Setvar")
    assert not adjusting.done()
    await exchange.ami.report(report)
    assert await adjusting == (-120, 0)
    assert exchange.leases() == exchange.ami.limits == {"c1": 180}


async def test_an_unknown_booking_cannot_be_adjusted(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        await exchange.keeper.adjust(an_adjustment("bkg_unknown"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0, "calls": 0},
        {"seconds": MAX_ADJUSTMENT + 1},
        {"calls": -MAX_ADJUSTMENT - 1},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "two\nlines"},
        {"reason": "x" * (MAX_REASON + 1)},
    ],
    ids=str,
)
def test_an_adjustment_needs_a_change_and_a_reason(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        an_adjustment(**wrong)


async def test_a_booking_past_its_end_can_be_given_seconds_and_stays_expired(world: World) -> None:
    booking = await world.book(UsagePlan.MEDIUM)
    world.now = booking.end_at + SECOND
    await world.storage.run(adjustments.adjust, an_adjustment(booking.id, 60), world.at, world.policy)
    assert (await world.stored(booking)).seconds.granted == 360
    world.check_ledger()


async def test_a_lease_that_the_call_has_talked_past_by_now_is_not_booked(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision took 1.5 s: the call would talk for longer than it pays."""
    await exchange.talk(CallId("c1"))
    ordinary = exchange.world.storage.run

    def after_a_pause(command: Any, *more: Any, **named: Any) -> Any:
        planned = asyncio.ensure_future(ordinary(command, *more, **named))
        if command is plan_shrinks:
            planned.add_done_callback(lambda _: setattr(exchange.world, "now", exchange.world.now + 1_500))
        return planned

    with monkeypatch.context() as slow:
        slow.setattr(exchange.world.storage, "run", after_a_pause)
        assert await adjust(exchange, 1 - GRANTED) == (0, 0)
    assert exchange.leases() == {"c1": GRANTED}
