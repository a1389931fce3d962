"""The end spool: the script that Asterisk starts writes it, and the engine reads it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from engine.asterisk.config_files import end_spool_script
from engine.calls.end_spool import EndSpool
from engine.config.settings import Settings
from engine.domain.ids import CallId
from engine.runtime.failpoints import VARIABLE
from tests.contract.samples import CALLER, SECOND
from tests.contract.world import World
from tests.integration.database_world import WorldClock, world_on_disk
from tests.integration.fake_asterisk import environment

ROOT = Path(__file__).parents[2]
CALL = ["rn0-1772366400.1", "12345", "ANSWER"]
ENVIRONMENT = b"".join(environment("journal", CALL))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script at the path where Asterisk finds it."""
    path = tmp_path / "journal-ended"
    path.write_text(end_spool_script(Settings(data_dir=tmp_path)))
    path.chmod(0o700)
    return path


def start(script: Path, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    process: Any = subprocess.Popen(
        [str(script), *arguments], **pipes
    )  # bytes or text, depending on `options`; here bytes
    return cast("subprocess.Popen[bytes]", process)


def kept(tmp_path: Path) -> dict[str, Any]:
    """Return the content of the files by name."""
    directory = tmp_path / "journal"
    return {path.name: json.loads(path.read_text()) for path in directory.iterdir()} if directory.exists() else {}


@pytest.mark.parametrize(
    "stdin",
    [ENVIRONMENT, ENVIRONMENT[:100], b"", b"\n", b"no colon\n\n", b"agi_callerid: \xff\xfe\n\n", b"x" * 100_000],
    ids=["whole", "cut", "closed", "blank line", "no colon", "no text", "endless line"],
)
def test_the_end_is_stored_whatever_asterisk_sends(script: Path, tmp_path: Path, stdin: bytes) -> None:
    before = time.time_ns() // 1_000_000
    with start(script, *CALL) as process:
        output = process.communicate(stdin, timeout=20)
    assert (process.returncode, output) == (0, (b"", b""))
    [(name, end)] = kept(tmp_path).items()
    assert name == "rn0-1772366400.1.json"
    assert (end["callId"], end["answeredMs"], end["dialStatus"]) == (CALL[0], 12_345, "ANSWER")
    assert before <= end["now"] <= time.time_ns() // 1_000_000
    assert abs(end["ticks"] - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000) < 20 * SECOND


def test_the_script_writes_nothing_into_asterisks_log(script: Path) -> None:
    with start(script, *CALL) as process:
        output = process.communicate(ENVIRONMENT, timeout=20)
    assert CALLER.encode() in ENVIRONMENT
    assert output == (b"", b"")


def test_the_end_is_stored_without_a_standard_input(script: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sh", "-c", '"$0" "$@" <&-', str(script), *CALL]) as process:
        assert process.wait(timeout=20) == 0
    assert len(kept(tmp_path)) == 1


def test_the_script_stores_the_end_and_leaves_an_asterisk_that_never_finishes(script: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    with start(script, *CALL) as process:
        assert process.stdin is not None
        process.stdin.write(ENVIRONMENT[:100])
        process.stdin.flush()
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < 15
    assert len(kept(tmp_path)) == 1


def test_asterisk_may_kill_the_script_at_any_moment(script: Path, tmp_path: Path) -> None:
    with start(script, *CALL) as process:
        # The shell needs a moment to ignore the signal. Asterisk sends it later, when the channel is gone.
        time.sleep(0.05)
        while process.poll() is None and not kept(tmp_path):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        process.communicate(ENVIRONMENT, timeout=20)
    assert process.returncode == 0
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("arguments", "answered_ms", "dial_status"),
    [
        (["a", "", "NOANSWER"], 0, "NOANSWER"),
        (["a", "", ""], 0, ""),
        (["a"], 0, ""),
        (["a", "-3590000", "ANSWER"], -3_590_000, "ANSWER"),
        (["a", "7", "ANSWER", "more"], 7, "ANSWER"),
    ],
)
def test_arguments_that_asterisk_leaves_out_are_stored_empty(
    script: Path, tmp_path: Path, arguments: list[str], answered_ms: int, dial_status: str
) -> None:
    with start(script, *arguments) as process:
        process.communicate(ENVIRONMENT, timeout=20)
    assert process.returncode == 0
    [end] = kept(tmp_path).values()
    assert (end["answeredMs"], end["dialStatus"]) == (answered_ms, dial_status)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["", "1", "ANSWER"],
        ["../a", "1", "ANSWER"],
        ["a/b", "1", "ANSWER"],
        ["a\n", "1", "ANSWER"],
        ["a" * 129, "1", "ANSWER"],
        ["é", "1", "ANSWER"],
        ["a", "1x", "ANSWER"],
        ["a", "1\n", "ANSWER"],
        ["a", "1.5", "ANSWER"],
        ["a", "-", "ANSWER"],
        ["a", "1234567890123", "ANSWER"],
        ["a", "\N{ARABIC-INDIC DIGIT ONE}", "ANSWER"],
        ["a", "1", "answer"],
        ["a", "1", "A" * 33],
    ],
)
def test_arguments_that_do_not_come_from_asterisk_leave_no_file(
    script: Path, tmp_path: Path, arguments: list[str]
) -> None:
    with start(script, *arguments) as process:
        process.communicate(ENVIRONMENT, timeout=20)
    assert process.returncode == 2
    assert kept(tmp_path) == {}


def test_an_unwritable_directory_sets_the_exit_status(script: Path, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file in its place")
    with start(script, *CALL) as process:
        process.communicate(ENVIRONMENT, timeout=20)
    assert process.returncode not in {0, 2}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_disk(tmp_path) as world:
        yield world


async def a_talk(world: World, call_id: CallId) -> str:
    """Make a live call and return the id of its booking."""
    booking = await world.book()
    await world.bridge(booking, call_id)
    await world.answered(call_id)
    return booking.id


def write_end(directory: Path, world: World, call_id: str, answered_ms: int) -> None:
    directory.mkdir(exist_ok=True)
    end = {"callId": call_id, "answeredMs": answered_ms, "dialStatus": "ANSWER", "now": world.now}
    (directory / f"{call_id}.json").write_text(json.dumps(end | {"ticks": world.at.boot_ms}))


async def test_engines_that_read_the_same_spool_settle_each_end_once(world: World, tmp_path: Path) -> None:
    booking_id = await a_talk(world, CallId("c1"))
    write_end(tmp_path / "journal", world, "c1", 7 * SECOND)
    told: list[str] = []
    journals = [
        EndSpool(
            tmp_path / "journal",
            world.storage,
            WorldClock(world),
            world.policy,
            lambda settlement: told.append(settlement.cdr.booking_id),
        )
        for _ in range(5)
    ]
    taken = await asyncio.gather(*(journal.take_in() for journal in journals))
    assert (sum(taken), told) == (1, [booking_id])
    assert world.rows("SELECT duration FROM cdrs") == [{"duration": 7}]
    assert kept(tmp_path) == {}


async def test_an_engine_killed_between_settling_and_deleting_settles_once(world: World, tmp_path: Path) -> None:
    await a_talk(world, CallId("c1"))
    write_end(tmp_path / "journal", world, "c1", 7 * SECOND)
    command = [
        sys.executable,
        "-m",
        "tests.integration.end_spool_process",
        str(world.database),
        str(tmp_path / "journal"),
    ]
    engine = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, VARIABLE: "end spool settled"})
    assert await asyncio.wait_for(engine.wait(), 30) == -signal.SIGKILL
    assert world.rows("SELECT duration FROM cdrs") == [{"duration": 7}]
    assert len(kept(tmp_path)) == 1
    assert await EndSpool(tmp_path / "journal", world.storage, WorldClock(world), world.policy, print).take_in() == 0
    assert world.rows("SELECT duration FROM cdrs") == [{"duration": 7}]
    assert kept(tmp_path) == {}
