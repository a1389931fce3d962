"""Two commands at once on PostgreSQL, where the first is about to commit when the second begins.

Each race is run twice: with the locks of queries/postgresql and without them. Without them it must go wrong, so no test
here passes for want of a race.
"""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import psycopg
import pytest

from engine.accounts.accounts import create_account, sandbox_of
from engine.accounts.idempotency import KeyedRequest, once
from engine.accounts.keys import create_key
from engine.bookings import lifecycle as bookings
from engine.bookings.closing import close
from engine.bookings.lifecycle import BookingPatch, BookingRequest, Renewal
from engine.bookings.number_pool import quarantine
from engine.callbacks import redelivery
from engine.callbacks.notifications import notify_due
from engine.callbacks.outbox import line_up
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import Settlement
from engine.calls.reconciliation import LiveChannels, compare_with_asterisk
from engine.config.postgres_address import PostgresAddress
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS
from engine.domain.booking import Booking
from engine.domain.errors import InvalidInput, QuotaReached
from engine.domain.ids import AccountId, CallId
from engine.domain.notifications import EventType
from engine.domain.numbers import E164, ERASED
from engine.domain.policy import RetentionPeriods, UsagePlan
from engine.domain.retry import CallbackState
from engine.domain.routing import Bridge
from engine.domain.spellings import Spellings
from engine.domain.times import BootMs, EpochMs
from engine.privacy.erasure import erase_some
from engine.privacy.erasure_steps import STEPS, Task
from engine.privacy.retention import delete_batch
from engine.sandbox.clock import advance_clock
from engine.storage import queries
from engine.storage.erasure import Key
from engine.storage.kept_answers import KeptAnswer
from engine.storage.postgresql import worker
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.transaction import Transaction
from tests.contract.delivering import begun, disabled, posted
from tests.contract.notifying import choose
from tests.contract.samples import CALLBACK, CALLER, DAY, HIDDEN, OTHER_HIDDEN, POLICY, SECOND, end_report
from tests.contract.world import World
from tests.postgresql import empty

Command: TypeAlias = Callable[[Transaction], Any]
PATIENCE_SECONDS = 10.0
WAITING = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"


@dataclass
class Race:
    """Runs two commands at once."""

    world: World
    address: PostgresAddress
    reached: threading.Event
    go_on: threading.Event

    async def at_once(self, first: Command, second: Command) -> tuple[Any, Any]:
        """Gives the second when the first is about to commit. That goes on when the second is done, or waits for it.

        Returns:
            What each returned or raised.
        """

        def the_first(tx: Transaction) -> Any:
            return first(tx)

        self.reached.clear()
        self.go_on.clear()
        one = asyncio.ensure_future(self.world.storage.run(the_first))
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


@cache
def without_locks() -> Any:
    """Returns the statements of PostgreSQL as they would be if nobody had thought of other connections."""
    locked = queries.load("psycopg").statements
    plain = {
        name: each._replace(sql=re.sub(r"\s*FOR NO KEY UPDATE( OF \w+)?( SKIP LOCKED)?", "", each.sql))
        for name, each in locked.items()
    }
    return queries.Statements(plain, "psycopg", idle=[name for name in plain if name.startswith("lock_")])


@pytest.fixture(params=(True, False), ids=("with locks", "without"))
async def race(
    request: pytest.FixtureRequest, postgres: PostgresAddress, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Race]:
    reached, go_on = threading.Event(), threading.Event()

    def hit(name: str) -> None:
        if name == "the_first before commit":
            reached.set()
            assert go_on.wait(PATIENCE_SECONDS)

    monkeypatch.setattr(worker, "failpoints", SimpleNamespace(hit=hit))
    empty(postgres)
    storage = PostgresStorage(postgres, threads=3, command_seconds=30.0)
    if not request.param:
        for each in storage._workers:
            each._sql = without_locks()
    world = await World.begin(storage, postgres)
    world.policy = replace(POLICY, longest_call_seconds=3_600)
    yield Race(world, postgres, reached, go_on)
    await storage.close()


async def two_calls_on_one_calls_credit(race: Race) -> None:
    booking = await race.world.book(UsagePlan.SMALL)
    decisions = await race.at_once(race.route(booking, "c1"), race.route(booking, "c2"))
    assert [isinstance(each, Bridge) for each in decisions].count(True) == 1
    race.world.check_ledger()


async def two_calls_of_a_booking_end(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    race.world.policy = POLICY
    await race.world.bridge(booking, "c1")
    await race.world.bridge(booking, "c2")
    ends = await race.at_once(race.ended("c1", 3 * SECOND), race.ended("c2", 4 * SECOND))
    assert [type(each) for each in ends] == [Settlement, Settlement]
    assert (await race.world.stored(booking)).seconds.settled == 7
    race.world.check_ledger()


async def one_call_ends_as_another_comes(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    race.world.policy = POLICY
    await race.world.bridge(booking, "c1")
    await race.at_once(race.ended("c1", 3 * SECOND), race.route(booking, "c2"))
    race.world.check_ledger()


async def a_booking_is_changed_and_called(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    patch = BookingPatch(label="mine")
    await race.at_once(race.change(booking, patch), race.route(booking, "c1"))
    assert (await race.world.stored(booking)).label == "mine"
    race.world.check_ledger()


async def a_booking_is_changed_twice(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    label, destination = BookingPatch(label="mine"), BookingPatch(destination=OTHER_HIDDEN)
    await race.at_once(race.change(booking, label), race.change(booking, destination))
    stored = await race.world.stored(booking)
    assert (stored.label, stored.destination) == ("mine", OTHER_HIDDEN)


async def a_booking_is_renewed_twice(race: Race) -> None:
    booking, world = await race.world.book(UsagePlan.SMALL), race.world

    def renewed(tx: Transaction) -> Booking:
        return bookings.renew(tx, world.account, booking.id, Renewal(UsagePlan.SMALL), world.now, world.policy)

    await race.at_once(renewed, renewed)
    assert (await world.stored(booking)).calls.granted == 3
    race.world.check_ledger()


async def two_customers_book(race: Race) -> None:
    race.world.policy = replace(race.world.policy, local_numbers=False)
    other = await race.world.storage.run(create_account, "Bob", race.world.now)
    booked = await race.at_once(race.book(), race.book(other.id))
    assert [type(each) for each in booked] == [Booking, Booking]


async def a_customer_books_twice_up_to_the_quota(race: Race) -> None:
    limits = replace(DEFAULT_ACCOUNT_LIMITS, max_bookings=1)
    race.world.policy = replace(race.world.policy, account_limits=limits)
    booked = await race.at_once(race.book(), race.book())
    assert [type(each) for each in booked] == [Booking, QuotaReached]


async def an_account_is_called_on_two_bookings_at_its_limit(race: Race) -> None:
    limits = replace(DEFAULT_ACCOUNT_LIMITS, calls_at_once=1)
    race.world.policy = replace(race.world.policy, account_limits=limits)
    one, other = await race.world.book(UsagePlan.LARGE), await race.world.book(UsagePlan.LARGE)
    decisions = await race.at_once(race.route(one, "c1"), race.route(other, "c2", "+14155550199"))
    assert [isinstance(each, Bridge) for each in decisions].count(True) == 1


async def an_operator_quarantines_what_is_booked(race: Race) -> None:
    number = (await race.world.storage.run(lambda tx: tx.numbers.page("", None, 1)))[0].e164
    until = EpochMs(race.world.now + DAY)
    kept = await race.at_once(race.book(), lambda tx: quarantine(tx, number, until))
    assert kept[0].service != number or isinstance(kept[1], InvalidInput)


async def a_request_is_repeated_at_once(race: Race) -> None:
    world, carried_out = race.world, []
    keyed = KeyedRequest(world.account, "key", "fingerprint")

    def carry_out(tx: Transaction) -> KeptAnswer:
        carried_out.append(race.book()(tx))
        return KeptAnswer(201, None, "made")

    answers = await race.at_once(
        *[lambda tx: once(tx, keyed, world.now, carry_out, DEFAULT_ACCOUNT_LIMITS) for _ in range(2)]
    )
    assert answers == ((KeptAnswer(201, None, "made"), False), (KeptAnswer(201, None, "made"), True))
    assert len(carried_out) == 1


async def two_workers_line_up_callbacks(race: Race) -> None:
    world = race.world
    await posted(world, 6)

    def lined_up(tx: Transaction) -> list[str]:
        found = line_up(tx, [world.account], world.now, EpochMs(world.now + DAY), 4)
        return [callback.event_id for callback, _ in found.callbacks]

    one, other = await race.at_once(lined_up, lined_up)
    assert not set(one) & set(other)


async def two_engines_delete_old_records(race: Race) -> None:
    world = race.world
    booking = await world.book(UsagePlan.LARGE)
    for name in ("c1", "c2"):
        await world.talk(booking, CallId(name), 2 * SECOND)
    world.now += 400 * DAY
    deleted = await race.at_once(*[partial(delete_batch, now=world.now, retention=RETENTION) for _ in range(2)])
    assert sorted(each.records for each in deleted) == [0, 2]


RETENTION = RetentionPeriods(records_ms=DAY, callbacks_ms=DAY, bookings_ms=1_000 * DAY)


async def an_old_callback_is_sent_again_as_retention_deletes_it(race: Race) -> None:
    world = race.world
    await posted(world)
    [delivery] = await begun(world)
    await world.storage.run(lambda tx: tx.outbox.finish(delivery, CallbackState.FAILED.value, "503", world.now))
    world.now += 2 * DAY
    await race.at_once(
        lambda tx: redelivery.redeliver(tx, world.account, delivery.id, world.now),
        partial(delete_batch, now=world.now, retention=RETENTION),
    )
    assert [row["state"] for row in world.rows("SELECT state FROM outbox")] == ["PENDING"]


async def two_sweeps_end_a_booking(race: Race) -> None:
    world = race.world
    booking = await world.book(UsagePlan.SMALL)
    world.now = booking.end_at + world.policy.grace_ms
    swept = await race.at_once(*[lambda tx: bookings.sweep(tx, world.at, world.policy) for _ in range(2)])
    assert sorted(each.bookings_gone for each in swept) == [0, 1]


async def an_endpoint_is_enabled_as_a_callback_is_held(race: Race) -> None:
    world = race.world
    endpoint = await disabled(world, 0)
    await posted(world)

    def lined_up(tx: Transaction) -> None:
        tx.outbox.line_up_due(world.account, world.now, EpochMs(world.now + SECOND), 10)
        tx.outbox._db.flush()

    def enabled(tx: Transaction) -> None:
        redelivery.enable(tx, world.account, endpoint)
        tx.endpoints.release(world.now, 10)

    await race.at_once(lined_up, enabled)
    await world.storage.run(lambda tx: tx.endpoints.release(world.now, 10))
    assert "HELD" not in [row["state"] for row in world.rows("SELECT state FROM outbox")]


async def a_callback_is_sent_again_as_its_endpoint_is_enabled(race: Race) -> None:
    world = race.world
    endpoint = await disabled(world, 0)
    [callback] = world.rows("SELECT id FROM outbox")
    world.now += DAY

    def sent_again(tx: Transaction) -> None:
        redelivery.redeliver(tx, world.account, callback["id"], world.now)

    def enabled(tx: Transaction) -> None:
        redelivery.enable(tx, world.account, endpoint)
        tx.endpoints.release(world.now, 10)

    await race.at_once(sent_again, enabled)
    await world.storage.run(lambda tx: tx.endpoints.release(world.now, 10))
    assert "HELD" not in [row["state"] for row in world.rows("SELECT state FROM outbox")]


async def a_number_is_erased_as_its_call_ends(race: Race) -> None:
    world = race.world
    await world.bridge(await world.book(UsagePlan.LARGE), "c1")
    [calls_step] = [step for step in STEPS if step.table == "calls"]
    task = Task(Spellings(E164(CALLER)), world.now, world.policy)

    def erased(tx: Transaction) -> None:
        erase_some(tx, calls_step, Key(), task)
        tx.calls._db.flush()

    await race.at_once(erased, race.ended("c1", 3 * SECOND))
    assert world.rows("SELECT source FROM cdrs") == [{"source": ERASED}]


async def a_sandboxs_clock_is_set_twice(race: Race) -> None:
    world = race.world
    sandbox = (await world.storage.run(sandbox_of, world.account, world.now)).id

    def set_forward(tx: Transaction) -> None:
        advance_clock(tx, sandbox, SECOND, world.now)
        tx.sandboxes._db.flush()

    await race.at_once(set_forward, set_forward)
    assert await world.storage.run(lambda tx: tx.sandboxes.now(sandbox, world.now)) == world.now + 2 * SECOND


async def a_booking_is_renewed_as_a_sweep_tells_that_it_ends(race: Race) -> None:
    world = race.world
    await choose(world, EventType.BOOKING_EXPIRED)
    await world.storage.run(notify_due, world.now, world.policy)
    booking = await world.book(UsagePlan.SMALL)
    world.now = booking.end_at

    def renewed(tx: Transaction) -> None:
        bookings.renew(tx, world.account, booking.id, Renewal(UsagePlan.SMALL), world.now, world.policy)
        tx.bookings._db.flush()

    await race.at_once(renewed, lambda tx: notify_due(tx, world.now, world.policy))
    assert world.rows("SELECT kind FROM notices") == []


async def a_key_is_made_as_its_account_is_closed(race: Race) -> None:
    world = race.world

    def made(tx: Transaction) -> None:
        create_key(tx, world.account, "pepper", world.now)
        tx.accounts._db.flush()

    await race.at_once(made, lambda tx: close(tx, world.account, world.now))
    assert world.rows("SELECT id FROM api_keys WHERE revoked_at IS NULL") == []


RACES: tuple[Callable[[Race], Awaitable[None]], ...] = (
    two_calls_on_one_calls_credit,
    two_calls_of_a_booking_end,
    one_call_ends_as_another_comes,
    a_booking_is_changed_and_called,
    a_booking_is_changed_twice,
    a_booking_is_renewed_twice,
    two_customers_book,
    a_customer_books_twice_up_to_the_quota,
    an_account_is_called_on_two_bookings_at_its_limit,
    an_operator_quarantines_what_is_booked,
    a_request_is_repeated_at_once,
    two_workers_line_up_callbacks,
    two_engines_delete_old_records,
    an_old_callback_is_sent_again_as_retention_deletes_it,
    two_sweeps_end_a_booking,
    an_endpoint_is_enabled_as_a_callback_is_held,
    a_callback_is_sent_again_as_its_endpoint_is_enabled,
    a_number_is_erased_as_its_call_ends,
    a_sandboxs_clock_is_set_twice,
    a_booking_is_renewed_as_a_sweep_tells_that_it_ends,
    a_key_is_made_as_its_account_is_closed,
)


@pytest.mark.parametrize("run", RACES, ids=lambda run: run.__name__)
async def test_a_race_goes_wrong_without_locks_only(
    race: Race, run: Callable[[Race], Awaitable[None]], request: pytest.FixtureRequest
) -> None:
    if "with locks" in request.node.name:
        await run(race)
        return
    with pytest.raises((AssertionError, psycopg.errors.CheckViolation)):
        await run(race)


async def test_a_comparison_with_asterisk_waits_for_no_call(postgres: PostgresAddress) -> None:
    """It holds the rows of all calls: if it waited for another's, that one might wait for it, a second long."""
    empty(postgres)
    storage = PostgresStorage(postgres, threads=2)
    world, held, go_on = await World.begin(storage, postgres), threading.Event(), threading.Event()
    await world.bridge(await world.book(UsagePlan.LARGE), "c1")
    await world.answered(CallId("c1"))

    def change(tx: Transaction) -> None:
        call = tx.calls.by_id(CallId("c1"))
        assert call is not None
        tx.calls.update(call)
        tx.calls._db.flush()
        held.set()
        assert go_on.wait(PATIENCE_SECONDS)

    changing = storage.run(change)
    assert await asyncio.to_thread(held.wait, PATIENCE_SECONDS)
    async with asyncio.timeout(2):
        compared = await storage.run(compare_with_asterisk, LiveChannels(set(), {}), BootMs(world.at.boot_ms + SECOND))
    go_on.set()
    await changing
    await storage.close()
    assert compared.missing == {"c1"}
