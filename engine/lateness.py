"""How late the event loop comes to what is due: while it is, no call gets an answer."""

import asyncio
import time
from collections import Counter

from engine.requests import HowLate, Lateness

# Looked at so often; a pause that falls between two looks is seen for the part that the second one had to wait.
LOOK_SECONDS = 0.02
# A pause that is noticed by people: the answer to a call that it hits comes so much later.
PAUSE_MS = 10


class LoopWatch:
    """Runs in the event loop that it watches. Keeps whole milliseconds and how often there were so many."""

    def __init__(self) -> None:
        self._seen = Counter[int]()
        self._busy_ms = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            due, used = time.monotonic() + LOOK_SECONDS, time.thread_time()
            await asyncio.sleep(LOOK_SECONDS)
            self._note(time.monotonic() - due, time.thread_time() - used)

    async def told(self, _: HowLate) -> Lateness:
        """Since it was last asked, or since the start."""
        seen, self._seen = self._seen, Counter[int]()
        busy_ms, self._busy_ms = self._busy_ms, 0
        return Lateness(
            looks=seen.total(),
            p99_ms=_quantile(seen, 0.99),
            longest_ms=max(seen, default=0),
            busy_ms=busy_ms,
            pauses=sum(count for late_ms, count in seen.items() if late_ms > PAUSE_MS),
        )

    def _note(self, late: float, busy: float) -> None:
        late_ms = max(0, int(late * 1000))
        if late_ms >= max(self._seen, default=0):
            self._busy_ms = int(busy * 1000)
        self._seen[late_ms] += 1


def _quantile(seen: Counter[int], part: float) -> int:
    left = seen.total() * part
    for late_ms in sorted(seen):
        left -= seen[late_ms]
        if left <= 0:
            return late_ms
    return 0
