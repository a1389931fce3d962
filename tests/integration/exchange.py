"""A limit keeper at work between a real database and a fake Asterisk on a real socket, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agi_scripts.route import _decide, _Question
from agi_scripts.session import CallContext, Environment, Session
from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.silent_trunks import SilentTrunks
from engine.asterisk.trunk_states import TrunkStates
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.domain.routing import Bridge, RouteDecision
from tests.contract.samples import CALLER, SECOND
from tests.contract.world import World
from tests.integration import fake_reports
from tests.integration.ami_links import until_state
from tests.integration.database_world import WorldClock, world_on_disk
from tests.integration.engine_parts import EngineParts, engine_parts
from tests.integration.fake_asterisk import ALLOWED
from tests.integration.fake_channels import FakeChannels, UpCall

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
    parts: EngineParts
    booking: Booking

    @property
    def link(self) -> AmiLink:
        return self.parts.link

    @property
    def keeper(self) -> LimitKeeper:
        return self.parts.keeper

    async def incoming(self, call_id: str) -> RouteDecision:
        """A call comes in; if it is bridged, it rings."""
        world, clock = self.world, WorldClock(self.world)
        trunks, watch = TrunkStates(self.link, clock, {}), SilentTrunks(self.link)
        context = CallContext(world.storage, clock, world.policy, trunks, self.keeper, watch)
        with self.keeper.sending_route(CallId(call_id)):
            decision = await _decide(
                context, _NoConversation(call_id, self.booking.service), _Question(CallId(call_id))
            )
            if isinstance(decision, Bridge):
                self.ami.up[call_id] = UpCall(call_id, decision.seconds)
        return decision

    async def answered(self, call_id: CallId) -> None:
        """The callee answers; that is reported, which is in vain while Asterisk cannot be reached."""
        report = self.report_of_answer(call_id)
        if self.link.is_up and not self.ami.silent:
            await self.parts.report(report)

    def report_of_answer(self, call_id: CallId) -> str:
        limit = self.ami.limited(call_id)
        return fake_reports.answered(call_id, self.booking.id, self.ami.up[call_id].callee, limit, self.world.now)

    async def talk(self, call_id: CallId) -> None:
        assert isinstance(await self.incoming(call_id), Bridge)
        await self.answered(call_id)

    async def ended(self, call_id: CallId, seconds: int = 1) -> None:
        del self.ami.up[call_id]
        await self.parts.report(fake_reports.ended(call_id, self.booking.id, seconds * SECOND, now=self.world.now))

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
    parts = engine_parts(world, ami, world.database.parent / "journal")
    stop = asyncio.Event()
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.run(stop))
        tasks.create_task(parts.keeper.run(stop))
        await until_state(parts.link, LinkState.UP)
        try:
            yield Exchange(world, ami, parts, await world.book(UsagePlan.MEDIUM))
        finally:
            stop.set()
