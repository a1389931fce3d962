"""Calls are counted for the metrics when their records are committed: each once, and none of a sandbox."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.calls import lifecycle as calls
from engine.calls.reconciliation import settle_vanished
from engine.calls.reports import EndReport
from engine.cdr.refused import OWN_RECORDS
from engine.domain.call_ends import DialplanEnd, EndedCall
from engine.domain.dispositions import Disposition
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.metrics.database_figures import DatabaseFigures, DatabaseReader
from engine.storage.errors import StorageUnavailable
from engine.storage.gauges import BookingCounts, GaugeReads, LiveSums, SilentSums
from engine.storage.transaction import Transaction
from tests.contract.samples import SECOND, end_report
from tests.contract.test_group_commit import hold
from tests.contract.trial import Trial
from tests.contract.world import World
from tests.integration.database_world import WorldClock

ANSWERED_OVER = DialplanEnd("ANSWER", "main", source="caller")


@pytest.fixture
def counted(world: World) -> list[EndedCall]:
    """The calls that were counted so far."""
    found: list[EndedCall] = []

    def count(ended: Sequence[EndedCall]) -> None:
        found.extend(ended)

    world.storage.when_ended(count)
    return found


async def test_every_way_to_an_end_is_counted_once(world: World, counted: list[EndedCall]) -> None:
    booking, single = await world.book(UsagePlan.LARGE), await world.book()
    await world.bridge(single, "the only one")
    await world.route(single.service, "refused")
    await world.storage.run(calls.abandon_call, CallId("the only one"), world.now, world.now, world.policy)
    await world.bridge(booking, "answered")
    world.now += 3 * SECOND
    await world.answered(CallId("answered"))
    talked = EndReport(CallId("answered"), booking.id, 2_000, ANSWERED_OVER, ring_ms=1_200)
    for _ in range(2):
        await world.storage.run(calls.call_ended, talked, world.at, world.policy)
    await world.bridge(booking, "vanished")
    await world.storage.run(settle_vanished, {CallId("vanished")}, world.now, world.policy)
    await world.cancel(booking)
    await world.route(booking.service)
    assert counted == [
        EndedCall(Disposition.ALL_SLOTS_HELD),
        EndedCall(Disposition.CANCELLED),
        EndedCall(Disposition.ANSWERED, "main", ring_ms=1_200, answer_ms=3_000),
        EndedCall(Disposition.LOST),
    ]


async def test_refused_calls_count_each_also_without_a_record_of_their_own(
    world: World, counted: list[EndedCall]
) -> None:
    booking = await world.book()
    world.now = booking.end_at
    for _ in range(OWN_RECORDS + 3):
        await world.route(booking.service)
    assert counted == [EndedCall(Disposition.EXPIRED)] * (OWN_RECORDS + 3)
    assert len(world.rows("SELECT id FROM cdrs")) == OWN_RECORDS


async def test_seconds_beyond_the_lease_are_counted(world: World, counted: list[EndedCall]) -> None:
    booking = await world.book()
    leased = (await world.bridge(booking, "c1")).seconds
    await world.answered(CallId("c1"))
    world.now += leased * SECOND + 2_500
    await world.storage.run(
        calls.call_ended,
        EndReport(CallId("c1"), booking.id, leased * SECOND + 2_500, ANSWERED_OVER),
        world.at,
        world.policy,
    )
    assert [call.overrun_ms for call in counted] == [2_500]


async def test_what_is_undone_is_not_counted_and_what_runs_again_is_counted_once(
    world: World, counted: list[EndedCall]
) -> None:
    booking = await world.book(UsagePlan.LARGE)
    for name in ("undone", "repeated"):
        await world.bridge(booking, name)

    def end_and_fail(tx: Transaction) -> None:
        calls.call_ended(tx, end_report("undone"), world.at, world.policy)
        raise ZeroDivisionError

    # In SQLite all are one batch, and the failure of the last one makes the whole batch run again.
    held = await hold(world.storage) if isinstance(world.database, Path) else None
    repeated = world.storage.run_keyed("repeated", calls.call_ended, end_report("repeated"), world.at, world.policy)
    failing = [world.storage.run(end_and_fail), world.storage.run_keyed("undone", end_and_fail)]
    await asyncio.sleep(0)
    if held is not None:
        await held.release()
    await repeated
    for each in failing:
        with pytest.raises(ZeroDivisionError):
            await each
    assert len(counted) == 1
    assert {row["call_id"] for row in world.rows("SELECT call_id FROM cdrs")} == {"repeated"}


@pytest.mark.sqlite_only
async def test_a_commit_that_fails_counts_nothing(world: World, counted: list[EndedCall]) -> None:
    booking = await world.book()
    await world.bridge(booking, "c1")
    failures = world.storage.tallies.failures
    world.database.rename(world.database.with_suffix(".away"))
    with pytest.raises(StorageUnavailable):
        await world.storage.run(calls.call_ended, end_report("c1"), world.at, world.policy)
    world.database.with_suffix(".away").rename(world.database)
    assert (counted, world.storage.tallies.failures - failures) == ([], 1)


async def test_figures_leave_out_sandboxes_and_are_kept_for_a_while(world: World, counted: list[EndedCall]) -> None:
    trial = await Trial.begin(world)
    simulated = await trial.book()
    await trial.talk(simulated, 5)
    assert counted == []
    booked = [await world.book() for _ in range(2)]
    bridged = await world.bridge(booked[0], "c1")
    await world.bridge(booked[1], "c2")
    await world.answered(CallId("c2"))
    async with GaugeReads(world.database) as reads:
        reader = DatabaseReader(reads, WorldClock(world))
        first = await reader.read()
        assert first == DatabaseFigures(
            LiveSums(1, 1, bridged.seconds, bridged.seconds),
            SilentSums(0, 0),
            {("BE", "FREE"): 2, ("BE", "BOOKED"): 2},
            BookingCounts(active=2, expired=0),
            0,
        )
        await world.cancel(booked[1])
        assert await reader.read() == first
        assert (await reads.live()).talking == 1  # a DELETE does not end it here; the figure itself is not kept
        assert await reads.bookings(world.now) == BookingCounts(1, 0)
        assert await reads.bookings(booked[0].end_at) == BookingCounts(0, 1)


async def test_the_oldest_callback_is_one_of_no_sandbox(world: World) -> None:
    trial = await Trial.begin(world)
    await trial.talk(await trial.book(), 5)
    async with GaugeReads(world.database) as reads:
        assert await reads.oldest_due_at() is None
        booking = await world.book(UsagePlan.LARGE)
        for name in ("c1", "c2"):
            await world.bridge(booking, name)
            await world.answered(CallId(name))
            await world.storage.run(calls.call_ended, end_report(name, 1_000), world.at, world.policy)
            world.now += 60 * SECOND
        assert await reads.oldest_due_at() == world.now - 120 * SECOND


async def test_what_cannot_be_read_is_unknown_and_counted(world: World) -> None:
    reads = GaugeReads(world.database)  # never opened
    reader = DatabaseReader(reads, WorldClock(world))
    assert await reader.read() == DatabaseFigures(None, None, None, None, None)
    assert await reader.read() == DatabaseFigures(None, None, None, None, None)
    assert reader.failures == 5
