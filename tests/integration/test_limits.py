"""Limits of live calls over a real database and a real socket: what Asterisk has never passes what is in the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from agi_scripts.route import ROOM_ATTEMPTS
from engine.asterisk.ami_link import LinkState
from engine.asterisk.errands import Elsewhere
from engine.domain.dispositions import Cause
from engine.domain.ids import BookingId, CallId
from engine.domain.policy import UsagePlan
from engine.domain.rejections import ALL_SLOTS_HELD, Reject
from engine.domain.routing import Bridge, RouteDecision
from tests.contract.samples import SECOND
from tests.contract.world import World
from tests.integration import fake_reports
from tests.integration.ami_links import in_vain, unanswered, until_state
from tests.integration.exchange import GRANTED, Exchange, ami, at_work, world
from tests.integration.fake_channels import FakeChannels

__all__ = ["ami", "world"]  # fixtures


@pytest.fixture
async def exchange(world: World, ami: FakeChannels) -> AsyncIterator[Exchange]:
    async with at_work(world, ami) as exchange:
        yield exchange
        over = [told for told in ami.limits_set if told.together > GRANTED]
        assert not over, "together they could have talked for longer than there is"
        assert all(ami.limits[call_id] <= leased for call_id, leased in exchange.leases().items())


def moved(ami: FakeChannels) -> list[str]:
    """Return the actions that moved a limit or a lease, in order."""
    return [action["Action"] for action in ami.received if action["Action"] in {"AbsoluteTimeout", "Setvar"}]


async def test_a_single_call_gets_all_credit_without_an_action(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    assert (exchange.ami.limits, exchange.leases()) == ({"c1": 300}, {"c1": 300})
    assert moved(exchange.ami) == []


@pytest.mark.parametrize(("talks", "action"), [(True, "AbsoluteTimeout"), (False, "Setvar")])
async def test_the_first_call_is_shortened_before_the_second_gets_its_lease(
    exchange: Exchange, action: str, *, talks: bool
) -> None:
    await exchange.incoming("c1")
    if talks:
        await exchange.answered(CallId("c1"))
    await exchange.talk(CallId("c2"))
    assert moved(exchange.ami) == [action]
    assert exchange.ami.sent() == [("c1", 150)]
    assert [(limit.call_id, limit.leased) for limit in exchange.parts.moved] == [("c1", 150)]
    assert exchange.leases() == exchange.ami.limits == {"c1": 150, "c2": 150}
    if not talks:
        await exchange.answered(CallId("c1"))
        assert (exchange.ami.limits, moved(exchange.ami)) == ({"c1": 150, "c2": 150}, [action])


async def test_the_lease_of_a_ringing_call_is_lowered_between_two_checks(exchange: Exchange) -> None:
    """Asterisk carries out the four actions in this order, which the proof of the limit needs."""
    await exchange.incoming("c1")
    await exchange.incoming("c2")
    asked = [action for action in exchange.ami.received if action["Action"] in {"Getvar", "Setvar"}]
    assert [(each["Action"], each["Channel"], each["Variable"]) for each in asked] == [
        ("Getvar", "c1", "RN_VERDICT"),
        ("Setvar", "c1", "RN_SECONDS"),
        ("Getvar", "c1", "DIALEDPEERNAME"),
        ("Getvar", "c1", "RN_TAKEN"),
    ]


async def test_a_call_answered_at_that_moment_is_lowered_once_its_answer_is_reported(exchange: Exchange) -> None:
    """Setvar comes too late: the dialplan has set the old limit. Its seconds are free only once that is lowered."""
    await exchange.incoming("c1")
    report = exchange.report_of_answer(CallId("c1"))
    second = asyncio.create_task(exchange.incoming("c2"))
    await exchange.ami.wait_for("Setvar")
    await asyncio.sleep(0.1)
    assert (second.done(), exchange.leases(), exchange.ami.limits) == (False, {"c1": 300}, {"c1": 300})
    await exchange.ami.report(report)
    assert isinstance(await second, Bridge)
    assert exchange.leases() == exchange.ami.limits == {"c1": 150, "c2": 150}


async def test_a_call_that_was_just_picked_up_keeps_its_lease_until_its_answer_is_reported(exchange: Exchange) -> None:
    """The dialplan reads the lease after the second check: it has the smaller limit, and the books the larger lease."""
    await exchange.incoming("c1")
    exchange.ami.picked_up("c1")
    second = asyncio.create_task(exchange.incoming("c2"))
    await exchange.ami.wait_for("Setvar")
    assert exchange.leases() == {"c1": 300}
    await exchange.ami.report(exchange.report_of_answer(CallId("c1")))
    assert isinstance(await second, Bridge)
    await exchange.until_leased(c1=150, c2=150)


async def test_a_lease_is_not_lowered_while_asterisk_is_being_told_it(exchange: Exchange) -> None:
    """Otherwise the larger one, which is under way, would arrive last."""
    await exchange.incoming("c1")
    with exchange.keeper.sending_route(CallId("c1")), exchange.keeper.sending_route(CallId("c1")):
        second = asyncio.create_task(exchange.incoming("c2"))
        await asyncio.sleep(0.2)
        assert (moved(exchange.ami), second.done()) == ([], False)
    assert isinstance(await second, Bridge)
    assert exchange.leases() == exchange.ami.limits == {"c1": 150, "c2": 150}


async def test_a_route_that_has_not_arrived_is_not_lowered(exchange: Exchange) -> None:
    """It comes from an engine that has ended meanwhile."""
    await exchange.incoming("c1")
    exchange.ami.up["c1"].verdict = ""
    assert await exchange.incoming("c2") == ALL_SLOTS_HELD
    assert exchange.leases() == {"c1": 300}
    exchange.ami.limit("c1", 300)  # now it arrives
    exchange.ami.up["c1"].verdict = "BRIDGE"
    assert isinstance(await exchange.incoming("c3"), Bridge)


async def test_a_limit_is_sent_as_time_from_now(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.world.now += 100_400
    await exchange.talk(CallId("c2"))
    assert exchange.leases() == {"c1": 200, "c2": 100}
    assert exchange.ami.limits == {"c1": 99.6, "c2": 100}


async def test_calls_that_ring_and_talk_have_equal_shares(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.ami.late["AbsoluteTimeout"] = exchange.ami.late["Setvar"] = 0.02
    decisions = await asyncio.gather(*(exchange.incoming(call_id) for call_id in ("c2", "c3", "c4")))
    assert [type(decision) for decision in decisions] == [Bridge] * 3
    await exchange.until_leased(c1=75, c2=75, c3=75, c4=75)
    await asyncio.gather(*(exchange.answered(CallId(call_id)) for call_id in ("c2", "c3", "c4")))
    await exchange.until_leased(c1=75, c2=75, c3=75, c4=75)


@pytest.mark.parametrize("talks", [True, False])
async def test_one_calls_end_gives_its_unused_lease_to_the_other(exchange: Exchange, *, talks: bool) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    if talks:
        await exchange.answered(CallId("c2"))
    await exchange.ended(CallId("c1"), 30)
    await exchange.until_leased(c2=270)


async def test_a_renewal_lengthens_live_calls(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.talk(CallId("c2"))
    exchange.ami.limits_set.clear()
    await exchange.world.renew(exchange.booking, UsagePlan.SMALL)
    exchange.keeper.changed(exchange.booking.id)
    await exchange.until_leased(c1=180, c2=180)
    exchange.ami.limits_set.clear()


async def test_no_limit_is_sent_after_a_delete(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.talk(CallId("c2"))
    sent = len(exchange.ami.limits_set)
    await exchange.world.cancel(exchange.booking)
    exchange.keeper.changed(exchange.booking.id)
    await exchange.keeper.resync()
    await asyncio.sleep(0.2)
    assert len(exchange.ami.limits_set) == sent


async def test_an_answer_with_another_limit_than_the_lease_has_its_limit_set_anew(exchange: Exchange) -> None:
    await exchange.incoming("c1")
    exchange.ami.up["c1"].limit = 200
    await exchange.answered(CallId("c1"))
    await exchange.until_leased(c1=300)
    assert exchange.ami.sent() == [("c1", 300)]


@pytest.mark.parametrize("way", ["away", "silent", "refuses"])
async def test_no_credit_is_moved_without_an_answer_from_asterisk(exchange: Exchange, way: str) -> None:
    await exchange.talk(CallId("c1"))
    if way == "away":
        await exchange.ami.stop()
        await until_state(exchange.link, LinkState.DOWN)
    if way == "refuses":
        exchange.ami.answer["AbsoluteTimeout"] = "Response: Error\r\nMessage: No such channel"
    with unanswered(exchange.ami, exchange.link) if way == "silent" else nullcontext():
        assert await exchange.incoming("c2") == ALL_SLOTS_HELD
        assert exchange.leases() == exchange.ami.limits == {"c1": 300}
    exchange.ami.answer.pop("AbsoluteTimeout", None)
    if way == "away":
        await exchange.ami.start()
    await until_state(exchange.link, LinkState.UP)
    assert isinstance(await exchange.incoming("c3"), Bridge)
    assert exchange.leases() == exchange.ami.limits == {"c1": 150, "c3": 150}


async def test_a_call_answered_while_asterisk_cannot_be_reached_talks_for_its_share(exchange: Exchange) -> None:
    """Its report is lost; reconciliation finds the call later."""
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    await exchange.ami.stop()
    await until_state(exchange.link, LinkState.DOWN)
    await exchange.answered(CallId("c2"))
    assert exchange.ami.limits == exchange.leases() == {"c1": 150, "c2": 150}


@pytest.mark.parametrize("talks", [True, False])
async def test_a_limit_with_a_lost_answer_is_sent_again(exchange: Exchange, *, talks: bool) -> None:
    """Asterisk has lowered it, and the engine does not know: until it does, nobody else gets those seconds."""
    await exchange.incoming("c1")
    if talks:
        await exchange.answered(CallId("c1"))
    exchange.ami.unanswered_limits = 1
    with in_vain(exchange.link):
        coming = asyncio.create_task(exchange.incoming("c2"))
        await exchange.ami.until(lambda: not exchange.ami.unanswered_limits)
    decision = await coming
    # The next of its attempts to make room had an answer.
    assert isinstance(decision, Bridge)
    await exchange.until_leased(c1=150, c2=150)
    assert exchange.ami.sent()[:2] == [("c1", 150), ("c1", 150)]


class _Others(Elsewhere):
    """Keepers of other Asterisks, which do what they are asked, or do not answer."""

    def __init__(self, *, answer: bool) -> None:
        self.asked = 0
        self._answer = answer

    async def make_room(self, booking_id: BookingId, seconds: int) -> bool:
        self.asked += 1
        return self._answer


@pytest.mark.parametrize(("answer", "asked"), [(True, ROOM_ATTEMPTS), (False, 1)])
async def test_a_keeper_that_does_not_answer_is_asked_for_seconds_once(
    exchange: Exchange, *, answer: bool, asked: int
) -> None:
    """Four times its time to wait is more than a call's decision may take, and the caller would get 503 for a busy."""
    await exchange.talk(CallId("c1"))
    exchange.ami.unanswered_limits = 2 * ROOM_ATTEMPTS  # no seconds come from this Asterisk
    exchange.keeper._elsewhere = others = _Others(answer=answer)
    with in_vain(exchange.link):
        decision = await exchange.incoming("c2")
    assert isinstance(decision, Reject)
    assert (decision.cause, others.asked) == (Cause.USER_BUSY, asked)


async def test_an_interrupted_rebalancing_is_completed(exchange: Exchange) -> None:
    """The script's time is over, or its caller is gone, while Asterisk is asked."""
    await exchange.talk(CallId("c1"))
    exchange.ami.late["AbsoluteTimeout"] = 0.1
    coming = asyncio.create_task(exchange.incoming("c2"))
    await exchange.ami.wait_for("AbsoluteTimeout")
    coming.cancel()
    await asyncio.wait({coming})
    exchange.ami.late.clear()
    await exchange.until_leased(c1=300)


async def test_a_call_that_is_gone_in_asterisk_does_not_delay_others(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    gone = exchange.ami.up.pop("c1")
    await exchange.incoming("c3")
    assert exchange.leases()["c1"] == gone.limit == 150
    await exchange.parts.report(fake_reports.ended("c1", exchange.booking.id, SECOND, now=exchange.world.now))
    async with asyncio.timeout(10):
        while sum(exchange.leases().values()) != 299:  # noqa: ASYNC110  a database, and no event
            await asyncio.sleep(0.01)


async def test_every_call_of_a_burst_gets_seconds_from_a_call_that_holds_all(exchange: Exchange) -> None:
    await exchange.talk(CallId("c0"))

    async def comes(number: int) -> RouteDecision:
        await asyncio.sleep(number * 0.002)
        return await exchange.incoming(f"c{number}")

    decisions = await asyncio.gather(*(comes(number) for number in range(1, 10)))
    assert [type(decision) for decision in decisions] == [Bridge] * 9
    await asyncio.gather(*(exchange.answered(CallId(f"c{number}")) for number in range(1, 10)))
    await exchange.until_leased(**{f"c{number}": 30 for number in range(10)})


async def test_seconds_freed_for_no_call_go_back(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    async with exchange.keeper.room_made(exchange.booking.id, 10):
        assert exchange.leases() == {"c1": 290}
    exchange.keeper.changed(exchange.booking.id)
    await exchange.until_leased(c1=300)


async def test_a_starting_engine_sends_every_limit(world: World, ami: FakeChannels) -> None:
    async with at_work(world, ami) as before:
        await before.talk(CallId("c1"))
        await before.talk(CallId("c2"))
        await before.until_leased(c1=150, c2=150)
    ami.limits_set.clear()
    async with at_work(world, ami) as after:
        await after.keeper.resync()
        await ami.until_limits_set(2)
    assert sorted(ami.sent()) == [("c1", 150), ("c2", 150)]
