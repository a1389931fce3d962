"""Commands on their way through a storage, and how their callers get the outcomes."""

import asyncio
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

# Commands of one commit.
MAX_BATCH = 256

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Job:
    """A command that waits to be run, and its outcome."""

    command: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    may_raise: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    @property
    def name(self) -> str:
        """The command's name, for failpoints."""
        return getattr(self.command, "__name__", "command")

    def resolve(self) -> None:
        """Gives the caller the outcome. Runs in the caller's event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


def next_batch(jobs: "queue.SimpleQueue[Job | None]") -> tuple[list[Job], bool]:
    """Waits for one job, then takes all waiting jobs. The second value is False once None, the end, was taken."""
    batch: list[Job] = []
    job = jobs.get()
    while job is not None:
        batch.append(job)
        if len(batch) >= MAX_BATCH:
            return batch, True
        try:
            job = jobs.get_nowait()
        except queue.Empty:
            return batch, True
    return batch, False


def answer(batch: list[Job]) -> None:
    """Gives the callers their results, with one wake-up for each event loop instead of one for each job."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_all, jobs)
        except RuntimeError:
            log.warning("answers_without_listener", commands=len(jobs))


def _resolve_all(jobs: list[Job]) -> None:
    for job in jobs:
        job.resolve()
