"""Waits for an event or for a time, whichever comes first."""

import asyncio
from collections.abc import Sequence


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
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
