"""A running reconciler with a fake Asterisk, and functions that break its lists of channels."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.asterisk.ami_connection import AmiLimits
from engine.asterisk.ami_link import AmiLink, LinkState
from engine.asterisk.limit_keeper import LimitKeeper
from engine.asterisk.reconciler import Reconciler
from engine.calls.end_spool import EndSpool
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from tests.contract.world import World
from tests.integration.ami_links import until_state
from tests.integration.database_world import WorldClock
from tests.integration.fake_channels import FakeChannels, UpCall

# About a tenth of the product's values.
FAST = AmiLimits(action_seconds=0.3, ping_every_seconds=0.2, first_retry_seconds=0.05)
INTERVAL = 0.05
ROUNDS = 5

Broken = Callable[[list[str]], list[str]]


@dataclass
class RunningReconciler:
    """A running reconciler.

    Attributes:
        spool: The directory of the end spool.
        settled_from_spool: The bookings of the ends that were read from the spool.
    """

    world: World
    ami: FakeChannels
    link: AmiLink
    spool: Path
    settled_from_spool: list[str] = field(default_factory=list)

    async def talk(
        self, call_id: CallId, *, booking: Booking | None = None, answer_is_reported: bool = True
    ) -> Booking:
        booking = booking or await self.world.book(UsagePlan.MEDIUM)
        decision = await self.world.bridge(booking, call_id)
        if answer_is_reported:
            await self.world.answered(call_id)
        self.ami.up[call_id] = UpCall(call_id, decision.seconds, talks=True)
        return booking

    async def rounds(self, count: int = ROUNDS) -> None:
        """Wait until the reconciler has requested `count` more lists and stored the results."""
        until = self.ami.lists + count
        async with asyncio.timeout(20):
            while self.ami.lists < until:  # noqa: ASYNC110  a number, and nothing that could be waited for
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

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
    link = AmiLink(host="127.0.0.1", port=ami.port, user="us", secret=ami.secret, limits=FAST)
    clock = WorldClock(world)
    keeper = LimitKeeper(world.storage, link, clock, world.policy)
    work = RunningReconciler(world, ami, link, spool)
    end_spool = EndSpool(
        spool,
        world.storage,
        clock,
        world.policy,
        lambda settlement: work.settled_from_spool.append(settlement.cdr.booking_id),
    )
    reconciler = Reconciler(world.storage, link, clock, world.policy, keeper, end_spool, interval)
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for part in (link, keeper, reconciler):
            tasks.create_task(part.run(stop))
        await until_state(link, LinkState.UP)
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
