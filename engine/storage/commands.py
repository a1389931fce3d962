"""What both kinds of storage have in common: how they take commands, and what they do after commits."""

import asyncio
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from engine.domain.call_ends import EndedCall
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.errors import StorageBusy, StorageUnavailable
from engine.storage.jobs import Job
from engine.storage.tallies import StorageTallies

# Commands that may wait; further ones are refused.
MAX_WAITING = 4096

log = structlog.get_logger(__name__)


class Commands:
    """Takes commands for the queues of a storage, until it is closed. See `engine.storage.interface.EngineStorage`."""

    def __init__(self) -> None:
        self.tallies = StorageTallies()
        self._closed = False
        self._is_damaged = False
        self._last_commit: EpochMs | None = None
        self._wake_worker: Callable[[frozenset[AccountId]], object] | None = None
        self._count_ended: Callable[[Sequence[EndedCall]], object] | None = None

    def when_posted(self, wake: Callable[[frozenset[AccountId]], object]) -> None:
        """Makes the storage call `wake`, where it commits, after commits that put callbacks into the outbox."""
        self._wake_worker = wake

    def when_ended(self, count: Callable[[Sequence[EndedCall]], object]) -> None:
        """Makes the storage call `count`, where it commits, after each commit that wrote records of real calls."""
        self._count_ended = count

    @property
    def is_damaged(self) -> bool:
        """Whether a command has found the database damaged."""
        return self._is_damaged

    @property
    def last_commit(self) -> EpochMs | None:
        """When something was committed last; None: not yet."""
        return self._last_commit

    def _take(
        self,
        jobs: "queue.SimpleQueue[Job | None]",
        waiting: int,
        command: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        may_raise: bool,
    ) -> asyncio.Future[Any]:
        """Puts a command into a queue, unless too many wait.

        Args:
            jobs: The queue.
            waiting: How many commands wait in all queues.
            command: The command.
            args: Its arguments.
            kwargs: Its arguments.
            may_raise: Whether it may raise as part of its work.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(StorageUnavailable("the storage is closed"))
        elif waiting >= MAX_WAITING:
            future.set_exception(StorageBusy(f"{MAX_WAITING} commands are waiting"))
        else:
            jobs.put(Job(command, args, kwargs, may_raise, loop, future))
        return future

    def _note_commit(self, commands: int, seconds: float, ended: Sequence[EndedCall]) -> None:
        """Counts a commit and the calls that ended with it."""
        self._last_commit = EpochMs(time.time_ns() // 1_000_000)
        self.tallies.note_commit(commands, seconds)
        if ended and self._count_ended is not None:
            self._count_ended(ended)

    def _note_failure(self, error: Exception, *, commands: int, is_damage: bool) -> None:
        """Counts commands that failed because of the database."""
        self.tallies.failures += 1
        self._is_damaged |= is_damage
        log.error("commit_failed", kind=type(error).__name__, error=str(error), commands=commands)

    def _wake(self, posted_for: frozenset[AccountId]) -> None:
        """Wakes the worker that sends the callbacks of these accounts."""
        if posted_for and self._wake_worker is not None:
            with suppress(RuntimeError):  # the worker's event loop has ended: the next start delivers the callback
                self._wake_worker(posted_for)
