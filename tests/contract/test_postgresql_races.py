"""Races of calls, bookings and numbers on PostgreSQL, see racing.py."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from engine.accounts.accounts import create_account
from engine.bookings import lifecycle as bookings
from engine.bookings import shared_numbers
from engine.bookings.lifecycle import BookingPatch, Renewal
from engine.bookings.number_pool import quarantine
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import Settlement, route_call
from engine.calls.reconciliation import LiveChannels, compare_with_asterisk
from engine.config.postgres_address import PostgresAddress
from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS
from engine.domain.booking import Booking, CallerId
from engine.domain.errors import InvalidInput, NotFound, QuotaReached
from engine.domain.ids import CallId
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.pairs import PIN_TRIES, PIN_TRY_MS, Participant
from engine.domain.policy import UsagePlan
from engine.domain.rejections import UNKNOWN_NUMBER, Reject
from engine.domain.routing import Bridge
from engine.domain.times import BootMs, EpochMs
from engine.storage.call_path import CallPath, FormerCaller
from engine.storage.postgresql.storage import PostgresStorage
from engine.storage.transaction import Transaction
from engine.twilio_proxy.participants import Joining, join
from engine.twilio_proxy.services import ServiceChange, create_service
from engine.twilio_proxy.sessions import SessionRequest, create_session
from engine.twilio_proxy.upkeep import delete_unjoined
from tests.contract.racing import PATIENCE_SECONDS, ApartStorage, Command, Race
from tests.contract.samples import CALLER, DAY, HIDDEN, OTHER_HIDDEN, POLICY, SECOND
from tests.contract.world import POOL, World
from tests.postgresql import empty


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


async def a_call_comes_as_its_number_is_swapped(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    decision, _ = await race.at_once(race.route(booking, "c1"), race.swap(booking, POOL[2]))
    assert isinstance(decision, Bridge)
    await race.world.ended(CallId("c1"), SECOND)
    assert race.world.rows("SELECT service FROM cdrs") == [{"service": booking.service}]


async def a_number_is_swapped_as_a_call_comes(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    _, decision = await race.at_once(race.swap(booking, POOL[2]), race.route(booking, "c1"))
    assert decision == UNKNOWN_NUMBER


async def a_number_is_swapped_twice(race: Race) -> None:
    booking = await race.world.book(UsagePlan.LARGE)
    await race.at_once(race.swap(booking, POOL[2]), race.swap(booking, POOL[3]))
    booked = race.world.rows("SELECT e164 FROM numbers WHERE state = 'BOOKED'")
    assert booked == [{"e164": (await race.world.stored(booking)).service}]


async def two_numbers_of_an_account_are_swapped_up_to_the_quota(race: Race) -> None:
    one, other = await race.world.book(UsagePlan.LARGE), await race.world.book(UsagePlan.LARGE)
    limits = replace(DEFAULT_ACCOUNT_LIMITS, max_bookings=3)
    race.world.policy = replace(race.world.policy, account_limits=limits)
    swapped = await race.at_once(race.swap(one, POOL[2]), race.swap(other, POOL[3]))
    assert [type(each) for each in swapped] == [Booking, QuotaReached]


async def an_operator_quarantines_what_is_booked(race: Race) -> None:
    number = (await race.world.storage.run(lambda tx: tx.numbers.page("", None, 1)))[0].e164
    until = EpochMs(race.world.now + DAY)
    kept = await race.at_once(race.book(), lambda tx: quarantine(tx, number, until))
    assert kept[0].service != number or isinstance(kept[1], InvalidInput)


async def session_of(world: World) -> tuple[str, str]:
    """Returns the ids of a new service and of a session in it."""
    service = await world.storage.run(create_service, world.account, "shop", ServiceChange(), world.now)
    session = await world.storage.run(
        create_session, world.account, service.id, SessionRequest(), world.now, world.policy
    )
    return service.id, session.id


def joining(world: World, place: tuple[str, str], number: E164 = OTHER_HIDDEN) -> Command:
    return lambda tx: join(tx, world.account, *place, Joining(number), world.now, world.policy)


def much_later(tx: Transaction) -> None:
    delete_unjoined(tx, EpochMs(4_000_000_000_000), POLICY)  # ids have the machine's time


async def somebody_joins_a_session_as_a_sweep_deletes_it(race: Race) -> None:
    place = await session_of(race.world)
    joined, swept = await race.at_once(joining(race.world, place), much_later)
    assert (joined.number, swept) == (OTHER_HIDDEN, None)
    assert race.world.rows("SELECT session_id FROM proxy_participants") == [{"session_id": place[1]}]


async def a_sweep_deletes_a_session_as_somebody_joins_it(race: Race) -> None:
    place = await session_of(race.world)
    _, refused = await race.at_once(much_later, joining(race.world, place))
    assert isinstance(refused, NotFound)


async def with_pins(race: Race) -> Booking:
    race.world.policy = replace(race.world.policy, speaks=True)
    await race.world.storage.run(shared_numbers.share, POOL[0])
    return await race.world.book(
        UsagePlan.LARGE,
        None,
        participants=(Participant(HIDDEN), Participant(OTHER_HIDDEN)),
        caller_id=CallerId.SERVICE,
        pins=True,
    )


def keying_in(race: Race, pin: str, call_id: str) -> Command:
    incoming = IncomingCall(CallId(call_id), E164(POOL[0]), ANONYMOUS, can_enter_pin=True, pin=pin)
    at, policy = race.world.at, race.world.policy
    return lambda tx: route_call(tx, incoming, at, policy, room_was_made=True)


async def a_pair_is_cancelled_as_its_pin_is_keyed_in(race: Race) -> None:
    pair, world = await with_pins(race), race.world
    assert pair.destination_pin is not None
    _, decision = await race.at_once(
        lambda tx: bookings.cancel(tx, world.account, pair.id, world.now, world.policy),
        keying_in(race, pair.destination_pin, "c1"),
    )
    assert not isinstance(decision, Bridge)
    world.check_ledger()


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
    a_call_comes_as_its_number_is_swapped,
    a_number_is_swapped_as_a_call_comes,
    a_number_is_swapped_twice,
    two_numbers_of_an_account_are_swapped_up_to_the_quota,
    an_operator_quarantines_what_is_booked,
    somebody_joins_a_session_as_a_sweep_deletes_it,
    a_sweep_deletes_a_session_as_somebody_joins_it,
    a_pair_is_cancelled_as_its_pin_is_keyed_in,
)


@pytest.mark.parametrize("run", RACES, ids=lambda run: run.__name__)
async def test_a_race_goes_wrong_without_locks_only(race: Race, run: Callable[[Race], Awaitable[None]]) -> None:
    await race.goes_wrong_without_locks_only(run)


async def test_two_engines_count_wrong_pins_together(race: Race) -> None:
    """The count needs no lock: it is one statement."""
    await with_pins(race)
    for number in range(PIN_TRIES - 1):
        await race.world.storage.run(keying_in(race, "00000000", f"c{number}"))
    answers = await race.at_once(keying_in(race, "00000000", "c30"), keying_in(race, "00000000", "c31"))
    assert all(isinstance(each, Reject) for each in answers), "the last one is not asked again"
    [tries] = race.world.rows("SELECT clears_at FROM pin_tries")
    assert tries["clears_at"] == race.world.now + PIN_TRIES * PIN_TRY_MS


async def test_a_comparison_with_asterisk_waits_for_no_call(postgres: PostgresAddress) -> None:
    """It holds the rows of all calls: if it waited for another's, that one might wait for it, a second long."""
    empty(postgres)
    storage, other = PostgresStorage(postgres, connections=1), ApartStorage(postgres)
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

    changing = asyncio.ensure_future(other.run(change))
    assert await asyncio.to_thread(held.wait, PATIENCE_SECONDS)
    async with asyncio.timeout(5):
        compared = await storage.run(compare_with_asterisk, LiveChannels(set(), {}), BootMs(world.at.boot_ms + SECOND))
    go_on.set()
    await changing
    await other.close()
    await storage.close()
    assert compared.missing == {"c1"}


async def test_what_is_committed_between_a_lock_and_its_read_is_locked_too(
    postgres: PostgresAddress, outside: psycopg.Connection[Any]
) -> None:
    empty(postgres)
    storage, other = PostgresStorage(postgres, connections=1), ApartStorage(postgres)
    loop = asyncio.get_running_loop()
    world, booked, number = await World.begin(storage, postgres), [], E164(POOL[0])

    async def book() -> None:
        booked.append(await world.book(UsagePlan.LARGE))

    async def call() -> None:
        await world.bridge(booked[0], "c1")

    def command(
        tx: Transaction,
        statement: str,
        meanwhile: Callable[[], Coroutine[Any, Any, None]],
        read: Callable[[CallPath], object],
    ) -> tuple[bool, list[Any]]:
        commits = lambda: asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(PATIENCE_SECONDS)  # noqa: E731
        tx.call_path._sql = Late(tx.call_path._sql, statement, commits)
        found = read(tx.call_path)
        return found is not None, outside.execute("SELECT id FROM bookings FOR UPDATE SKIP LOCKED").fetchall()

    nobody = FormerCaller("", world.now)
    ask = lambda path: path.asked(number, CALLER, CallId("c1"), world.now, former=nobody)  # noqa: E731
    asked = await other.run(command, "asked", book, ask)
    called = await other.run(command, "called", call, lambda path: path.called(CallId("c1")))
    assert asked == called == (True, [])
    await other.close()
    await storage.close()


class Late:
    """The statements of a transaction, where something else is committed just before one of them runs."""

    def __init__(self, statements: Any, name: str, meanwhile: Callable[[], object]) -> None:
        self._statements, self._name, self._meanwhile = statements, name, [meanwhile]

    def __getattr__(self, name: str) -> Any:
        statement = getattr(self._statements, name)
        if name != self._name or not self._meanwhile:
            return statement

        def late(connection: Any, **parameters: Any) -> Any:
            connection.flush()  # the lock before it
            self._meanwhile.pop()()
            return statement(connection, **parameters)

        return late
