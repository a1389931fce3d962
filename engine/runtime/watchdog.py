"""Kills the process if its event loop stalls.

A stalled engine keeps callers waiting, because Asterisk has no time-out for a hangup handler. When the process dies,
its sockets close, which frees the callers at once, and its supervisor starts it again.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator

BEAT_SECONDS = 0.2
# Checks of the watchdog thread without a beat. Not a duration: after the whole process was suspended, the clock has
# jumped although the loop has not stalled.
MAX_MISSED_BEATS = 8


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Inside the `async with` block, kills the process if the event loop does not run for about 1.6 s."""
    beat = threading.Event()
    done = threading.Event()
    watchdog = threading.Thread(target=_watch, args=(beat, done), name="watchdog", daemon=True)
    beating = asyncio.create_task(_beat(beat))
    watchdog.start()
    try:
        yield
    finally:
        done.set()
        beating.cancel()


async def _beat(beat: threading.Event) -> None:
    while True:
        beat.set()
        await asyncio.sleep(BEAT_SECONDS)


def _watch(beat: threading.Event, done: threading.Event) -> None:
    missed = 0
    while not done.wait(BEAT_SECONDS):
        missed = 0 if beat.is_set() else missed + 1
        beat.clear()
        if missed >= MAX_MISSED_BEATS:
            sys.stderr.write("the event loop has stalled: killing the process\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
