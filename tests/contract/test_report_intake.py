"""Reports as events: lost, doubled, late, in any order, too many. Each call is settled once, and nobody waits."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.calls import report_intake
from engine.calls.lifecycle import AnswerNoted
from engine.calls.report_intake import REFUSALS_LOGGED_EVERY_MS
from engine.domain.booking import Booking
from engine.domain.ids import CallId
from engine.domain.policy import UsagePlan
from engine.storage.errors import StorageUnavailable
from tests.contract.racing import PATIENCE_SECONDS
from tests.contract.samples import HOUR
from tests.contract.spooling import Reading, answer_line, end_line, write
from tests.contract.world import World


@pytest.fixture
async def booking(world: World) -> Booking:
    return await world.book(UsagePlan.LARGE)


@pytest.fixture
def reading(world: World, tmp_path: Path) -> Reading:
    return Reading(world, tmp_path)


async def noted(reading: Reading, *lines: str) -> None:
    """Hands reports over and has all of them noted."""
    for line in lines:
        reading.intake.take(line)
    stop = asyncio.Event()
    stop.set()
    await reading.intake.run(stop)


def settled(world: World) -> dict[str, int]:
    return {row["call_id"]: row["duration"] for row in world.rows("SELECT call_id, duration FROM cdrs")}


async def test_an_answer_and_an_end_are_noted_and_passed_on(world: World, booking: Booking, reading: Reading) -> None:
    await world.bridge(booking, "c1")
    await noted(reading, answer_line("c1", 60), end_line("c1", 7_000))
    assert settled(world) == {"c1": 7}
    assert (reading.noted.answers, reading.noted.ends) == ([("c1", AnswerNoted())], ["c1"])
    assert world.rows("SELECT state, callee_channel FROM calls") == [
        {"state": "SETTLED", "callee_channel": "c1-callee"}
    ]


@pytest.mark.parametrize("seed", range(5))
async def test_reports_in_any_order_and_number_settle_each_call_once(
    world: World, booking: Booking, tmp_path: Path, seed: int
) -> None:
    """Some events are lost; the spool has every end. Several engines' lives follow one another."""
    chance, names = random.Random(seed), [f"c{number}" for number in range(30)]
    for name in names:
        await world.bridge(booking, name)
    events = [line for name in names for line in (answer_line(name, 60), end_line(name, 1_000))]
    events = [line for line in events for _ in range(chance.choice([0, 1, 1, 2]))]
    chance.shuffle(events)
    write(tmp_path, *(end_line(name, 1_000) for name in chance.sample(names, 30)))
    for first in range(0, len(events), 20):
        reading = Reading(world, tmp_path)
        await asyncio.gather(noted(reading, *events[first : first + 20]), reading.spool.take_in())
    assert settled(world) == dict.fromkeys(names, 1)


async def test_an_end_whose_event_has_come_is_not_looked_up_again(
    world: World, booking: Booking, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("event", "spool"):
        await world.bridge(booking, name)
    write(tmp_path, end_line("event"), end_line("spool"))
    await noted(reading, end_line("event"))
    asked: list[str] = []
    ordinary = world.storage.run_keyed

    async def run_keyed(key: str, command: Any, report: Any, *more: Any, **named: Any) -> Any:
        asked.append(report.call_id)
        return await ordinary(key, command, report, *more, **named)

    monkeypatch.setattr(world.storage, "run_keyed", run_keyed)
    assert await reading.spool.take_in() == 1
    assert asked == ["spool"]


async def test_an_answer_that_comes_after_the_spool_has_shown_the_end_asks_for_nothing(
    world: World, booking: Booking, reading: Reading, tmp_path: Path
) -> None:
    await world.bridge(booking, "c1")
    write(tmp_path, end_line("c1"))
    assert await reading.spool.take_in() == 1
    await noted(reading, answer_line("c1"))
    assert reading.noted.answers == []


async def test_a_report_that_takes_long_keeps_no_other_waiting(
    world: World, booking: Booking, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow", "quick"):
        await world.bridge(booking, name)
    ordinary, go_on = world.storage.run_keyed, asyncio.Event()

    async def run_keyed(key: str, command: Any, report: Any, *more: Any, **named: Any) -> Any:
        if key == "slow":
            await go_on.wait()
        return await ordinary(key, command, report, *more, **named)

    monkeypatch.setattr(world.storage, "run_keyed", run_keyed)
    noting = asyncio.create_task(noted(reading, end_line("slow"), end_line("quick")))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while reading.noted.ends != ["quick"]:  # noqa: ASYNC110  a list, and no event
            await asyncio.sleep(0.01)
    go_on.set()
    await noting
    assert reading.noted.ends == ["quick", "slow"]


async def test_what_is_remembered_of_settled_calls_is_bounded_and_forgotten(
    world: World, booking: Booking, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_intake, "MAX_REMEMBERED", 3)
    names = [f"c{number}" for number in range(8)]
    for name in names:
        await world.bridge(booking, name)
    lines = [end_line(name) for name in names]
    await noted(reading, *lines)
    assert len(reading.intake._settled_since) <= 3
    # The others are looked up, and found settled.
    write(tmp_path, *lines)
    assert [await reading.spool.take_in() for _ in range(2)] == [0, 0]
    assert (reading.intake._settled, reading.intake._settled_since) == (set(), set())


async def test_reports_that_find_the_queue_full_are_counted_and_the_spool_has_their_ends(
    world: World, booking: Booking, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_intake, "MAX_QUEUED", 5)
    names = [f"c{number}" for number in range(9)]
    for name in names:
        await world.bridge(booking, name)
    lines = [end_line(name) for name in names]
    write(tmp_path, *lines)
    await noted(reading, *lines)
    assert (reading.intake.dropped, len(settled(world))) == (4, 5)
    assert await reading.spool.take_in() == 4
    assert settled(world).keys() == {*names}


async def test_a_report_that_the_database_did_not_take_delays_no_other(
    world: World, booking: Booking, reading: Reading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("refused", "broken", "taken"):
        await world.bridge(booking, name)
    failures = {"refused": StorageUnavailable("disk full"), "broken": LookupError("a fault of ours")}
    ordinary = world.storage.run_keyed

    async def run_keyed(key: str, command: Any, report: Any, *more: Any, **named: Any) -> Any:
        if report.call_id in failures:
            raise failures[report.call_id]
        return await ordinary(key, command, report, *more, **named)

    lines = [end_line(name) for name in ("refused", "broken", "taken")]
    write(tmp_path, *lines)
    with monkeypatch.context() as failing, structlog.testing.capture_logs() as logged:
        failing.setattr(world.storage, "run_keyed", run_keyed)
        await noted(reading, *lines)
    assert settled(world).keys() == {"taken"}
    assert {each["event"] for each in logged} >= {"report_not_noted", "report_failed"}
    assert await reading.spool.take_in() == 2


async def test_lines_that_are_no_reports_are_counted_and_rarely_logged(world: World, reading: Reading) -> None:
    forged = end_line("c1", token="another token 012345")
    with structlog.testing.capture_logs() as logged:
        await noted(reading, *[forged] * 50)
        world.now += REFUSALS_LOGGED_EVERY_MS
        await noted(reading, forged)
    assert reading.intake.refused == 51
    assert [each["refused"] for each in logged if each["event"] == "report_refused"] == [1, 51]


async def test_an_answer_of_a_call_that_has_ended_asks_for_its_end(
    world: World, booking: Booking, reading: Reading
) -> None:
    await world.bridge(booking, "c1")
    await noted(reading, end_line("c1"))
    await noted(reading, answer_line("c1"), answer_line("unknown"))
    assert dict(reading.noted.answers) == {"c1": AnswerNoted(must_end=True), "unknown": AnswerNoted(must_end=True)}


@pytest.mark.parametrize(("late_ms", "left_ms"), [(0, 60_000), (5_000, 55_000), (-1, 60_000), (40_000, 60_000)])
async def test_a_call_whose_answer_is_read_late_has_its_lease_from_the_answer(
    world: World, booking: Booking, reading: Reading, late_ms: int, left_ms: int
) -> None:
    """By the wall clock, unless it says what cannot be: the call rang for 20 s, on a machine that is up for an hour."""
    world.now += HOUR
    answered_at = world.now + 20_000 - late_ms
    await world.bridge(booking, "c1")
    world.now += 20_000
    await noted(reading, answer_line("c1", 60, answered_at))
    assert await world.left_ms(CallId("c1")) == left_ms
