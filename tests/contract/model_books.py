"""The state machine's database, in memory, and an engine's access to it."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from engine.storage import queries
from engine.storage.errors import StorageUnavailable
from engine.storage.transaction import Transaction
from tests.contract.model_clocks import Gate

SQL = queries.load("sqlite3")
P = ParamSpec("P")
T = TypeVar("T")


class Books:
    """The database: it survives every engine."""

    def __init__(self, template: sqlite3.Connection) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        template.backup(self.db)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA foreign_keys = ON")
        self._tx = Transaction(SQL, self.db)

    def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.db.execute("BEGIN")
        try:
            result = command(self._tx, *args, **kwargs)
        except Exception:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        return result


class Storage:
    """An engine's access to the database. `failing`: how many of its next commands fail without storing anything."""

    def __init__(self, books: Books, gate: Gate) -> None:
        self._books = books
        self._gate = gate
        self.dead = False
        self.failing = 0

    async def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            await self._gate.passed()
        except asyncio.CancelledError:
            # The command was handed over; nobody waits to learn whether it is still executed.
            if not self.dead:
                self._books.run(command, *args, **kwargs)
            raise
        if self.dead:
            raise StorageUnavailable("the engine is dead")
        if self.failing:
            self.failing -= 1
            raise StorageUnavailable("disk full")
        result = self._books.run(command, *args, **kwargs)
        await self._gate.passed()
        return result

    def run_keyed(
        self, key: str, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[T]":
        """Hands a command over at once, as the product's storage does, also if nobody waits for its result."""
        task = asyncio.ensure_future(self.run(command, *args, **kwargs))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task
