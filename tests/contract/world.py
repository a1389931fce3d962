"""One operator's set-up: storage, policy, an account, some numbers, and a clock that a test moves."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from engine.accounts.accounts import create_account
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingRequest, Renewal, SweepResult
from engine.bookings.number_pool import import_numbers
from engine.calls import lease_rebalancing
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import AnswerNoted, Settlement
from engine.calls.reports import AnswerReport, EndReport
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.numbers import E164
from engine.domain.policy import Policy, UsagePlan
from engine.domain.routing import Bridge, MakeRoom, RouteDecision
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.sqlite import SqliteStorage
from tests.contract.ledger import broken_rules
from tests.contract.samples import CALLBACK, CALLER, HIDDEN, POLICY, START

POOL = [f"+3225550{n:03}" for n in range(4)]


@contextmanager
def outsider(database: Path) -> Iterator[sqlite3.Connection]:
    """Opens a second connection, which sees only committed data. Rows are dicts."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    try:
        yield connection
    finally:
        connection.close()


@dataclass
class World:
    storage: SqliteStorage
    database: Path
    account: AccountId
    policy: Policy = POLICY
    _now: int = START
    clock_step: int = 0
    _call_ids: Iterator[int] = field(default_factory=count)

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
    async def begin(cls, storage: SqliteStorage, database: Path) -> Self:
        account = await storage.run(create_account, "Ann", START)
        await storage.run(import_numbers, list(enumerate(POOL, 1)), START)
        return cls(storage, database, account.id)

    async def book(
        self, plan: UsagePlan = UsagePlan.SMALL, destination: E164 = HIDDEN, account: str | None = None
    ) -> Booking:
        request = BookingRequest(AccountId(account) if account else self.account, destination, plan, CALLBACK)
        return await self.storage.run(bookings.book, request, self.now, self.policy)

    async def renew(self, booking: Booking, plan: UsagePlan = UsagePlan.SMALL, **changes: Any) -> Booking:
        renewal = Renewal(plan, **changes)
        return await self.storage.run(bookings.renew, self.account, booking.id, renewal, self.now, self.policy)

    async def cancel(self, booking: Booking) -> list[CallId]:
        return await self.storage.run(bookings.cancel, self.account, booking.id, self.now, self.policy)

    async def sweep(self) -> SweepResult:
        return await self.storage.run(bookings.sweep, self.at, self.policy)

    async def route(self, service: E164, call_id: str | None = None) -> RouteDecision:
        name = call_id or f"auto-{next(self._call_ids)}"
        incoming = IncomingCall(CallId(name), service, CALLER)
        decision = await self.storage.run(calls.route_call, incoming, self.at, self.policy)
        if isinstance(decision, MakeRoom):
            await self.share(decision.booking_id, keep_free=decision.seconds)
            decision = await self.storage.run(calls.route_call, incoming, self.at, self.policy, room_was_made=True)
        assert not isinstance(decision, MakeRoom)
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

    async def answered(self, call_id: CallId) -> AnswerNoted:
        """Reports an answer, with the limit that the call has leased."""
        call = await self.storage.run(lambda tx: tx.calls.by_id(call_id))
        leased, booking_id = (call.seconds_leased, call.booking_id) if call else (1, BookingId(""))
        report = AnswerReport(call_id, BookingId(booking_id), f"PJSIP/trunk-{call_id}", leased)
        return await self.storage.run(calls.note_answer, report, self.at)

    async def ended(self, call_id: CallId, answered_ms: int, dial_status: str = "ANSWER") -> Settlement | None:
        report = EndReport(call_id, BookingId(""), answered_ms, dial_status)
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
            return connection.execute(sql, parameters).fetchall()

    def check_ledger(self) -> None:
        with outsider(self.database) as connection:
            assert broken_rules(connection) == {}
