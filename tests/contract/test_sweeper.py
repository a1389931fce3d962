"""The sweeper: a call is settled by time alone only if neither the end spool nor Asterisk can say how it ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from engine.asterisk.reconciler import Reconciler
from engine.bookings.closing import close
from engine.domain.ids import CallId
from engine.domain.policy import RetentionPeriods
from engine.domain.times import DAY_MS, HOUR_MS
from engine.sweeper import WAIT_FOR_ASTERISK_MS, Sweeper
from tests.contract.samples import SECOND
from tests.contract.spooling import Reading, WorldClock, end_line, write
from tests.contract.world import World

FOR_EVER = RetentionPeriods(365 * DAY_MS, 365 * DAY_MS, 365 * DAY_MS)


class Comparing:
    """Stands for the reconciler."""

    def __init__(self) -> None:
        self.has_compared = False


async def hang_up(channels: Sequence[str]) -> None:
    assert not channels


class Started:
    """An engine that starts a day after a call was answered, whose end was not reported."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.reconciler = Comparing()
        self.sweeper = Sweeper(
            world.storage,
            WorldClock(world),
            world.policy,
            FOR_EVER,
            Reading(world, directory).spool,
            cast("Reconciler", self.reconciler),
            hang_up,
            lambda _booking_id: None,
            interval=60.0,
        )

    async def swept(self) -> list[tuple[str, int]]:
        await self.sweeper.sweep()
        rows = self.world.rows("SELECT disposition, duration FROM cdrs")
        return [(row["disposition"], row["duration"]) for row in rows]


@pytest.fixture
async def started(world: World, tmp_path: Path) -> Started:
    booking = await world.book()
    await world.bridge(booking, "c1")
    await world.answered(CallId("c1"))
    world.now += HOUR_MS
    return Started(world, tmp_path)


async def test_a_lost_call_is_settled_by_time_once_asterisk_has_listed_its_calls(started: Started) -> None:
    assert await started.swept() == []
    started.reconciler.has_compared = True
    [(disposition, duration)] = await started.swept()
    assert disposition == "LOST"
    assert duration > 0


async def test_a_lost_call_is_settled_by_time_after_a_wait_for_asterisk(started: Started) -> None:
    started.world.now += WAIT_FOR_ASTERISK_MS - 1
    assert await started.swept() == []
    started.world.now += 1
    assert [disposition for disposition, _ in await started.swept()] == ["LOST"]


async def test_a_call_whose_end_stands_in_the_spool_is_not_lost(started: Started, tmp_path: Path) -> None:
    started.reconciler.has_compared = True
    write(tmp_path, end_line("c1", 2 * SECOND))
    assert await started.swept() == [("ANSWERED", 2)]


async def test_the_sweep_ends_the_bookings_of_a_close_that_was_cut_short(world: World, tmp_path: Path) -> None:
    booking = await world.book()
    await world.storage.run(close, "Ann", world.now)
    await Started(world, tmp_path).sweeper.sweep()
    assert (await world.stored(booking)).gone_at == world.now
    assert world.rows("SELECT state FROM numbers WHERE e164 = ?", booking.service) == [{"state": "QUARANTINED"}]
