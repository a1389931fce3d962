"""One operator's set-up: storage, policy, an account, some numbers, and a clock that a test moves."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import psycopg

from engine.accounts.accounts import create_account
from engine.bookings import lifecycle as bookings
from engine.bookings.endings import SweepResult, sweep
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.bookings.number_pool import import_numbers
from engine.calls import lease_rebalancing
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import Settlement
from engine.config.postgres_address import PostgresAddress
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import Policy, UsagePlan
from engine.domain.routing import Bridge, EndRinging, MakeRoom, Preparation, RouteDecision
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.database import Database
from engine.storage.interface import EngineStorage
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, POLICY, START, answer_report, end_report
from tests.postgresql import Outsider, refusing

INTEGRITY_ERRORS = (sqlite3.IntegrityError, psycopg.IntegrityError)
POOL = [f"+3225550{n:03}" for n in range(4)]


@contextmanager
def outsider(database: Database) -> Iterator[Any]:
    """Opens a second connection, which sees only committed data. Rows are dicts."""
    if isinstance(database, PostgresAddress):
        with closing(Outsider(database)) as server:
            yield server
        return
    connection = sqlite3.connect(database, isolation_level=None)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def refused(database: Database, event: str, table: str) -> Iterator[None]:
    """Makes a database refuse an event of a table, with the word `refused`."""
    if isinstance(database, PostgresAddress):
        with refusing(database, event, table):
            yield
        return
    with outsider(database) as connection:
        connection.execute(f"CREATE TRIGGER no BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END")
        yield
        connection.execute("DROP TRIGGER no")


@dataclass
class World:
    storage: EngineStorage
    database: Any  # a path or a PostgresAddress; tests of SQLite alone use it as a path
    account: AccountId
    policy: Policy = POLICY
    _now: int = START
    clock_step: int = 0
    _call_ids: Iterator[int] = field(default_factory=count)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def now(self) -> EpochMs:
        return EpochMs(self._now)

    @now.setter
    def now(self, instant: int) -> None:
        self._now = instant

    @property
    def at(self) -> Timestamp:
        """Both clocks advance together here; tests of clock steps change `clock_step`."""
        return Timestamp(self.now, BootMs(self.now - START + self.clock_step))

    @classmethod
    async def begin(cls, storage: EngineStorage, database: Database) -> Self:
        account = await storage.run(create_account, "Ann", START)
        await storage.run(import_numbers, list(enumerate(POOL, 1)), START)
        return cls(storage, database, account.id)

    async def book(
        self,
        plan: UsagePlan = UsagePlan.SMALL,
        destination: E164 | None = HIDDEN,
        account: str | None = None,
        **more: Any,
    ) -> Booking:
        request = BookingRequest(AccountId(account) if account else self.account, destination, plan, CALLBACK, **more)
        return await self.storage.run(bookings.book, request, self.now, self.policy)

    async def renew(self, booking: Booking, plan: UsagePlan = UsagePlan.SMALL, **changes: Any) -> Booking:
        renewal = Renewal(plan, **changes)
        return await self.storage.run(bookings.renew, self.account, booking.id, renewal, self.now, self.policy)

    async def cancel(self, booking: Booking) -> list[CallId]:
        return await self.storage.run(bookings.cancel, self.account, booking.id, self.now, self.policy)

    async def sweep(self) -> SweepResult:
        return await self.storage.run(sweep, self.at, self.policy)

    async def route(self, service: E164, call_id: str | None = None, source: str = CALLER) -> RouteDecision:
        name = call_id or f"auto-{next(self._call_ids)}"
        incoming = IncomingCall(CallId(name), service, source, sip_call_id=f"{name}@host")
        decision = await self.storage.run(calls.route_call, incoming, self.at, self.policy)
        for is_last in (False, False, False, True):
            if isinstance(decision, EndRinging):
                await self.ended(decision.call_id, 0, "GAVE_WAY")
                decision = await self.storage.run(
                    calls.route_call, incoming, self.at, self.policy, room_was_made=is_last
                )
            elif isinstance(decision, MakeRoom):
                decision = await self._route_with_room(incoming, decision, is_last=is_last)
        assert not isinstance(decision, Preparation)
        return decision

    async def _route_with_room(
        self, incoming: IncomingCall, room: MakeRoom, *, is_last: bool
    ) -> RouteDecision | Preparation:
        """Does the same as agi_scripts/route.py, and as the limit keeper's lock of a booking."""
        async with self._one_at_a_time:
            await self.share(room.booking_id, keep_free=room.seconds)
            decision = await self.storage.run(calls.route_call, incoming, self.at, self.policy, room_was_made=is_last)
        async with self._one_at_a_time:
            await self.share(room.booking_id)
        return decision

    async def share(self, booking_id: BookingId, *, keep_free: int = 0) -> None:
        """Shares leases as the limit keeper does, with an Asterisk that always obeys."""
        shrinks = await self.storage.run(lease_rebalancing.plan_shrinks, booking_id, self.at, self.policy, keep_free)
        shrunk = {limit.call_id: limit.leased for limit in shrinks}
        await self.storage.run(
            lease_rebalancing.apply_shares, booking_id, shrunk, self.at, self.policy, keep_free=keep_free
        )

    async def bridge(self, booking: Booking, call_id: str) -> Bridge:
        """Routes a call that must be bridged."""
        decision = await self.route(booking.service, call_id)
        assert isinstance(decision, Bridge)
        return decision

    async def answered(self, call_id: CallId) -> int:
        """Reports an answer whose limit is the lease; returns the milliseconds that the call may talk from now.

        Returns 0 if the call must end.
        """
        call = await self.storage.run(lambda tx: tx.calls.by_id(call_id))
        booking_id = call.booking_id if call else "bkg_any"
        report = answer_report(call_id, call.seconds_leased if call else 0, booking_id=booking_id)
        noted = await self.storage.run(calls.note_answer, report, self.at)
        return 0 if noted.must_end else await self.left_ms(call_id)

    async def left_ms(self, call_id: CallId) -> int:
        """Returns the milliseconds that a talking call has left; 0 if it has none."""
        call = await self.storage.run(lambda tx: tx.calls.by_id(call_id))
        assert call is not None
        limits = await self.storage.run(lease_rebalancing.limits_on, call.booking_id, self.at)
        return next((limit.left_ms for limit in limits if limit.call_id == call_id), 0)

    async def ended(self, call_id: CallId, answered_ms: int, dial_status: str = "ANSWER") -> Settlement | None:
        report = end_report(call_id, answered_ms, dial_status)
        return await self.storage.run(calls.call_ended, report, self.at, self.policy)

    async def talk(self, booking: Booking, call_id: CallId, answered_ms: int) -> Settlement | None:
        """Makes a whole call, from the carrier's INVITE to its BYE."""
        await self.bridge(booking, call_id)
        await self.answered(call_id)
        return await self.ended(call_id, answered_ms)

    async def stored(self, booking: Booking) -> Booking:
        found = await self.storage.run(lambda tx: tx.bookings.by_id(booking.id))
        assert found is not None
        return found

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        with outsider(self.database) as connection:
            found: list[dict[str, Any]] = connection.execute(sql, parameters).fetchall()
        return found

    def check_ledger(self) -> None:
        with outsider(self.database) as connection:
            assert broken_rules(connection) == {}
