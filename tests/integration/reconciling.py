"""A running reconciler with a fake Asterisk, and functions that break its lists of channels."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.reconciler import Reconciler
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from tests.contract.world import World
from tests.integration import fake_reports
from tests.integration.ami_links import until_state
from tests.integration.database_world import WorldClock
from tests.integration.engine_parts import EngineParts, engine_parts
from tests.integration.fake_channels import FakeChannels, UpCall

INTERVAL = 0.05
ROUNDS = 5

Broken = Callable[[list[str]], list[str]]


@dataclass
class RunningReconciler:
    """A running reconciler.

    Attributes:
        spool: The directory of the end spool.
    """

    world: World
    ami: FakeChannels
    parts: EngineParts
    reconciler: Reconciler
    spool: Path

    @property
    def link(self) -> AmiLink:
        return self.parts.link

    async def talk(
        self, call_id: CallId, *, booking: Booking | None = None, answer_is_reported: bool = True
    ) -> Booking:
        booking = booking or await self.world.book(UsagePlan.MEDIUM)
        decision = await self.world.bridge(booking, call_id)
        for row in self.world.rows("SELECT call_id, seconds_leased FROM calls WHERE ended_at IS NULL"):
            if row["call_id"] in self.ami.up:  # the world has moved leases as with an Asterisk that obeys
                self.ami.up[row["call_id"]].limit = row["seconds_leased"]
        call = self.ami.up[call_id] = UpCall(call_id, decision.seconds)
        limit = self.ami.limited(call_id)
        if answer_is_reported:
            await self.parts.report(fake_reports.answered(call_id, booking.id, call.callee, limit, self.world.now))
        return booking

    async def until_ended(self, call_id: str) -> None:
        async with asyncio.timeout(10):
            while call_id not in self.ended():  # noqa: ASYNC110  a database, and no event
                await asyncio.sleep(0.005)

    async def until_calm(self) -> None:
        """Wait until a round over the present connection is over."""
        async with asyncio.timeout(10):
            while self.reconciler._synced_connection != self.link.connections:  # noqa: ASYNC110  a number
                await asyncio.sleep(0.005)

    async def rounds(self, count: int = ROUNDS) -> None:
        """Wait until the reconciler has requested `count` more lists and stored the results."""
        until = self.ami.lists + count + 1  # it requests one more once those are stored
        async with asyncio.timeout(20):
            while self.ami.lists < until:  # noqa: ASYNC110  a number, and nothing that could be waited for
                await asyncio.sleep(0.01)

    async def until_down(self) -> None:
        """Wait until the reconciler knows that Asterisk cannot be reached."""
        await until_state(self.link, LinkState.DOWN)
        async with asyncio.timeout(10):
            while self.reconciler._was_up:  # noqa: ASYNC110  likewise
                await asyncio.sleep(0.01)

    def ended(self) -> dict[str, tuple[str, int]]:
        """Return disposition and duration in seconds by call id."""
        rows = self.world.rows("SELECT call_id, disposition, duration FROM cdrs")
        return {row["call_id"]: (row["disposition"], row["duration"]) for row in rows}

    def states(self) -> dict[str, str]:
        return {row["call_id"]: row["state"] for row in self.world.rows("SELECT call_id, state FROM calls")}


@asynccontextmanager
async def running_reconciler(
    world: World, ami: FakeChannels, spool: Path, interval: float = INTERVAL
) -> AsyncIterator[RunningReconciler]:
    world.policy = replace(world.policy, longest_call_seconds=4 * 3_600)
    clock = WorldClock(world)
    parts = engine_parts(world, ami, spool)
    reconciler = Reconciler(world.storage, parts.link, clock, world.policy, parts.keeper, parts.spool, interval)
    work = RunningReconciler(world, ami, parts, reconciler, spool)
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for part in (parts, parts.keeper, reconciler):
            tasks.create_task(part.run(stop))
        await until_state(parts.link, LinkState.UP)
        try:
            yield work
        finally:
            stop.set()


class Once:
    """Breaks only the next list."""

    def __init__(self, broken: Broken) -> None:
        self._broken: Broken | None = broken

    def __call__(self, messages: list[str]) -> list[str]:
        broken, self._broken = self._broken, None
        return broken(messages) if broken else messages


class Sometimes:
    """Applies the functions of `pattern` to one list after the other, in turn."""

    def __init__(self, *pattern: Broken) -> None:
        self._pattern = pattern
        self._turn = 0

    def __call__(self, messages: list[str]) -> list[str]:
        self._turn += 1
        return self._pattern[self._turn % len(self._pattern)](messages)


def whole(messages: list[str]) -> list[str]:
    return messages


def without_calls(messages: list[str]) -> list[str]:
    return [messages[0], "Event: StatusComplete\r\nEventList: Complete\r\nListItems: 0"]
