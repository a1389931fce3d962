"""Runs commands on PostgreSQL: some threads, each with a connection and a queue (worker.py).

Commands with the same key have the same thread, so they run in the order in which they were given.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog

from engine.config.postgres_address import PostgresAddress
from engine.domain.call_ends import EndedCall
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.errors import DatabaseInUse, StorageBusy, StorageUnavailable
from engine.storage.jobs import Job
from engine.storage.postgresql.worker import COMMAND_SECONDS, Worker
from engine.storage.tallies import StorageTallies
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8
# Commands that may wait; further ones are refused.
MAX_WAITING = 4096
# How long a start waits for an engine that is about to end, and between two tries.
CLAIM_SECONDS = 3.0
CLAIM_PAUSE_SECONDS = 0.1

log = structlog.get_logger(__name__)


class PostgresStorage:
    """Runs commands in transactions, in threads that `close` ends.

    Args:
        address: A migrated database.
        threads: How many commands run at once.
        command_seconds: How long a command may take.
    """

    def __init__(
        self, address: PostgresAddress, threads: int = THREADS, command_seconds: float = COMMAND_SECONDS
    ) -> None:
        self._closed = False
        self._last_commit: EpochMs | None = None
        self._wake_worker: Callable[[frozenset[AccountId]], object] | None = None
        self._count_ended: Callable[[Sequence[EndedCall]], object] | None = None
        self._lock = threading.Lock()
        self._is_damaged = False
        self.tallies = StorageTallies()
        self._workers = [
            Worker(address, command_seconds, number, self._note_commit, self._note_failure) for number in range(threads)
        ]

    def when_posted(self, wake: Callable[[frozenset[AccountId]], object]) -> None:
        """Makes the storage call `wake`, on one of its threads, after commits that put callbacks into the outbox."""
        self._wake_worker = wake

    def when_ended(self, count: Callable[[Sequence[EndedCall]], object]) -> None:
        """Makes the storage call `count`, on one of its threads, after each commit that wrote records of real calls."""
        self._count_ended = count

    @property
    def waiting(self) -> int:
        """How many commands wait."""
        return sum(worker.jobs.qsize() for worker in self._workers)

    @property
    def is_replaced(self) -> bool:
        """Whether the database's files were replaced: never known of a server's."""
        return False

    @property
    def is_damaged(self) -> bool:
        """Whether the server has found its data damaged."""
        return self._is_damaged

    @property
    def last_commit(self) -> EpochMs | None:
        """When a command was committed last; None: not yet."""
        return self._last_commit

    async def claim(self) -> None:
        """Makes this engine the only one on the database. See `engine.storage.interface.EngineStorage`.

        One connection holds a lock of the server. If it breaks, its thread takes the lock again, on the server that is
        the primary then, before it does anything else.
        """
        self._workers[0].is_claiming = True
        deadline = time.monotonic() + CLAIM_SECONDS
        while True:
            try:
                return await self.beat()
            except DatabaseInUse:
                # The server may not have noticed yet that an engine died.
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(CLAIM_PAUSE_SECONDS)

    def beat(self) -> asyncio.Future[None]:
        """Writes a mark, which shows that the database can be written, by the engine that has claimed it."""
        return self._queue(self._workers[0], _beat, (), {})

    def run(
        self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command. See `engine.storage.interface.Storage`."""
        worker = min(self._workers, key=lambda each: each.load)
        return self._queue(worker, command, args, kwargs)

    def run_keyed(
        self, key: str, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command after all those that were given before with the same key."""
        return self._queue(self._workers[hash(key) % len(self._workers)], command, args, kwargs)

    def _queue(
        self, worker: Worker, command: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(StorageUnavailable("the storage is closed"))
        elif self.waiting >= MAX_WAITING:
            future.set_exception(StorageBusy(f"{MAX_WAITING} commands are waiting"))
        else:
            worker.jobs.put(Job(command, args, kwargs, True, loop, future))
        return future

    async def close(self) -> None:
        """Runs the waiting commands, then closes the connections."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.jobs.put(None)
        for worker in self._workers:
            await asyncio.to_thread(worker.join)

    def _note_commit(self, transaction: Transaction, seconds: float) -> None:
        """Counts a commit, and calls the functions that wait for what it wrote."""
        self._last_commit = EpochMs(time.time_ns() // 1_000_000)
        with self._lock:
            self.tallies.note_commit(1, seconds)
            if transaction.ended and self._count_ended is not None:
                self._count_ended(transaction.ended)
        if transaction.posted_for and self._wake_worker is not None:
            with suppress(RuntimeError):  # the worker's event loop has ended: the next start delivers the callback
                self._wake_worker(transaction.posted_for)

    def _note_failure(self, error: Exception, is_damage: bool) -> None:
        """Counts a command that failed because of the database."""
        with self._lock:
            self.tallies.failures += 1
            self._is_damaged |= is_damage
        log.error("commit_failed", error=str(error), commands=1)


def _beat(tx: Transaction) -> None:
    tx.restores.beat()
