"""Waits for the first of several things: events, tasks, a time."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager


async def wait_for(event: asyncio.Event, seconds: float) -> bool:
    """Waits until `event` is set, for at most `seconds`.

    Returns:
        Whether the event is set.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


async def wait_for_any(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Waits until one of `events` is set, for at most `seconds`."""
    await run_until_one_ends(*(event.wait() for event in events), seconds=seconds)


@contextmanager
def woken_to_stop(wake: asyncio.Event, stop: asyncio.Event) -> Iterator[None]:
    """Sets `wake` when `stop` is set, so that a loop inside waits for `wake` alone: `wait_for_any` needs two tasks."""
    stopped = asyncio.ensure_future(stop.wait())
    stopped.add_done_callback(lambda _: wake.set())
    try:
        yield
    finally:
        stopped.cancel()


async def run_until_one_ends(*parts: Awaitable[object], seconds: float | None = None) -> None:
    """Runs all parts until one of them has ended or failed, for at most `seconds`, and then cancels the others."""
    tasks = [asyncio.ensure_future(each) for each in parts]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
