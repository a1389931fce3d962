"""A connection that reads, on a thread of its own: its statements run one at a time, each for a limited time."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg

from engine.config.postgres_address import PostgresAddress
from engine.storage.errors import StorageTooSlow, StorageUnavailable
from engine.storage.postgresql.connecting import Preference
from engine.storage.postgresql.faults import Fault, as_storage_error, fault_of, is_damage
from engine.storage.postgresql.session import ConnectionLost, Session

# The server ends a statement that takes too long. If it does not, the connection is closed this much later.
MARGIN_SECONDS = 0.5
_INTERRUPTED = "57014"


class PostgresReadConnection:
    """A read-only connection, which sees everything that is committed. It connects again when the connection breaks.

    Args:
        address: The database.
        statement_seconds: How long a statement may run; None: as long as it takes.

    Attributes:
        is_damaged: Whether a query has found the database damaged.
    """

    def __init__(self, address: PostgresAddress, statement_seconds: float | None) -> None:
        self.is_damaged = False
        self._address = address
        self._statement_seconds = statement_seconds
        self._thread: ThreadPoolExecutor | None = None
        self._session: Session | None = None
        self._preference = Preference()

    async def open(self) -> None:
        """Begins to take statements. The first one connects."""
        self._thread = ThreadPoolExecutor(1, "reads")

    async def close(self) -> None:
        """Closes the connection. Later statements raise StorageUnavailable."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)
            self._drop_session()

    async def run(self, statement: Callable[..., Any], **parameters: Any) -> Any:  # noqa: ANN401  any value
        """Runs a statement. See `engine.storage.read_connection.ReadConnection`."""
        if self._thread is None:
            raise StorageUnavailable("not connected")
        work = partial(self._run, statement, parameters)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _run(self, statement: Callable[..., Any], parameters: dict[str, Any]) -> Any:  # noqa: ANN401  any value
        for is_last in (False, True):
            try:
                return statement(self._connected(), **parameters)
            except ConnectionLost as lost:
                self._session = None
                if lost.is_late:
                    self._preference.was_silent()
                    raise StorageTooSlow(str(lost)) from lost
                if is_last:
                    raise StorageUnavailable(str(lost)) from lost
            except psycopg.Error as error:
                self.is_damaged |= is_damage(error)
                if error.sqlstate == _INTERRUPTED:
                    raise StorageTooSlow("the query took too long") from None
                if fault_of(error) is not Fault.LOST or is_last:
                    raise as_storage_error(error) from error
                self._drop_session()
        raise AssertionError("the last attempt returns or raises")

    def _connected(self) -> Session:
        seconds = self._statement_seconds
        if self._session is None:
            self._session = Session(
                self._address, statement_seconds=seconds, read_only=True, preference=self._preference
            )
        self._session.deadline = math.inf if seconds is None else time.monotonic() + seconds + MARGIN_SECONDS
        return self._session

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
