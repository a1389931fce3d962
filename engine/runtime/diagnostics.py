"""Measures the running engine: what it holds in memory, and how late its event loop is.

What it holds must not grow with the number of calls that it has handled. The control socket asks for both.
"""

import asyncio
import gc
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

# An answer of the control socket is one line of bounded length.
MAX_NAMES = 20
MAX_NAME_LENGTH = 60

# A pause that begins between two samples counts only for the part by which it delays the second one.
SAMPLE_SECONDS = 0.002
LONGEST_WATCH_SECONDS = 3_600
PAUSE_MS = 10


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What the process holds.

    Attributes:
        tasks: Tasks of the event loop.
        threads: Threads of the process.
        memory_blocks: Blocks of memory that Python has allocated. They grow with every object that is kept; the size of
            the process grows in steps instead.
        commonest: Counts of the most common tasks, by the name of their coroutine.
    """

    tasks: int
    threads: int
    memory_blocks: int
    commonest: dict[str, int]


def diagnose(*, collected: bool = False) -> Diagnostics:
    """Returns what the process and the running event loop hold.

    Args:
        collected: Whether to run Python's garbage collector first.
    """
    if collected:
        gc.collect()
    tasks = asyncio.all_tasks()
    names = Counter(getattr(task.get_coro(), "__qualname__", "?")[-MAX_NAME_LENGTH:] for task in tasks)
    return Diagnostics(
        len(tasks), threading.active_count(), sys.getallocatedblocks(), dict(names.most_common(MAX_NAMES))
    )


@dataclass(frozen=True, slots=True)
class LatenessRequest:
    """Asks how late the event loop was since the last request, and has it watched for `watch_seconds` from now on."""

    watch_seconds: int


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late the event loop was.

    Attributes:
        samples: How often it was measured.
        p99_ms: The 99th percentile, in milliseconds.
        longest_ms: The longest delay, in milliseconds.
        own_ms: The longest delay during which the engine's own threads used the CPU, in milliseconds. The rest of a
            delay is time for which the engine waited for the machine.
        pauses: Samples that were more than PAUSE_MS late.
    """

    samples: int
    p99_ms: int
    longest_ms: int
    own_ms: int
    pauses: int


class LoopWatch:
    """Measures on request how late the event loop is in which it runs.

    It keeps one counter for each whole millisecond of delay.
    """

    def __init__(self) -> None:
        self._counts = Counter[int]()
        self._own_ms = 0
        self._watch_until = 0.0
        self._requested = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Measures while requested, until `stop`."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._requested.set())
        while not stop.is_set():
            self._requested.clear()
            while time.monotonic() < self._watch_until and not stop.is_set():
                due, used = time.monotonic() + SAMPLE_SECONDS, time.process_time()
                await asyncio.sleep(SAMPLE_SECONDS)
                self._note(time.monotonic() - due, time.process_time() - used)
            await self._requested.wait()

    async def report(self, wanted: LatenessRequest) -> Lateness:
        """Returns what was measured since the last report, and measures on for as long as requested."""
        counts, self._counts = self._counts, Counter[int]()
        own_ms, self._own_ms = self._own_ms, 0
        self._watch_until = time.monotonic() + min(wanted.watch_seconds, LONGEST_WATCH_SECONDS)
        self._requested.set()
        return Lateness(
            samples=counts.total(),
            p99_ms=_quantile(counts, 0.99),
            longest_ms=max(counts, default=0),
            own_ms=own_ms,
            pauses=sum(count for late_ms, count in counts.items() if late_ms > PAUSE_MS),
        )

    def _note(self, late: float, used: float) -> None:
        """Counts one sample: its delay and the CPU time of all threads since the one before, both in seconds."""
        self._counts[max(0, int(late * 1000))] += 1
        self._own_ms = max(self._own_ms, int(min(late, used) * 1000))


def _quantile(counts: Counter[int], part: float) -> int:
    left = counts.total() * part
    for late_ms in sorted(counts):
        left -= counts[late_ms]
        if left <= 0:
            return late_ms
    return 0
