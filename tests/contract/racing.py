"""Two commands at once on PostgreSQL, where the first is about to commit when the second begins.

Each race is run twice: with the locks of queries/postgresql and without them. Without them it must go wrong, so no test
passes because its two commands did not meet.
"""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, TypeVar

import psycopg
import pytest

from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch, BookingRequest
from engine.bookings.swapping import swap_number
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.config.postgres_address import PostgresAddress
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.number_choice import NumberRequest
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.storage import queries
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, end_report
from tests.contract.world import World

T = TypeVar("T")
Command: TypeAlias = Callable[[Transaction], Any]
PATIENCE_SECONDS = 10.0
WAITING = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"


class ApartStorage:
    """The storage of another engine, in an event loop of its own: its commands may block."""

    def __init__(self, address: PostgresAddress, connections: int = 1, command_seconds: float = 30.0) -> None:
        self.storage = PostgresStorage(address, connections, command_seconds)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, command: Callable[..., T], *args: Any) -> T:
        """Runs a command."""
        return await self._there(lambda: self.storage.run(command, *args))

    async def close(self) -> None:
        """Ends everything."""
        await self._there(self.storage.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _there(self, begin: Callable[[], Awaitable[T]]) -> T:
        async def wait() -> T:
            return await begin()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wait(), self._loop))


@dataclass
class Race:
    """Runs two commands at once.

    Attributes:
        other: The storage of another engine.
        has_locks: Whether the commands take the locks of queries/postgresql.
    """

    world: World
    other: ApartStorage
    address: PostgresAddress
    reached: threading.Event
    go_on: threading.Event
    has_locks: bool

    async def at_once(self, first: Command, second: Command) -> tuple[Any, Any]:
        """Gives the second when the first is about to commit. That goes on when the second is done, or waits for it.

        Returns:
            What each returned or raised.
        """

        def the_first(tx: Transaction) -> Any:
            return first(tx)

        self.reached.clear()
        self.go_on.clear()
        one = asyncio.ensure_future(self.other.run(the_first))
        assert await asyncio.to_thread(self.reached.wait, PATIENCE_SECONDS)
        other = asyncio.ensure_future(self.world.storage.run(second))
        with closing(psycopg.connect(self.address, autocommit=True)) as server:
            while not other.done() and server.execute(WAITING).fetchone() == (0,):
                await asyncio.wait([other], timeout=0.002)
        self.go_on.set()
        returned = await asyncio.gather(one, other, return_exceptions=True)
        for each in returned:
            if isinstance(each, psycopg.Error):
                raise each
        return returned[0], returned[1]

    def route(self, booking: Booking, call_id: str, source: str = CALLER) -> Command:
        incoming = IncomingCall(CallId(call_id), booking.service, source)
        at, policy = self.world.at, self.world.policy
        return lambda tx: calls.route_call(tx, incoming, at, policy, room_was_made=True)

    def ended(self, call_id: str, answered_ms: int) -> Command:
        report, at = end_report(call_id, answered_ms), self.world.at
        return lambda tx: calls.call_ended(tx, report, at, self.world.policy)

    def book(self, account: AccountId | None = None) -> Command:
        request = BookingRequest(account or self.world.account, HIDDEN, UsagePlan.SMALL, CALLBACK)
        return lambda tx: bookings.book(tx, request, self.world.now, self.world.policy)

    def change(self, booking: Booking, patch: BookingPatch) -> Command:
        return lambda tx: bookings.change(tx, self.world.account, booking.id, patch, self.world.now, self.world.policy)

    def swap(self, booking: Booking, service: str) -> Command:
        wanted, world = NumberRequest(E164(service)), self.world
        world.now += 1  # two swaps within a millisecond could not both be kept
        now = world.now
        return lambda tx: swap_number(tx, world.account, booking.id, now, world.policy, wanted)

    async def goes_wrong_without_locks_only(self, run: Callable[["Race"], Awaitable[None]]) -> None:
        """Checks that a race passes with the locks, and fails without them."""
        if self.has_locks:
            await run(self)
            return
        with pytest.raises((AssertionError, psycopg.IntegrityError)):
            await run(self)


@cache
def without_locks() -> Any:
    """Returns the statements of PostgreSQL without any lock."""
    locked = queries.load("psycopg").statements
    plain = {
        name: each._replace(sql=re.sub(r"\s*FOR NO KEY UPDATE( OF \w+(, \w+)*)?( SKIP LOCKED)?", "", each.sql))
        for name, each in locked.items()
    }
    return queries.Statements(plain, "psycopg", idle=[name for name in plain if name.startswith("lock_")])
