"""What a running engine holds of itself: the figures that must not grow with the calls that it has had."""

import asyncio
import gc
import sys
import threading
from collections import Counter
from dataclasses import dataclass

# An answer of the control socket is one line of bounded length.
MOST_NAMES = 20
MOST_LETTERS = 60


@dataclass(frozen=True, slots=True)
class Vitals:
    """`tasks` of the event loop; `commonest` of them by what they run. `memory_blocks`: pieces of memory that Python
    has given out, which grow with every object that is kept, while the process's own size moves in steps."""

    tasks: int
    threads: int
    memory_blocks: int
    commonest: dict[str, int]


def vitals(*, collected: bool = False) -> Vitals:
    """Of the process and of the event loop that asks. `collected`: without what only waits for Python's collector."""
    if collected:
        gc.collect()
    tasks = asyncio.all_tasks()
    names = Counter(getattr(task.get_coro(), "__qualname__", "?")[-MOST_LETTERS:] for task in tasks)
    return Vitals(len(tasks), threading.active_count(), sys.getallocatedblocks(), dict(names.most_common(MOST_NAMES)))
