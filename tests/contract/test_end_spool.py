"""The end spool: an end in it is settled once, whatever happened to its event, to the file and to the engine."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.calls.end_spool import CHUNK_BYTES, CURRENT, FORMER
from engine.calls.reports import MAX_BYTES
from engine.domain.ids import CallId
from engine.runtime.failpoints import VARIABLE
from engine.storage.errors import StorageUnavailable
from tests.contract.spooling import Reading, calls_up, durations, end_line, settled_later, write
from tests.contract.world import World

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    directory.mkdir()
    return directory


async def test_ends_whose_events_were_lost_are_settled_as_they_were_reported(world: World, spool: Path) -> None:
    await calls_up(world, "c1", "c2", "c3")
    write(spool, end_line("c1", 12_345), end_line("c2", 0, "NOANSWER"))
    reading = Reading(world, spool)
    assert await reading.spool.take_in() == 2
    rows = world.rows("SELECT call_id, duration, disposition FROM cdrs ORDER BY 1")
    assert [tuple(row.values()) for row in rows] == [("c1", 13, "ANSWERED"), ("c2", 0, "NO_ANSWER")]
    assert sorted(reading.noted.ends) == ["c1", "c2"]
    # What is written later is read from there on.
    write(spool, end_line("c3"))
    assert await reading.spool.take_in() == 1
    assert await settled_later(reading) == 0


async def test_an_end_that_stands_in_the_spool_more_than_once_is_settled_once(world: World, spool: Path) -> None:
    await calls_up(world, "c1")
    write(spool, *[end_line("c1")] * 3, end_line("c1", 50_000))
    readings = [Reading(world, spool) for _ in range(4)]
    assert sum(await asyncio.gather(*(reading.spool.take_in() for reading in readings))) == 1
    assert [await settled_later(reading) for reading in readings] == [0] * 4
    assert len(durations(world)) == 1


@pytest.mark.parametrize("cut", [1, 6, 7, 20, 60, -41, -40, -2, -1, None])
async def test_a_line_that_a_full_disk_cut_short_hides_no_other(world: World, spool: Path, cut: int | None) -> None:
    """Not even its own report, if only the line end is missing."""
    await calls_up(world, "before", "cut", "after", "last")
    write(spool, end_line("before"))
    with (spool / CURRENT).open("a") as file:
        file.write(end_line("cut")[:cut])
    reading = Reading(world, spool)
    # It may still be under way: nothing is taken of it before its line ends.
    assert await reading.spool.take_in() == 1
    write(spool, end_line("after"), end_line("last"))
    with structlog.testing.capture_logs() as logged:
        assert await reading.spool.take_in() == (3 if cut is None else 2)
    assert durations(world).keys() == {"before", "after", "last", *(["cut"] if cut is None else [])}
    assert len([each for each in logged if each["event"] == "end_spool_line_unreadable"]) == (cut is not None)


@pytest.mark.parametrize(
    "line",
    [
        end_line("c1", token="another token 012345"),
        end_line("c1").replace("7000", "1"),
        end_line("c1").replace("ended", "answered"),
        end_line("c1")[:-1],
        "",
        "\0",
        "\N{REPLACEMENT CHARACTER}",
        "x" * (MAX_BYTES + 1),
        "x" * (3 * CHUNK_BYTES),
        "ended " * 50,
    ],
)
async def test_a_line_that_is_no_report_of_ours_settles_nothing_and_hides_no_other(
    world: World, spool: Path, line: str
) -> None:
    await calls_up(world, "c1", "c2", "c3")
    write(spool, end_line("c2"), line, end_line("c3"))
    assert await Reading(world, spool).spool.take_in() == 2
    assert durations(world).keys() == {"c2", "c3"}


async def test_a_spool_of_many_chunks_is_read_to_its_end(world: World, spool: Path) -> None:
    await calls_up(world, "first", "last")
    write(spool, end_line("first"), *(end_line(f"unknown-{n}") for n in range(2_100)), end_line("last"))
    assert (spool / CURRENT).stat().st_size > 3 * CHUNK_BYTES
    assert await Reading(world, spool).spool.take_in() == 2


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_symlink(path: Path) -> None:
    other = path.with_name("elsewhere")
    other.write_text(f"{end_line('c1')}\n")
    path.symlink_to(other)


def a_dead_symlink(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("obstacle", [a_fifo, a_symlink, a_dead_symlink, a_directory])
@pytest.mark.parametrize(("place", "other"), [(CURRENT, FORMER), (FORMER, CURRENT)])
async def test_something_else_in_a_files_place_is_logged_and_the_other_file_read(
    world: World, spool: Path, obstacle: Callable[[Path], None], place: str, other: str
) -> None:
    await calls_up(world, "c1", "c2")
    obstacle(spool / place)
    write(spool, end_line("c2"), name=other)
    reading = Reading(world, spool)
    with structlog.testing.capture_logs() as logged:
        async with asyncio.timeout(20):
            assert await reading.spool.take_in() == 1
    assert [(each["event"], each["file"]) for each in logged if each["log_level"] == "error"] == [
        ("end_spool_unreadable", place)
    ]
    assert durations(world).keys() == {"c2"}


async def test_a_file_without_permission_is_read_once_it_has_it(
    world: World, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calls_up(world, "c1")
    write(spool, end_line("c1"))
    reading = Reading(world, spool)
    # As root reads every file, chmod would prove nothing.
    with monkeypatch.context() as refused:
        refused.setattr(os, "open", _refuse)
        assert await reading.spool.take_in() == 0
    assert await reading.spool.take_in() == 1


def _refuse(*_: Any, **__: Any) -> int:
    raise PermissionError(13, "Permission denied")


async def test_without_a_file_or_a_directory_there_are_no_ends(world: World, spool: Path) -> None:
    for directory in (spool, spool / "later"):
        with structlog.testing.capture_logs() as logged:
            assert await Reading(world, directory).spool.take_in() == 0
        assert logged == []


async def test_a_long_file_is_renamed_and_a_writer_that_still_has_it_open_loses_nothing(
    world: World, spool: Path
) -> None:
    await calls_up(world, "c1", "c2", "c3", "c4")
    write(spool, end_line("c1"))
    with (spool / CURRENT).open("a") as writer:
        reading = Reading(world, spool, rotate_bytes=10)
        assert await reading.spool.take_in() == 1
        assert os.listdir(spool) == [FORMER]  # noqa: PTH208  one look at a directory
        writer.write(f"{end_line('c2')}\n")
        writer.flush()
        assert await reading.spool.take_in() == 1
    write(spool, end_line("c3"))
    assert await reading.spool.take_in() == 1
    # That renamed the second file in the first one's place. An engine that starts now reads what there is.
    assert (spool / FORMER).read_text().count("\n") == 1
    write(spool, end_line("c4"))
    assert await Reading(world, spool).spool.take_in() == 1
    assert durations(world).keys() == {"c1", "c2", "c3", "c4"}


async def test_a_file_that_cannot_be_renamed_is_read_on(world: World, spool: Path) -> None:
    await calls_up(world, "c1", "c2")
    (spool / FORMER).mkdir()
    reading = Reading(world, spool, rotate_bytes=10)
    for number, name in enumerate(("c1", "c2"), 1):
        write(spool, end_line(name))
        with structlog.testing.capture_logs() as logged:
            assert await reading.spool.take_in() == 1
        assert "end_spool_not_rotated" in {each["event"] for each in logged}
        assert (spool / CURRENT).read_text().count("\n") == number


async def test_both_files_are_read_at_a_start(world: World, spool: Path) -> None:
    await calls_up(world, "c1", "c2")
    write(spool, end_line("c1"), name=FORMER)
    write(spool, end_line("c2"))
    assert await Reading(world, spool).spool.take_in() == 2


@pytest.mark.parametrize("how", ["cut", "replaced"])
async def test_a_file_that_somebody_emptied_is_read_from_its_beginning(world: World, spool: Path, how: str) -> None:
    await calls_up(world, "c1", "c2", "c3")
    write(spool, end_line("c1"), end_line("c2"))
    reading = Reading(world, spool)
    assert await reading.spool.take_in() == 2
    if how == "cut":
        os.truncate(spool / CURRENT, 0)
    else:
        write(spool, end_line("c2"), end_line("c1"), name="new")
        (spool / "new").replace(spool / CURRENT)
    write(spool, end_line("c3"))
    assert await reading.spool.take_in() == 1


@pytest.mark.parametrize("failing", range(1, 4))
async def test_ends_that_the_database_did_not_take_are_settled_in_the_next_round(
    world: World, spool: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calls_up(world, "c1", "c2", "c3")
    write(spool, *(end_line(f"c{number}") for number in range(1, 4)))
    reading, ordinary, count = Reading(world, spool), world.storage.run_keyed, 0

    async def run(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == failing:
            raise StorageUnavailable("disk full")
        return await ordinary(*arguments, **more)

    monkeypatch.setattr(world.storage, "run_keyed", run)
    with pytest.raises(StorageUnavailable):
        await reading.spool.take_in()
    assert await reading.spool.take_in() >= 1
    assert durations(world) == {"c1": 7, "c2": 7, "c3": 7}
    assert sorted(reading.noted.ends) == ["c1", "c2", "c3"]


async def test_a_reading_ends_although_asterisk_goes_on_writing(
    world: World, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{number}" for number in range(4)]
    await calls_up(world, *names)
    write(spool, end_line(names[0]))
    reading, written = Reading(world, spool), iter(names[1:])
    ordinary = reading.intake.take_spooled

    async def while_writing(lines: Sequence[str]) -> int:
        if lines:
            write(spool, *[end_line(name) for name in [next(written, None)] if name])
        return await ordinary(lines)

    monkeypatch.setattr(reading.intake, "take_spooled", while_writing)
    assert [await reading.spool.take_in() for _ in range(5)] == [1, 1, 1, 1, 0]


async def test_an_engine_killed_after_settling_settles_once(world: World, spool: Path) -> None:
    await calls_up(world, "c1")
    write(spool, end_line("c1"))
    command = (sys.executable, "-m", "tests.contract.end_spool_victim", str(world.database), str(spool))
    engine = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, VARIABLE: "end spool settled"})
    assert await asyncio.wait_for(engine.wait(), 30) == -signal.SIGKILL
    assert durations(world) == {CallId("c1"): 7}
    assert await Reading(world, spool).spool.take_in() == 0
    assert durations(world) == {CallId("c1"): 7}


async def test_ends_that_only_the_spool_shows_count_as_lost_events(world: World, spool: Path) -> None:
    """Not those from before the engine's start, nor those whose events come a moment later."""
    await calls_up(world, "before", "lost", "late", "told")
    reading = Reading(world, spool)
    write(spool, end_line("before"))
    assert await reading.spool.take_in() == 1
    assert await reading.spool.take_in() == 0
    write(spool, end_line("lost"), end_line("late"))
    assert await reading.spool.take_in() == 2
    reading.intake.take(end_line("late"))
    write(spool, end_line("told"))
    reading.intake.take(end_line("told"))
    stop = asyncio.Event()
    stop.set()
    await reading.intake.run(stop)
    for _ in range(2):
        assert await reading.spool.take_in() == 0
    assert (reading.intake.lost, len(durations(world))) == (1, 4)
