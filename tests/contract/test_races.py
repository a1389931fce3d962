"""Simultaneous operations in every order, by two engines on one real database. `-s` prints the figures.

RACES=20000 makes a longer run.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engine.bookings import lifecycle as bookings
from engine.bookings.endings import sweep
from engine.bookings.lifecycle import BookingRequest, Renewal
from engine.calls import lifecycle as calls
from engine.calls.facts import IncomingCall
from engine.calls.lifecycle import Settlement
from engine.calls.reconciliation import settle_overdue, settle_vanished
from engine.domain.booking import Booking
from engine.domain.errors import NoNumberFree
from engine.domain.ids import CallId
from engine.domain.metering import Credit
from engine.domain.numbers import E164
from engine.domain.policy import UsagePlan
from engine.domain.routing import Bridge, MakeRoom
from engine.domain.times import EpochMs
from engine.storage import sqlite
from engine.storage.database import open_storage
from engine.storage.errors import StorageUnavailable
from engine.storage.sqlite import SqliteStorage, connect
from engine.storage.transaction import Transaction
from tests.contract.samples import CALLBACK, CALLER, DAY, HIDDEN, OTHER_HIDDEN, SECOND, answer_report, end_report
from tests.contract.world import World, outsider

RACES = int(os.environ.get("RACES", "100"))
TOGETHER = 20
AT_A_TIME = 200
pytestmark = pytest.mark.timeout(60 + RACES)

Work = Callable[[], Awaitable[object]]
# What happened to a number or to a call to it, and whose booking it was ("" for none).
Log = list[tuple[str, str]]


@pytest.fixture
async def pair(world: World, database: Path) -> AsyncIterator[tuple[World, World]]:
    """Two engines on one database."""
    world.policy = replace(
        world.policy, longest_call_seconds=100, quarantine_ms=0, quarantine_silence_ms=0, horizon_ms=10_000_000 * DAY
    )
    peer = open_storage(database)
    yield world, replace(world, storage=peer)
    await peer.close()


def say(number: str, text: str) -> None:
    print(f"\n{number}: {text}")  # noqa: T201  the figure


async def all_at_once(work: list[Work], chance: random.Random) -> list[object]:
    """Limits concurrency, so that neither engine locks the other out of the database for too long."""
    chance.shuffle(work)
    outcomes = []
    for first in range(0, len(work), AT_A_TIME):
        outcomes += await asyncio.gather(*(begin() for begin in work[first : first + AT_A_TIME]))
    return outcomes


async def test_an_end_reported_in_four_ways_is_settled_once(pair: tuple[World, World]) -> None:
    """By its event, the end spool, Asterisk's list, and an exhausted lease; each to two engines at once."""
    chance, world = random.Random(5), pair[0]
    settled: list[Settlement] = []
    reports = 0
    for first in range(0, RACES, TOGETHER):
        booking = await world.book(UsagePlan.LARGE)
        names = [f"c{first + n}" for n in range(TOGETHER)]
        for name in names:
            await world.bridge(booking, name)
            if chance.random() < 0.8:
                await world.storage.run(calls.note_answer, answer_report(name), world.at)
        world.now += DAY
        work: list[Work] = []
        for name in names:
            for each in pair:
                for late in (False, True):
                    answered_ms, status = chance.randrange(40 * SECOND), chance.choice(["ANSWER", "CANCEL"])
                    report = end_report(name, answered_ms, status)
                    work.append(partial(each.storage.run, calls.call_ended, report, world.at, world.policy, late=late))
                work.append(partial(each.storage.run, settle_vanished, {CallId(name)}, world.now, world.policy))
                work.append(partial(each.storage.run, settle_overdue, world.at, world.policy, 3))
        reports += len(work)
        for outcome in await all_at_once(work, chance):
            settled += outcome if isinstance(outcome, list) else [outcome] if isinstance(outcome, Settlement) else []
        await world.cancel(booking)
    records = world.rows("SELECT call_id, COUNT(*) AS n FROM cdrs GROUP BY 1")
    doubles = len(settled) - len({each.cdr.id for each in settled}) + sum(row["n"] - 1 for row in records)
    assert (len(settled), len(records), doubles) == (RACES, RACES, 0)
    assert world.rows("SELECT * FROM bookings WHERE seconds_leased <> 0 OR calls_leased <> 0") == []
    # The fixture then compares what each booking was charged with its records.
    say("M5", f"{len(records)} ends, {reports} reports of them racing in two engines: double debits {doubles}")


async def test_no_renewal_during_calls_is_lost(pair: tuple[World, World]) -> None:
    chance, world = random.Random(11), pair[0]
    booking = await world.book(UsagePlan.LARGE)
    work: list[Work] = []
    for number in range(RACES):
        each, plus = chance.choice(pair), Renewal(UsagePlan.SMALL)
        work.append(
            partial(
                each.storage.run,
                bookings.renew,
                world.account,
                booking.id,
                plus,
                world.now,
                world.policy,
            )
        )
        work.append(partial(one_second, chance.choice(pair), booking, CallId(f"c{number}")))
    await all_at_once(work, chance)
    stored, plans = await world.stored(booking), world.policy.plans
    small, large = plans[UsagePlan.SMALL], plans[UsagePlan.LARGE]
    [answered] = world.rows("SELECT COUNT(*) AS n FROM cdrs WHERE duration > 0")
    lost = (large.seconds + RACES * small.seconds - stored.seconds.granted) // small.seconds
    assert lost == 0 < answered["n"]
    assert stored.calls.granted == large.calls + RACES * small.calls
    assert stored.end_at == booking.end_at + RACES * small.valid_for_ms
    assert stored.seconds == Credit(stored.seconds.granted, stored.seconds.granted - answered["n"], 0, answered["n"])
    say("M11", f"{RACES} PUTs among {answered['n']} calls on one booking, in two engines: lost updates {lost}")


async def one_second(world: World, booking: Booking, name: CallId) -> None:
    """Makes a call, if there is a slot for it."""
    run, at, policy = world.storage.run, world.at, world.policy
    incoming = IncomingCall(name, booking.service, CALLER)
    if isinstance(await run(calls.route_call, incoming, at, policy, room_was_made=True), Bridge):
        await run(calls.note_answer, answer_report(name), at)
        await run(calls.call_ended, end_report(name, SECOND), at, policy)


@pytest.mark.sqlite_only
async def test_no_call_is_bridged_without_a_lease_while_the_database_fails_and_recovers(
    world: World, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_SECONDS", 0.001)
    world.policy = replace(world.policy, longest_call_seconds=20)
    flaky, intruder = replace(world, storage=SqliteStorage(database)), connect(database)
    booking = await world.book(UsagePlan.LARGE)
    bridged, refused = [], 0
    for number in range(RACES):
        if number % 8 == 7:
            intruder.execute("COMMIT" if intruder.in_transaction else "BEGIN IMMEDIATE")
        try:
            if isinstance(await flaky.route(booking.service, f"c{number}"), Bridge):
                bridged.append(f"c{number}")
                await flaky.ended(CallId(f"c{number}"), 0, "BUSY")
        except StorageUnavailable:
            refused += 1
    intruder.close()
    await flaky.storage.close()
    unmetered = set(bridged) - {row["call_id"] for row in world.rows("SELECT call_id FROM calls")}
    assert unmetered == set()
    assert refused > 0 < len(bridged)
    say(
        "M13",
        f"{len(bridged)} calls bridged, {refused} refused while the database was locked: unmetered {len(unmetered)}",
    )


@pytest.mark.sqlite_only  # it learns the order of commits from commands, which several threads would mix
async def test_a_number_reassigned_during_calls_reaches_its_present_owner(pair: tuple[World, World]) -> None:
    """The only number there is, without quarantine: it is rented again at the moment it becomes free."""
    chance, world = random.Random(14), pair[0]
    with outsider(world.database) as connection:
        connection.execute("DELETE FROM numbers WHERE e164 <> (SELECT MIN(e164) FROM numbers)")
    routed = misrouted = changed_hands = 0
    for race in range(RACES):
        holder = await world.storage.run(
            lambda tx: next(iter(tx.bookings.expired_before(EpochMs(world.now + 99 * DAY), 1)), None)
        )
        holder = holder or await world.book(UsagePlan.LARGE, E164(chance.choice([HIDDEN, OTHER_HIDDEN])))
        expires = chance.random() < 0.5
        log: Log = [("gone" if expires else "booked", holder.id)]
        world.now = holder.end_at + world.policy.grace_ms if expires else world.now + SECOND
        destination = chance.choice([HIDDEN, OTHER_HIDDEN])
        work: list[Work] = [
            partial(world.storage.run, goes, world, holder, log, expires=expires),
            partial(pair[1].storage.run, is_rented, world, E164(destination), log),
        ]
        for number in range(4):
            incoming = IncomingCall(CallId(f"r{race}-{number}"), holder.service, CALLER)
            work.append(partial(chance.choice(pair).storage.run, comes_in, world, incoming, log))
        await all_at_once(work, chance)
        misrouted += await misroutes(world, log)
        changed_hands += sum(what == "booked" for what, _ in log[1:])
        routed += 4
    assert misrouted == 0 < changed_hands
    text = f"{RACES} DELETEs and ends of a grace, {changed_hands} rentals of the number, {routed} calls to it"
    say("M14", f"{text}, at once in two engines: misroutes {misrouted}")


# Commands run one at a time, so the log has the order of their commits.


def goes(tx: Transaction, world: World, holder: Booking, log: Log, *, expires: bool) -> None:
    if expires:
        sweep(tx, world.at, world.policy)
    else:
        bookings.cancel(tx, world.account, holder.id, world.now, world.policy)
    log.append(("gone", holder.id))


def is_rented(tx: Transaction, world: World, destination: E164, log: Log) -> None:
    request = BookingRequest(world.account, destination, UsagePlan.LARGE, CALLBACK)
    with suppress(NoNumberFree):
        log.append(("booked", bookings.book(tx, request, world.now, world.policy).id))


def comes_in(tx: Transaction, world: World, incoming: IncomingCall, log: Log) -> None:
    decision = calls.route_call(tx, incoming, world.at, world.policy, room_was_made=True)
    assert not isinstance(decision, MakeRoom)
    log.append((incoming.call_id, decision.booking.id if isinstance(decision, Bridge) else ""))


async def misroutes(world: World, log: Log) -> int:
    """Returns calls bridged to someone who did not hold the number then, or answered after that."""
    wrong, holder, gone = 0, "", {booking_id for what, booking_id in log if what == "gone"}
    at, run = world.at, world.storage.run
    for what, booking_id in log:
        if what in {"booked", "gone"}:
            holder = booking_id if what == "booked" else ""
        elif booking_id:
            noted = await run(calls.note_answer, answer_report(what), at)
            await run(calls.call_ended, end_report(what, 0 if noted.must_end else SECOND), at, world.policy)
            wrong += booking_id != holder or (not noted.must_end and booking_id in gone)
    return wrong
