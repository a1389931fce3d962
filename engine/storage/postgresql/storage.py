"""Runs commands on PostgreSQL: some threads, each with a connection and a queue (worker.py).

Commands with the same key have the same thread, so they run in the order in which they were given.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from engine.config.postgres_address import PostgresAddress
from engine.storage.commands import Commands
from engine.storage.postgresql.worker import COMMAND_SECONDS, Worker
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8


class PostgresStorage(Commands):
    """Runs commands in transactions, in threads that `close` ends.

    Args:
        address: A migrated database.
        threads: How many commands run at once.
        command_seconds: How long a command may take.
    """

    def __init__(
        self, address: PostgresAddress, threads: int = THREADS, command_seconds: float = COMMAND_SECONDS
    ) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._workers = [
            Worker(address, command_seconds, number, self._committed, self._failed) for number in range(threads)
        ]

    @property
    def waiting(self) -> int:
        """How many commands wait."""
        return sum(worker.jobs.qsize() for worker in self._workers)

    @property
    def is_replaced(self) -> bool:
        """Whether the database's files were replaced: never known of a server's."""
        return False

    def beat(self) -> asyncio.Future[None]:
        """Writes a mark, which shows that the database can be written."""
        return self.run(_beat)

    def run(
        self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command. See `engine.storage.interface.Storage`."""
        worker = min(self._workers, key=lambda each: each.load)
        return self._give(worker, command, args, kwargs)

    def run_keyed(
        self, key: str, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Runs a command after all those that were given before with the same key."""
        return self._give(self._workers[hash(key) % len(self._workers)], command, args, kwargs)

    def _give(
        self, worker: Worker, command: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Future[Any]:
        # Each thread takes its part of what may wait.
        return self._take(worker.jobs, worker.jobs.qsize() * len(self._workers), command, args, kwargs, may_raise=True)

    async def close(self) -> None:
        """Runs the waiting commands, then closes the connections."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.jobs.put(None)
        for worker in self._workers:
            await asyncio.to_thread(worker.join)

    def _committed(self, transaction: Transaction, seconds: float) -> None:
        with self._lock:
            self._note_commit(1, seconds, transaction.ended)
        self._wake(transaction.posted_for)

    def _failed(self, error: Exception, is_damage: bool) -> None:
        with self._lock:
            self._note_failure(error, commands=1, is_damage=is_damage)


def _beat(tx: Transaction) -> None:
    tx.restores.beat()
