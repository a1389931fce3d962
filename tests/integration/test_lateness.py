"""The engine's own word on how late its event loop comes to what is due."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.runtime.diagnostics import PAUSE_MS, SAMPLE_SECONDS, LatenessRequest, LoopWatch

PAUSE_SECONDS = 0.3
WATCH = LatenessRequest(60)


@asynccontextmanager
async def watching() -> AsyncIterator[LoopWatch]:
    watch, stop = LoopWatch(), asyncio.Event()
    task = asyncio.create_task(watch.run(stop))
    try:
        await watch.report(WATCH)
        await asyncio.sleep(10 * SAMPLE_SECONDS)
        yield watch
    finally:
        stop.set()
        await task


async def test_a_pause_is_seen_and_reported_once() -> None:
    async with watching() as watch:
        time.sleep(PAUSE_SECONDS)  # noqa: ASYNC251  that is the pause
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        late = await watch.report(WATCH)
        assert late.longest_ms >= (PAUSE_SECONDS - SAMPLE_SECONDS) * 1000
        assert late.samples >= 1
        assert late.pauses >= 1
        assert (await watch.report(WATCH)).longest_ms < late.longest_ms


async def test_a_report_shows_whether_the_engine_worked_or_waited_for_the_machine() -> None:
    async with watching() as watch:
        time.sleep(PAUSE_SECONDS)  # noqa: ASYNC251
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        kept = await watch.report(WATCH)
        until = time.process_time() + PAUSE_SECONDS
        while time.process_time() < until:
            pass
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        at_work = await watch.report(WATCH)
    assert kept.own_ms < PAUSE_SECONDS * 1000 / 2 < at_work.own_ms


async def test_lateness_is_measured_only_on_request() -> None:
    watch, stop = LoopWatch(), asyncio.Event()
    task = asyncio.create_task(watch.run(stop))
    await asyncio.sleep(20 * SAMPLE_SECONDS)
    assert (await watch.report(WATCH)).samples == 0
    await asyncio.sleep(20 * SAMPLE_SECONDS)
    assert (await watch.report(LatenessRequest(0))).samples > 0
    await asyncio.sleep(5 * SAMPLE_SECONDS)
    await watch.report(LatenessRequest(0))
    await asyncio.sleep(20 * SAMPLE_SECONDS)
    assert (await watch.report(LatenessRequest(0))).samples == 0
    stop.set()
    await asyncio.wait_for(task, 10)


async def test_the_99th_centile_is_that_of_all_samples() -> None:
    watch = LoopWatch()
    for late_ms in range(1, 101):
        watch._note(late_ms / 1000 + 0.0001, 0.0)
    late = await watch.report(WATCH)
    assert (late.samples, late.p99_ms, late.longest_ms, late.pauses) == (100, 99, 100, 100 - PAUSE_MS)


async def test_without_samples_the_lateness_is_zero() -> None:
    late = await LoopWatch().report(WATCH)
    assert (late.samples, late.p99_ms, late.longest_ms, late.pauses) == (0, 0, 0, 0)
