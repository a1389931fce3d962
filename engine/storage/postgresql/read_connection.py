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
from engine.storage.errors import StorageError, StorageTooSlow, StorageUnavailable
from engine.storage.postgresql.connecting import Preference
from engine.storage.postgresql.faults import ConnectionLost, Fault, as_storage_error, fault_of, is_damage
from engine.storage.postgresql.session import Session

# The server ends a statement that takes too long. If it does not, the connection is closed this much later.
MARGIN_SECONDS = 0.5
# How long reads try again while the connection is lost, as commands do: another server may be promoted meanwhile.
LOST_SECONDS = 2.5
# Before a read tries again; the second time twice as long, and so on.
PAUSE_SECONDS = 0.005
MAX_PAUSE_SECONDS = 0.2
_INTERRUPTED = "57014"


class _Lost(Exception):
    """The connection broke or could not be made. The same read may succeed on a new one."""


class PostgresReadConnection:
    """A read-only connection, which sees everything that is committed. It connects again when the connection breaks.

    While that fails, reads wait, but all together for `LOST_SECONDS` only: those that come later fail at once.

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
        self._lost_at: float | None = None  # when reads began to fail (time.monotonic)

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
        pause = PAUSE_SECONDS
        while True:
            try:
                result = self._try(statement, parameters)
            except _Lost as lost:
                now = time.monotonic()
                self._lost_at = now if self._lost_at is None else self._lost_at
                if now + pause >= self._lost_at + LOST_SECONDS or self._thread is None:
                    raise StorageUnavailable(str(lost)) from lost
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
            except StorageError:
                self._lost_at = None
                raise
            else:
                self._lost_at = None
                return result

    def _try(self, statement: Callable[..., Any], parameters: dict[str, Any]) -> Any:  # noqa: ANN401  any value
        """Runs a statement once.

        Raises:
            _Lost: It may succeed on a new connection.
            StorageError: The server does not answer it, or refuses it.
        """
        try:
            return statement(self._connected(), **parameters)
        except ConnectionLost as lost:
            self._session = None
            if lost.is_late:
                self._preference.was_silent()
                raise StorageTooSlow(str(lost)) from lost
            raise _Lost(str(lost)) from lost
        except psycopg.Error as error:
            self.is_damaged |= is_damage(error)
            if error.sqlstate == _INTERRUPTED:
                raise StorageTooSlow("the query took too long") from None
            if fault_of(error) is not Fault.LOST:
                raise as_storage_error(error) from error
            self._drop_session()
            raise _Lost(str(error).strip()) from error

    def _connected(self) -> Session:
        seconds = self._statement_seconds
        if self._session is None:
            self._session = Session(
                self._address, statement_seconds=seconds, read_only=True, preference=self._preference
            )
        self._session.deadline = math.inf if seconds is None else time.monotonic() + seconds + MARGIN_SECONDS
        self._session.renew_plans()
        return self._session

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
