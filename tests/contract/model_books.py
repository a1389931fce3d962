"""The state machine's database, of either kind, and an engine's access to it."""

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from engine.config.postgres_address import PostgresAddress
from engine.storage import queries
from engine.storage.errors import StorageUnavailable
from engine.storage.postgresql.session import Session
from engine.storage.transaction import Transaction
from tests.contract.model_clocks import Gate
from tests.postgresql import Outsider, empty

P = ParamSpec("P")
T = TypeVar("T")


class Books(ABC):
    """The database: it survives every engine."""

    @property
    @abstractmethod
    def db(self) -> sqlite3.Connection:
        """What is committed, for the queries of the tests."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """Another number after each change."""

    @abstractmethod
    def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    @abstractmethod
    def close(self) -> None: ...


class SqliteBooks(Books):
    """In memory."""

    def __init__(self, template: sqlite3.Connection) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        template.backup(self._db)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA foreign_keys = ON")
        self._tx = Transaction(queries.load("sqlite3"), self._db)

    @property
    def db(self) -> sqlite3.Connection:
        return self._db

    @property
    def changes(self) -> int:
        return self._db.total_changes

    def close(self) -> None:
        self._db.close()

    def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._db.execute("BEGIN")
        try:
            result = command(self._tx, *args, **kwargs)
        except Exception:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return result


class PostgresBooks(Books):
    """On a server. Commands run one after the other, with the statements and locks of the product."""

    def __init__(self, address: PostgresAddress) -> None:
        empty(address)
        self._outsider = Outsider(address)
        self._session = Session(address)
        self._changes, self._copied_at = 0, -1

    @property
    def db(self) -> sqlite3.Connection:
        if self._copied_at != self._changes:
            self._copy, self._copied_at = self._outsider.copied(), self._changes
            self._copy.row_factory = sqlite3.Row
        return self._copy

    @property
    def changes(self) -> int:
        return self._changes

    def close(self) -> None:
        self._session.close()

    def run(self, command: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._session.begin()
        try:
            result = command(Transaction(queries.load("psycopg"), self._session), *args, **kwargs)
        except Exception:
            self._session.roll_back()
            raise
        self._changes += self._session._has_written
        self._session.commit()
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
