"""Ends the process when its event loop stalls.

A stalled engine keeps every caller waiting that asks it something: Asterisk has no time-out for a hangup handler.
A dead one frees them at once, its sockets are closed, and whoever supervises it starts it again.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator

BEAT_SECONDS = 0.2
# In looks of the watchdog's own thread, not in time: after a suspend of the whole process both clocks have jumped,
# and neither side is to blame.
MISSED_LOOKS = 8


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """While inside, the process is killed when the event loop does not turn for about 1.6 s."""
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
        if missed >= MISSED_LOOKS:
            sys.stderr.write("the event loop has stalled: ending the process\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
