"""The engine's own word on how late its event loop comes to what is due."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.runtime.diagnostics import LOOK_SECONDS, PAUSE_MS, LatenessRequest, LoopWatch

PAUSE_SECONDS = 0.3
WATCH = LatenessRequest(60)


@asynccontextmanager
async def watching() -> AsyncIterator[LoopWatch]:
    watch, stop = LoopWatch(), asyncio.Event()
    task = asyncio.create_task(watch.run(stop))
    try:
        await watch.told(WATCH)
        await asyncio.sleep(10 * LOOK_SECONDS)
        yield watch
    finally:
        stop.set()
        await task


async def test_a_pause_is_seen_once_and_told_once() -> None:
    async with watching() as watch:
        time.sleep(PAUSE_SECONDS)  # noqa: ASYNC251  that is the pause
        await asyncio.sleep(2 * LOOK_SECONDS)
        late = await watch.told(WATCH)
        assert late.longest_ms >= (PAUSE_SECONDS - LOOK_SECONDS) * 1000
        assert late.looks >= 1
        assert late.pauses >= 1
        assert (await watch.told(WATCH)).longest_ms < late.longest_ms


async def test_it_says_whether_the_engine_was_at_work_or_waited_for_the_machine() -> None:
    async with watching() as watch:
        time.sleep(PAUSE_SECONDS)  # noqa: ASYNC251
        await asyncio.sleep(2 * LOOK_SECONDS)
        kept = await watch.told(WATCH)
        until = time.process_time() + PAUSE_SECONDS
        while time.process_time() < until:
            pass
        await asyncio.sleep(2 * LOOK_SECONDS)
        at_work = await watch.told(WATCH)
    assert kept.own_ms < PAUSE_SECONDS * 1000 / 2 < at_work.own_ms


async def test_it_looks_only_while_somebody_wants_to_know() -> None:
    watch, stop = LoopWatch(), asyncio.Event()
    task = asyncio.create_task(watch.run(stop))
    await asyncio.sleep(20 * LOOK_SECONDS)
    assert (await watch.told(WATCH)).looks == 0
    await asyncio.sleep(20 * LOOK_SECONDS)
    assert (await watch.told(LatenessRequest(0))).looks > 0
    await asyncio.sleep(5 * LOOK_SECONDS)
    await watch.told(LatenessRequest(0))
    await asyncio.sleep(20 * LOOK_SECONDS)
    assert (await watch.told(LatenessRequest(0))).looks == 0
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_the_99th_centile_is_that_of_all_looks() -> None:
    watch = LoopWatch()
    for late_ms in range(1, 101):
        watch._note(late_ms / 1000 + 0.0001, 0.0)
    late = await watch.told(WATCH)
    assert (late.looks, late.p99_ms, late.longest_ms, late.pauses) == (100, 99, 100, 100 - PAUSE_MS)


async def test_without_a_look_nothing_was_late() -> None:
    late = await LoopWatch().told(WATCH)
    assert (late.looks, late.p99_ms, late.longest_ms, late.pauses) == (0, 0, 0, 0)
