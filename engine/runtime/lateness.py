"""How late the event loop comes to what is due: while it is, no call gets an answer.

Looked at only while somebody wants to know it: to look often enough costs about a hundredth of a core.
"""

import asyncio
import time
from collections import Counter

from engine.control.requests import HowLate, Lateness

# A pause that falls between two looks is seen for the part that the second one had to wait.
LOOK_SECONDS = 0.002
LONGEST_WATCH_SECONDS = 3_600
PAUSE_MS = 10


class LoopWatch:
    """Runs in the event loop that it watches. Keeps whole milliseconds and how often there were so many."""

    def __init__(self) -> None:
        self._seen = Counter[int]()
        self._own_ms = 0
        self._until = 0.0
        self._asked = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._asked.set())
        while not stop.is_set():
            self._asked.clear()
            while time.monotonic() < self._until and not stop.is_set():
                due, used = time.monotonic() + LOOK_SECONDS, time.process_time()
                await asyncio.sleep(LOOK_SECONDS)
                self._note(time.monotonic() - due, time.process_time() - used)
            await self._asked.wait()

    async def told(self, wanted: HowLate) -> Lateness:
        """What was seen since it was asked last. Looks on for as long as is wanted."""
        seen, self._seen = self._seen, Counter[int]()
        own_ms, self._own_ms = self._own_ms, 0
        self._until = time.monotonic() + min(wanted.watch_seconds, LONGEST_WATCH_SECONDS)
        self._asked.set()
        return Lateness(
            looks=seen.total(),
            p99_ms=_quantile(seen, 0.99),
            longest_ms=max(seen, default=0),
            own_ms=own_ms,
            pauses=sum(count for late_ms, count in seen.items() if late_ms > PAUSE_MS),
        )

    def _note(self, late: float, used: float) -> None:
        """Seconds; `used`: of CPU, by all of the engine, since the last look."""
        self._seen[max(0, int(late * 1000))] += 1
        self._own_ms = max(self._own_ms, int(min(late, used) * 1000))


def _quantile(seen: Counter[int], part: float) -> int:
    left = seen.total() * part
    for late_ms in sorted(seen):
        left -= seen[late_ms]
        if left <= 0:
            return late_ms
    return 0
