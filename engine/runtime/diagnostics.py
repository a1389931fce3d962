"""What a running engine holds of itself: the figures that must not grow with the calls that it has had."""

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

# An answer of the control socket is one line of bounded length.
MOST_NAMES = 20

MOST_LETTERS = 60

# A pause that falls between two looks is seen for the part that the second one had to wait.
LOOK_SECONDS = 0.002

LONGEST_WATCH_SECONDS = 3_600

PAUSE_MS = 10


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """`tasks` of the event loop; `commonest` of them by what they run. `memory_blocks`: pieces of memory that Python
    has given out, which grow with every object that is kept, while the process's own size moves in steps."""

    tasks: int
    threads: int
    memory_blocks: int
    commonest: dict[str, int]


def diagnose(*, collected: bool = False) -> Diagnostics:
    """Of the process and of the event loop that asks. `collected`: without what only waits for Python's collector."""
    if collected:
        gc.collect()
    tasks = asyncio.all_tasks()
    names = Counter(getattr(task.get_coro(), "__qualname__", "?")[-MOST_LETTERS:] for task in tasks)
    return Diagnostics(
        len(tasks), threading.active_count(), sys.getallocatedblocks(), dict(names.most_common(MOST_NAMES))
    )


@dataclass(frozen=True, slots=True)
class LatenessRequest:
    """How late the engine's event loop has been since this was last asked, if it was watched: so many seconds from now
    it is."""

    watch_seconds: int


@dataclass(frozen=True, slots=True)
class Lateness:
    """In milliseconds, of so many `looks`. `own_ms`: the longest that could be the engine's own doing, for its threads
    were at work so long; what is beyond that it waited for the machine. `pauses`: looks more than 10 ms late."""

    looks: int
    p99_ms: int
    longest_ms: int
    own_ms: int
    pauses: int


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

    async def told(self, wanted: LatenessRequest) -> Lateness:
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
