"""Runs commands on PostgreSQL: workers, each with a connection and a queue (worker.py), in the event loop (hub.py).

Commands with the same key have the same worker, so they run in the order in which they were given.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from engine.config.postgres_address import PostgresAddress
from engine.storage.commands import Commands
from engine.storage.postgresql.hub import Hub
from engine.storage.postgresql.worker import COMMAND_SECONDS, Worker
from engine.storage.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")

CONNECTIONS = 8


class PostgresStorage(Commands):
    """Runs commands in transactions, in the event loop of whoever gives it the commands.

    Args:
        address: A migrated database.
        connections: How many commands run at once.
        command_seconds: How long a command may take.
    """

    def __init__(
        self, address: PostgresAddress, connections: int = CONNECTIONS, command_seconds: float = COMMAND_SECONDS
    ) -> None:
        super().__init__()
        self._hub = Hub()
        self._workers = [
            Worker(address, command_seconds, self._hub, committed=self._committed, failed=self._failed)
            for _ in range(connections)
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
        # Each worker takes its part of what may wait.
        waiting = worker.jobs.qsize() * len(self._workers)
        future = self._take(worker.jobs, waiting, command, args, kwargs, may_raise=True)
        worker.wake()
        return future

    async def close(self) -> None:
        """Runs the waiting commands, then closes the connections."""
        if self._closed:
            return
        self._closed = True
        for worker in self._workers:
            worker.jobs.put(None)
            worker.wake()
        await self._hub.ended()

    def _committed(self, transaction: Transaction, seconds: float) -> None:
        self._note_commit(1, seconds, transaction.ended)
        self._wake(transaction.posted_for)

    def _failed(self, error: Exception, is_damage: bool) -> None:
        self._note_failure(error, commands=1, is_damage=is_damage)


def _beat(tx: Transaction) -> None:
    tx.restores.beat()
