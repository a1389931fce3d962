"""The primary of a PostgreSQL pair dies under calls, and its synchronous standby becomes the primary."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

import pytest

from engine.bookings.number_pool import import_numbers
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.policy import Allowance, UsagePlan
from engine.storage.errors import StorageError
from engine.storage.postgresql import server
from engine.storage.postgresql.storage import PostgresStorage
from tests.contract.samples import DAY, POLICY, SECOND, START
from tests.contract.world import World
from tests.postgresql_server import Pair, database_named, postgres_pair

P = ParamSpec("P")
T = TypeVar("T")
CALLERS = 8
PLENTY = Allowance(seconds=1_000_000, calls=100_000, valid_for_ms=DAY)
TRICKLE_SECONDS = 0.5
PAUSE_SECONDS = 0.02
# Not a measure of speed: on a machine that stalls, some commands reach their deadline of 2.5 s one after the other.
LONGEST_SILENCE_SECONDS = 20.0


@dataclass
class Trickle:
    """Callers who make one whole call after the other, each on a booking of its own, and what the storage answered.

    Attributes:
        routed: Calls of which the decision to bridge them was answered.
        answered: Calls of which the answer was taken in.
        ended: The seconds of the calls that were settled.
        at: When each step was answered.
    """

    world: World
    routed: set[CallId] = field(default_factory=set)
    answered: set[CallId] = field(default_factory=set)
    ended: dict[CallId, int] = field(default_factory=dict)
    at: list[float] = field(default_factory=list)
    is_over: bool = False

    async def call_again_and_again(self, booking: Booking) -> None:
        number = 0
        while not self.is_over:
            number += 1
            call_id, seconds = CallId(f"{booking.id}-{number}"), number % 7 + 1
            try:
                await self._answered(self.world.bridge(booking, call_id))
            except StorageError:
                await asyncio.sleep(PAUSE_SECONDS)  # the caller has heard 503, and calls again
                continue
            self.routed.add(call_id)
            await self._reported(self.world.answered, call_id)
            self.answered.add(call_id)
            await self._reported(self.world.ended, call_id, seconds * SECOND)
            self.ended[call_id] = seconds

    async def _answered(self, step: Awaitable[T]) -> T:
        result = await step
        self.at.append(time.monotonic())
        return result

    async def _reported(self, report: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs) -> None:
        """A report that cannot be taken in stays in the end spool, and comes again."""
        while True:
            try:
                await self._answered(report(*args, **kwargs))
            except StorageError:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return


@pytest.fixture
async def pair_and_world() -> AsyncIterator[tuple[Pair, World]]:
    with postgres_pair() as pair:
        address = database_named(pair.address, "promoted")
        server.migrate(address)
        storage = PostgresStorage(address)
        world = await World.begin(storage, address)
        world.policy = replace(POLICY, plans=dict.fromkeys(UsagePlan, PLENTY))
        yield pair, world
        await storage.close()


async def test_no_answered_step_is_lost_when_the_primary_dies_and_the_standby_is_promoted(
    pair_and_world: tuple[Pair, World],
) -> None:
    pair, world = pair_and_world
    await world.storage.run(import_numbers, [(n, f"+3225551{n:03}") for n in range(CALLERS)], START)
    bookings = [await world.book(destination=E164(f"+3247012{n:04}")) for n in range(CALLERS)]
    trickle = Trickle(world)
    async with asyncio.TaskGroup() as callers:
        for booking in bookings:
            callers.create_task(trickle.call_again_and_again(booking))
        await asyncio.sleep(TRICKLE_SECONDS)
        pair.kill_primary()
        before = len(trickle.ended)
        await asyncio.to_thread(pair.promote)
        await asyncio.sleep(TRICKLE_SECONDS)
        trickle.is_over = True
    silence = max(later - earlier for earlier, later in zip(trickle.at, trickle.at[1:], strict=False))
    assert silence < LONGEST_SILENCE_SECONDS
    assert 0 < before < len(trickle.ended)
    calls = {row["call_id"]: row for row in world.rows("SELECT call_id, answered_at FROM calls")}
    assert trickle.routed - set(calls) == set()
    assert [each for each in trickle.answered if calls[each]["answered_at"] is None] == []
    records = {row["call_id"]: row["duration"] for row in world.rows("SELECT call_id, duration FROM cdrs")}
    assert {call_id: records.get(call_id) for call_id in trickle.ended} == trickle.ended
    world.check_ledger()
