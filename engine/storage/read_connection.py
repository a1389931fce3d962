"""A read-only connection whose statements run one at a time, each for a limited time."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

from engine.storage.errors import DAMAGE, StorageTooSlow, StorageUnavailable


class ReadConnection(Protocol):
    """A connection that reads what is committed. Its statements are those of `engine.storage.database.read_statements`.

    Attributes:
        is_damaged: Whether a query has found the database damaged.
    """

    is_damaged: bool

    async def open(self) -> None:
        """Opens the connection."""

    async def close(self) -> None:
        """Closes the connection. Later statements raise StorageUnavailable."""

    async def run(self, statement: Callable[..., Any], **parameters: Any) -> Any:  # noqa: ANN401  any value
        """Runs a statement of queries/*.sql and returns what it returns.

        Raises:
            StorageTooSlow: It ran for too long and was interrupted.
            StorageUnavailable: The database failed, or the connection is closed.
        """


class SqliteReadConnection:
    """A read-only connection, which sees everything that is committed.

    Args:
        path: The database.
        statement_seconds: How long a statement may run; None: as long as it takes.

    Attributes:
        is_damaged: Whether a query has found the database malformed.
    """

    def __init__(self, path: Path, statement_seconds: float | None) -> None:
        self.is_damaged = False
        self._path = path
        self._statement_seconds = statement_seconds
        self._db: aiosqlite.Connection | None = None
        # aiosqlite would queue the statements too, but the time that one waits must not count as time that it runs.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Opens the connection."""
        self._db = await aiosqlite.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._db.row_factory = sqlite3.Row

    async def close(self) -> None:
        """Closes the connection. Later statements raise StorageUnavailable."""
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def run(self, statement: Callable[..., Awaitable[Any]], **parameters: Any) -> Any:  # noqa: ANN401  any value
        """Runs a statement. See `ReadConnection`."""
        async with self._turn:
            if self._db is None:
                raise StorageUnavailable("not connected")
            try:
                async with asyncio.timeout(self._statement_seconds):
                    return await statement(self._db, **parameters)
            except TimeoutError:
                await self._db.interrupt()
                raise StorageTooSlow("the query took too long") from None
            except asyncio.CancelledError:
                # The request has ended. Its statement must not keep those that wait behind it.
                await self._db.interrupt()
                raise
            except (sqlite3.Error, ValueError) as error:  # aiosqlite raises ValueError on a closed connection
                self.is_damaged |= getattr(error, "sqlite_errorcode", None) in DAMAGE
                raise StorageUnavailable(str(error)) from error
