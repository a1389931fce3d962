"""The socket on which the command line asks a running engine for what it alone can do."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.control import server as control
from engine.control.client import ask_engine, ask_to_adjust
from engine.control.diagnostics import (
    DIAGNOSTICS,
    DIAGNOSTICS_VARIABLE,
    LATENESS,
    DiagnosticsRequest,
    ask_diagnostics,
    ask_lateness,
    diagnostics_enabled,
)
from engine.control.protocol import SOCKET, EngineRefused, EngineSilent, socket_path
from engine.control.requests import NAMES, Done, EndCalls, HangUp, ShareSeconds
from engine.control.server import MAX_CONVERSATIONS, ControlServer, Operation
from engine.domain.errors import NotFound
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.runtime.diagnostics import MAX_NAMES, Diagnostics, Lateness, LatenessRequest, diagnose
from engine.storage.bookings import Grant
from engine.storage.errors import StorageUnavailable
from tests.integration.test_adjustments import an_adjustment

KNOWN: dict[type, str] = {**NAMES, LatenessRequest: LATENESS, DiagnosticsRequest: DIAGNOSTICS}
DONE = Grant("grt_1", BookingId("bkg_1"), None, -120, 0, EpochMs(1), "a complaint")


def _is_heard(directory: Path) -> bool:
    """Directories of these tests may have longer paths than sockets."""
    with socket_path(directory) as path, socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


@asynccontextmanager
async def serving(directory: Path, answer: Any, known: Mapping[type, str] | None = None) -> AsyncIterator[list[Any]]:
    """A control server whose operations return or raise `answer`, or never end if that is None."""
    asked: list[Any] = []
    stop = asyncio.Event()

    async def carry_out(request: object) -> object:
        asked.append(request)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    operations = [Operation(name, request, carry_out) for request, name in (known or KNOWN).items()]
    task = asyncio.create_task(ControlServer(directory, operations).run(stop))
    try:
        async with asyncio.timeout(20):
            while not _is_heard(directory):  # noqa: ASYNC110  there is no event of it
                await asyncio.sleep(0.01)
            yield asked
    finally:
        stop.set()
        await task


async def ask(directory: Path) -> Grant | None:
    return await asyncio.to_thread(ask_to_adjust, directory, an_adjustment())


async def test_an_adjustment_reaches_the_engine_as_it_was_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE) as asked:
        assert await ask(tmp_path) == DONE
        assert asked == [an_adjustment()]


@pytest.mark.parametrize(
    "request_", [HangUp(CallId("1772366400.1")), EndCalls(BookingId("bkg_1")), ShareSeconds(BookingId("bkg_1"))]
)
async def test_every_other_request_reaches_it_too(tmp_path: Path, request_: HangUp | EndCalls | ShareSeconds) -> None:
    async with serving(tmp_path, Done(calls=3, unreached=1)) as asked:
        assert await asyncio.to_thread(ask_engine, tmp_path, request_) == Done(calls=3, unreached=1)
        assert asked == [request_]
    assert await asyncio.to_thread(ask_engine, tmp_path, request_) is None


async def test_what_an_engine_holds_of_itself_can_be_asked_for(tmp_path: Path) -> None:
    held = Diagnostics(tasks=17, threads=9, memory_blocks=400_000, commonest={"Engine._sweep": 1})
    async with serving(tmp_path, held) as asked:
        assert await asyncio.to_thread(ask_diagnostics, tmp_path) == held
        assert await asyncio.to_thread(ask_diagnostics, tmp_path, collected=True) == held
        assert asked == [DiagnosticsRequest(), DiagnosticsRequest(collected=True)]
    assert await asyncio.to_thread(ask_diagnostics, tmp_path) is None


async def test_production_has_neither_diagnostics_nor_lateness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIAGNOSTICS_VARIABLE, raising=False)
    assert not diagnostics_enabled()
    async with serving(tmp_path, DONE, NAMES):
        with pytest.raises(EngineRefused, match="not a request that the engine knows"):
            await asyncio.to_thread(ask_diagnostics, tmp_path)
        with pytest.raises(EngineRefused, match="not a request that the engine knows"):
            await asyncio.to_thread(ask_lateness, tmp_path, LatenessRequest(60))


async def test_each_task_counts_and_the_commonest_are_named() -> None:
    async def waits(gone: asyncio.Event) -> None:
        await gone.wait()

    gone, before = asyncio.Event(), diagnose(collected=True)
    kept = [asyncio.create_task(waits(gone)) for _ in range(50)]
    kept += [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    after = diagnose(collected=True)
    assert after.tasks == before.tasks + 53
    assert after.memory_blocks > before.memory_blocks
    assert len(after.commonest) <= MAX_NAMES
    assert max(after.commonest, key=lambda name: after.commonest[name]).endswith("waits")
    for task in kept:
        task.cancel()
    await asyncio.gather(*kept, return_exceptions=True)
    assert diagnose().tasks == before.tasks


async def test_what_waits_for_the_collector_only_does_not_count_once_that_was_asked_for() -> None:
    before = diagnose(collected=True)
    for _ in range(500):
        ring: list[object] = []
        ring.append(ring)
    assert diagnose(collected=True).memory_blocks < before.memory_blocks + 500


async def test_the_path_may_be_longer_than_a_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    async with serving(deep, DONE):
        assert await ask(deep) == DONE


async def test_only_its_owner_can_open_the_socket_and_it_goes_with_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE):
        mode = (tmp_path / SOCKET).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET).exists()
    assert await ask(tmp_path) is None


async def test_a_dead_engines_socket_is_no_engine_and_does_not_stop_the_next_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET))
    assert await ask(tmp_path) is None
    async with serving(tmp_path, DONE):
        assert await ask(tmp_path) == DONE


async def test_how_late_its_event_loop_has_been_can_be_asked(tmp_path: Path) -> None:
    late = Lateness(samples=500, p99_ms=4, longest_ms=12, own_ms=11, pauses=1)
    async with serving(tmp_path, late) as asked:
        assert await asyncio.to_thread(ask_lateness, tmp_path, LatenessRequest(60)) == late
        assert asked == [LatenessRequest(60)]
    assert await asyncio.to_thread(ask_lateness, tmp_path, LatenessRequest(60)) is None


@pytest.mark.parametrize("error", [NotFound("there is no such booking"), StorageUnavailable("disk full")])
async def test_a_refusal_is_told_in_the_engines_words(tmp_path: Path, error: Exception) -> None:
    async with serving(tmp_path, error):
        with pytest.raises(EngineRefused, match=str(error)):
            await ask(tmp_path)


async def test_an_engine_that_hangs_is_given_up_and_it_is_said_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "WORK_SECONDS", 0.2)
    async with serving(tmp_path, None):
        with pytest.raises(EngineSilent):
            await ask(tmp_path)


GOOD = {"op": "adjust", "id": "grt_1", "booking_id": "bkg_1", "seconds": -1, "calls": 0, "reason": "x"}
LINES: dict[str, bytes] = {
    "nothing": b"",
    "no end": b"{",
    "no JSON": b"adjust\n",
    "not UTF-8": b"\xff\xfe\n",
    "no object": b"[]\n",
    "deep": b"[" * 3000 + b"\n",
    "a field less": json.dumps({**GOOD, "reason": None}).encode() + b"\n",
    "a field more": json.dumps({**GOOD, "sql": "x"}).encode() + b"\n",
    "text for a number": json.dumps({**GOOD, "seconds": "1"}).encode() + b"\n",
    "a fraction": json.dumps({**GOOD, "seconds": 1.5}).encode() + b"\n",
    "a number for text": json.dumps({**GOOD, "booking_id": 1}).encode() + b"\n",
    "true for a number": json.dumps({**GOOD, "seconds": True}).encode() + b"\n",
    "nothing to do": json.dumps({**GOOD, "seconds": 0}).encode() + b"\n",
    "no operation": json.dumps({key: value for key, value in GOOD.items() if key != "op"}).encode() + b"\n",
    "an unknown operation": json.dumps({**GOOD, "op": "shell"}).encode() + b"\n",
    "an operation that is no name": json.dumps({**GOOD, "op": ["adjust"]}).encode() + b"\n",
    "another operation's fields": json.dumps({**GOOD, "op": "hang_up"}).encode() + b"\n",
    "a list of calls": json.dumps({"op": "hang_up", "call_id": ["1.1"]}).encode() + b"\n",
    "too long": b"x" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
async def test_what_cannot_be_asked_for_is_refused_and_the_next_one_is_heard(
    tmp_path: Path, line: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "READ_SECONDS", 0.3)
    async with serving(tmp_path, DONE) as asked:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
        with_answer = await _said(reader, writer, line)
        assert with_answer == b"" or "refused" in json.loads(with_answer)
        assert asked == []
        assert await ask(tmp_path) == DONE


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    try:
        writer.write(line)
        await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_peers_that_say_nothing_do_not_keep_others_out_for_longer_than_they_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "READ_SECONDS", 0.3)
    async with serving(tmp_path, DONE):
        silent = [await asyncio.open_unix_connection(str(tmp_path / SOCKET)) for _ in range(MAX_CONVERSATIONS)]
        assert await ask(tmp_path) == DONE
        for _, writer in silent:
            writer.close()


async def test_one_that_goes_before_the_answer_harms_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, DONE) as asked:
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / SOCKET))
            writer.write(json.dumps(GOOD).encode() + b"\n")
            writer.close()
        assert await ask(tmp_path) == DONE
        assert len(asked) == 4
