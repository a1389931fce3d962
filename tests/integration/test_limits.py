"""Limits of live calls over a real database and a real socket: what Asterisk has never passes what is in the books."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agi_scripts.route import _decide
from agi_scripts.session import CallContext, Environment, Session
from engine.asterisk.ami_connection import AmiLimits
from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.limit_keeper import LimitKeeper
from engine.calls.lease_rebalancing import TalkLimit
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.routing import ALL_SLOTS_HELD, Bridge, RouteDecision
from tests.contract.samples import CALLER, SECOND
from tests.contract.world import World
from tests.integration.ami_links import until_state
from tests.integration.database_world import WorldClock, world_on_disk
from tests.integration.fake_asterisk import ALLOWED
from tests.integration.fake_channels import FakeChannels, UpCall

# The product's own figures are some ten times these.
FAST = AmiLimits(action_seconds=0.3, ping_every_seconds=0.2, first_retry_seconds=0.05)
GRANTED = 300


class _NoConversation(Session):
    """What routing needs of one: its environment."""

    def __init__(self, call_id: str, service: str) -> None:
        self.environment = Environment("route", f"PJSIP/{call_id}", call_id, (service, CALLER, ALLOWED))


@dataclass
class Exchange:
    """The limit keeper at work between a world's books and a fake Asterisk."""

    world: World
    ami: FakeChannels
    link: AmiLink
    keeper: LimitKeeper
    booking: Booking

    async def incoming(self, call_id: str) -> RouteDecision:
        context = CallContext(self.world.storage, WorldClock(self.world), self.world.policy, self.keeper, "")
        decision = await _decide(context, _NoConversation(call_id, self.booking.service))
        if isinstance(decision, Bridge):
            self.ami.up[call_id] = UpCall(call_id, decision.seconds)
        return decision

    async def answered(self, call_id: CallId) -> None:
        call = self.ami.up[call_id]

        async def set_limit(limit: TalkLimit | None) -> None:
            assert limit is not None
            call.talks = True
            self.ami.limit(call_id, limit.left_ms / 1000)

        await self.keeper.answered(self.booking.id, call_id, call.callee, set_limit)

    async def talk(self, call_id: CallId) -> None:
        assert isinstance(await self.incoming(call_id), Bridge)
        await self.answered(call_id)

    async def ended(self, call_id: CallId, seconds: int = 1) -> None:
        del self.ami.up[call_id]
        await self.world.ended(call_id, seconds * SECOND)
        self.keeper.changed(self.booking.id)

    def leases(self) -> dict[str, int]:
        rows = self.world.rows("SELECT call_id, seconds_leased FROM calls WHERE ended_at IS NULL")
        return {row["call_id"]: row["seconds_leased"] for row in rows}

    async def until_leased(self, **leases: int) -> None:
        """Until the books say so, and Asterisk too."""
        async with asyncio.timeout(10):
            while self.leases() != leases or self.ami.limits != leases:  # noqa: ASYNC110  two peers, and no event
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        world.policy = replace(world.policy, longest_call_seconds=4 * 3_600)
        yield world


@pytest.fixture
async def ami() -> AsyncIterator[FakeChannels]:
    async with FakeChannels() as ami:
        yield ami


@asynccontextmanager
async def at_work(world: World, ami: FakeChannels) -> AsyncIterator[Exchange]:
    link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret, limits=FAST)
    keeper = LimitKeeper(world.storage, link, WorldClock(world), world.policy)
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(link.run(stop))
        tasks.create_task(keeper.run(stop))
        await until_state(link, LinkState.UP)
        try:
            yield Exchange(world, ami, link, keeper, await world.book(UsagePlan.MEDIUM))
        finally:
            stop.set()


@pytest.fixture
async def exchange(world: World, ami: FakeChannels) -> AsyncIterator[Exchange]:
    async with at_work(world, ami) as exchange:
        yield exchange
        over = [told for told in ami.limits_set if told.together > GRANTED]
        assert not over, "together they could have talked for longer than there is"
        assert all(ami.limits[call_id] <= leased for call_id, leased in exchange.leases().items())


async def test_a_single_call_gets_all_credit_without_a_limit_being_sent(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    assert exchange.ami.sent() == [("c1", 300)]
    assert exchange.ami.named("AbsoluteTimeout") == []


async def test_the_first_call_is_shortened_before_the_second_talks(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.ami.limits_set.clear()
    await exchange.talk(CallId("c2"))
    # For the second's ringing, then for its talk.
    assert exchange.ami.sent() == [("c1", 290), ("c1", 150), ("c2", 150)]
    assert exchange.leases() == {"c1": 150, "c2": 150}


async def test_a_limit_is_sent_as_time_from_now(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    exchange.world.now += 100_400
    await exchange.talk(CallId("c2"))
    assert exchange.leases() == {"c1": 200, "c2": 100}
    assert exchange.ami.limits == {"c1": 99.6, "c2": 100}


async def test_two_concurrent_answers_are_processed_one_after_the_other(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    for call_id in ("c2", "c3", "c4"):
        await exchange.incoming(call_id)
    exchange.ami.late["AbsoluteTimeout"] = 0.05
    await asyncio.gather(*(exchange.answered(CallId(call_id)) for call_id in ("c2", "c3", "c4")))
    await exchange.until_leased(c1=75, c2=75, c3=75, c4=75)


async def test_one_calls_end_gives_its_unused_lease_to_the_other(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.talk(CallId("c2"))
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


async def test_without_asterisk_the_second_call_has_its_reserve_and_both_get_their_shares_later(
    exchange: Exchange,
) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    await exchange.ami.stop()
    await until_state(exchange.link, LinkState.DOWN)
    await exchange.answered(CallId("c2"))
    assert exchange.ami.limits == exchange.leases() == {"c1": 290, "c2": 10}
    await exchange.ami.start()
    await exchange.until_leased(c1=150, c2=150)


async def test_no_credit_is_moved_while_asterisk_is_silent(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    exchange.ami.silent = True
    await exchange.answered(CallId("c2"))
    assert exchange.ami.limits == exchange.leases() == {"c1": 290, "c2": 10}
    exchange.ami.silent = False
    await exchange.until_leased(c1=150, c2=150)


async def test_a_limit_with_a_lost_answer_is_sent_again(exchange: Exchange) -> None:
    """Asterisk has lowered it, nobody knows: until that is known, nobody else gets those seconds."""
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    exchange.ami.unanswered_limits = 1
    await exchange.answered(CallId("c2"))
    assert exchange.ami.limits == {"c1": 150, "c2": 10}
    assert exchange.leases() == {"c1": 290, "c2": 10}
    await exchange.until_leased(c1=150, c2=150)


async def test_an_interrupted_rebalancing_is_completed(exchange: Exchange) -> None:
    """The script's time is over, or its caller is gone, while Asterisk is asked."""
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    exchange.ami.late["AbsoluteTimeout"] = 0.1
    answering = asyncio.create_task(exchange.answered(CallId("c2")))
    await exchange.ami.wait_for("AbsoluteTimeout", 2)
    answering.cancel()
    await asyncio.wait({answering})
    exchange.ami.up["c2"].talks = True  # for its reserve: the dialplan has seen no limit
    exchange.ami.late.clear()
    await exchange.until_leased(c1=150, c2=150)


async def test_a_call_that_is_gone_in_asterisk_does_not_delay_others(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.incoming("c2")
    del exchange.ami.up["c1"]
    await exchange.answered(CallId("c2"))
    assert exchange.leases() == {"c1": 290, "c2": 10}
    await exchange.world.ended(CallId("c1"), SECOND)
    exchange.keeper.changed(exchange.booking.id)
    await exchange.until_leased(c2=299)


async def test_without_asterisk_no_seconds_are_freed_for_a_second_call(exchange: Exchange) -> None:
    await exchange.talk(CallId("c1"))
    await exchange.ami.stop()
    await until_state(exchange.link, LinkState.DOWN)
    assert await exchange.incoming("c2") == ALL_SLOTS_HELD
    assert exchange.leases() == {"c1": 300}
    await exchange.ami.start()
    await until_state(exchange.link, LinkState.UP)
    assert isinstance(await exchange.incoming("c3"), Bridge)


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
    await exchange.keeper.make_room(exchange.booking.id, 10)
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
