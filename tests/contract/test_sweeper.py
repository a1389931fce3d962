"""The sweeper: a call is settled by time alone only if neither the end spool nor Asterisk can say how it ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, cast

import pytest
from structlog.testing import capture_logs

from engine.accounts.accounts import create_account
from engine.asterisk.reconciler import Reconciler
from engine.bookings.closing import close
from engine.bookings.number_pool import quarantine
from engine.domain.ids import CallId
from engine.domain.numbers import E164
from engine.domain.policy import RetentionPeriods
from engine.domain.times import DAY_MS, HOUR_MS, EpochMs
from engine.metrics.tallies import Tallies
from engine.storage.errors import StorageUnavailable
from engine.sweeper import WAIT_FOR_ASTERISK_MS, Sweeper
from tests.contract.samples import SECOND
from tests.contract.spooling import Reading, WorldClock, end_line, write
from tests.contract.world import POOL, World

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
        self.tallies = Tallies(())
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
            tallies=self.tallies,
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


BROKEN = {
    "end_spool": "EndSpool.take_in",
    "sessions": "sweep_sessions",
    "former_callers": "note_all_reached",
    "notifications": "notify_all_due",
    "closed_accounts": "end_bookings_of_closed",
    "bookings": "sweep",
    "lost_asterisks": "Keepership.lost_asterisks",
    "sandboxes": "sweep_sandboxes",
    "retention": "delete_expired",
}


@pytest.mark.parametrize("step", BROKEN)
async def test_a_step_that_fails_is_logged_counted_and_keeps_no_other_from_being_done(
    started: Started, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise ValueError("the number +32470123456")

    world, rests = started.world, E164(POOL[-1])
    await world.storage.run(quarantine, rests, EpochMs(world.now + SECOND))
    closed = await world.storage.run(create_account, "Bob", world.now)
    to_end = await world.book(account=closed.id)
    await world.storage.run(close, "Bob", world.now)
    world.now += WAIT_FOR_ASTERISK_MS
    monkeypatch.setattr(f"engine.sweeper.{BROKEN[step]}", fail)
    with capture_logs() as logs:
        swept = await started.swept()
    [failed] = [line for line in logs if line["event"] == "sweep_step_failed"]
    assert (failed["step"], failed["error"], "+324" in str(failed)) == (step, "ValueError", False)
    assert failed["where"][-1].endswith(" fail")
    assert started.tallies.failed_sweep_steps == 1
    assert ((await world.stored(to_end)).gone_at is not None) == (step != "closed_accounts")
    # Without the spool's ends a call may only seem lost, and a number whose callers are not noted stays where it is.
    assert bool(swept) == (step not in {"end_spool", "bookings"})
    [number] = world.rows("SELECT state FROM numbers WHERE e164 = ?", rests)
    assert (number["state"] == "FREE") == (step not in {"former_callers", "bookings"})
    monkeypatch.undo()
    assert await started.swept() != []
    assert started.tallies.failed_sweep_steps == 1


async def test_a_sweep_ends_where_the_database_fails(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> NoReturn:
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr("engine.sweeper.sweep_sessions", fail)
    with pytest.raises(StorageUnavailable):
        await started.swept()
    assert started.tallies.failed_sweep_steps == 0
