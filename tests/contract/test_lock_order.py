"""All commands lock in one order on PostgreSQL: a session's service, the booking, the account.

Two that lock in different orders can wait for each other: PostgreSQL ends one of them after a second, and it
begins again.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from engine.accounts.idempotency import KeyedRequest, once
from engine.bookings import lifecycle as bookings
from engine.bookings.lifecycle import BookingPatch
from engine.bookings.shared_numbers import share
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import route_call
from engine.config.postgres_address import PostgresAddress
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, CallId
from engine.domain.numbers import E164
from engine.domain.routing import Bridge
from engine.domain.simulation import Outcome, SimulatedCall
from engine.domain.twilio_proxy import ProxySession
from engine.sandbox.simulation import simulate_call
from engine.storage.kept_answers import KeptAnswer
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.sandboxes import Sandbox, Sandboxes
from engine.storage.transaction import Transaction
from engine.storage.twilio_proxy import TwilioProxy
from engine.twilio_proxy.sessions import SessionChange, change_session, locked_session
from tests.contract.pairing import pair
from tests.contract.racing import PATIENCE_SECONDS, WAITING, ApartStorage, Command
from tests.contract.samples import CALLER, HIDDEN, OTHER_HIDDEN
from tests.contract.test_postgresql_races import joining, session_of
from tests.contract.trial import Trial
from tests.contract.world import POOL, World
from tests.postgresql import empty


class Meeting:
    """Two commands, the second of which begins when the first has locked something."""

    def __init__(self, world: World, place: tuple[str, str], booking: Booking) -> None:
        self.world, self.place, self.booking = world, place, booking
        self.held, self.go_on, self.began = threading.Event(), threading.Event(), list[str]()
        limits = replace(DEFAULT_ACCOUNT_LIMITS, calls_at_once=9)  # so near that a call locks the account
        self.policy = replace(world.policy, account_limits=limits)

    def pause(self) -> None:
        self.held.set()
        assert self.go_on.wait(PATIENCE_SECONDS)

    async def both(
        self,
        other: ApartStorage,
        first: Command,
        storage: PostgresStorage,
        second: Command,
        outside: psycopg.Connection[Any],
    ) -> tuple[Any, Any]:
        """Runs both. The first goes on when the second is done, or waits for it. Returns what each returned."""
        one = asyncio.ensure_future(other.run(first))
        assert await asyncio.to_thread(self.held.wait, PATIENCE_SECONDS)
        two = asyncio.ensure_future(storage.run(second))
        while not two.done() and outside.execute(WAITING).fetchone() == (0,):
            await asyncio.wait([two], timeout=0.002)
        self.go_on.set()
        return await one, await two

    def call(self, tx: Transaction) -> Any:
        """Locks the booking and then the account."""
        self.began.append("call")
        incoming = IncomingCall(CallId("c1"), E164(POOL[0]), HIDDEN, asserted=HIDDEN)
        return route_call(tx, incoming, self.world.at, self.policy)

    def change(self, tx: Transaction) -> Booking:
        """Locks the booking and then, in a sandbox, the account."""
        self.began.append("change")
        label = BookingPatch(label="mine")
        return bookings.change(tx, self.booking.account_id, self.booking.id, label, self.world.now, self.policy)

    def simulated_call(self, tx: Transaction) -> object:
        self.began.append("command")
        read = tx.sandboxes.of

        def of(account_id: AccountId) -> Sandbox | None:
            found = read(account_id)
            self.pause()
            return found

        with patch.object(Sandboxes, "of", staticmethod(of)):
            pins = () if self.booking.partner_pin is None else ("00000000", self.booking.partner_pin)
            call = SimulatedCall(self.booking.service, CALLER, Outcome.BUSY, 0, pins=pins)
            return simulate_call(tx, self.booking.account_id, call, self.world.at, self.policy)

    def change_session(self, tx: Transaction) -> object:
        self.began.append("command")
        read = tx.twilio_proxy.session

        def session(service_id: str, session_id: str) -> ProxySession | None:
            found = read(service_id, session_id)
            self.pause()
            return found

        with patch.object(TwilioProxy, "session", staticmethod(session)):
            account, now = self.world.account, self.world.now
            return change_session(tx, account, *self.place, SessionChange(ttl=900), now, self.policy)

    def keyed_request(self, tx: Transaction) -> object:
        self.began.append("command")

        def carry_out(tx: Transaction) -> KeptAnswer:
            self.pause()
            label = BookingPatch(label="mine")
            bookings.change(tx, self.booking.account_id, self.booking.id, label, self.world.now, self.policy)
            return KeptAnswer(200, None, "{}")

        keyed = KeyedRequest(self.world.account, "k1", "a fingerprint")
        return once(tx, keyed, self.world.now, carry_out, self.policy.account_limits)


@pytest.mark.parametrize("command", [Meeting.change_session, Meeting.keyed_request])
async def test_a_command_and_a_call_on_its_booking_do_not_wait_for_each_other(
    postgres: PostgresAddress, outside: psycopg.Connection[Any], command: Callable[[Meeting, Transaction], object]
) -> None:
    """PostgreSQL would end one of them after a second, and it would begin again."""
    empty(postgres)
    storage, other = PostgresStorage(postgres, 1), ApartStorage(postgres)
    world = await World.begin(storage, postgres)
    await storage.run(share, POOL[0])
    place = await session_of(world)
    for number in (HIDDEN, OTHER_HIDDEN):
        await storage.run(joining(world, place, number))
    found = await storage.run(locked_session, world.account, *place, world.now, world.policy)
    assert found.booking is not None
    meeting = Meeting(world, place, found.booking)
    _, routed = await meeting.both(other, lambda tx: command(meeting, tx), storage, meeting.call, outside)
    assert isinstance(routed, Bridge)
    assert meeting.began == ["command", "call"]
    await other.close()
    await storage.close()


@pytest.mark.parametrize("has_pins", [False, True])
async def test_a_simulated_call_and_a_change_of_its_booking_do_not_wait_for_each_other(
    postgres: PostgresAddress, outside: psycopg.Connection[Any], has_pins: bool
) -> None:
    empty(postgres)
    storage, other = PostgresStorage(postgres, 1), ApartStorage(postgres)
    world = await World.begin(storage, postgres)
    world.policy = replace(world.policy, speaks=True)
    sandbox = await Trial.begin(world)
    booking = await (pair(world, account=AccountId(sandbox.account), pins=True) if has_pins else sandbox.book())
    meeting = Meeting(world, ("", ""), booking)
    _, changed = await meeting.both(other, meeting.simulated_call, storage, meeting.change, outside)
    assert changed.label == "mine"
    assert meeting.began == ["command", "change"]
    await other.close()
    await storage.close()
