"""Tries the database regularly: a real read on a new connection, and a real small write.

What it finds is kept for /health and /ready, which everybody may ask: a request causes no work in the database.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import structlog

from engine.config.postgres_address import PostgresAddress
from engine.runtime.periodic import wait_for
from engine.storage.database import Database
from engine.storage.errors import DAMAGE, DatabaseReplaced, StorageError
from engine.storage.files import read_only
from engine.storage.interface import EngineStorage
from engine.storage.reads import Reads

log = structlog.get_logger(__name__)

UP = "up"
REPLACED = "replaced"
DAMAGED = "damaged"
UNREADABLE = "cannot be read"
UNWRITABLE = "cannot be written"
UNKNOWN = "not known yet"
# A replaced file is noticed within this time even if nothing is written, and at the next commit otherwise.
PROBE_SECONDS = 2.0
# The time for a read and a write; a slower database is reported.
TRY_SECONDS = 3.0
# Results that are older than this count for nothing: the probe itself hangs.
MAX_AGE_SECONDS = 10.0


class StorageProbe:
    """Probes one database.

    Args:
        database: The database.
        storage: Writes to it.
        reads: Reads from it; what it found damaged is reported as well.
    """

    def __init__(
        self,
        database: Database,
        storage: EngineStorage,
        reads: Reads,
        interval: float = PROBE_SECONDS,
    ) -> None:
        self._database = database
        self._storage = storage
        self._reads = reads
        self._interval = interval
        self._state, self._probed_at = UNKNOWN, time.monotonic()

    @property
    def state(self) -> str:
        """`up`, or what is wrong."""
        # A command or a request may have found out since the last probe.
        if self._storage.is_replaced:
            return REPLACED
        if self._storage.is_damaged or self._reads.is_damaged:
            return DAMAGED
        return self._state if time.monotonic() - self._probed_at < MAX_AGE_SECONDS else UNWRITABLE

    async def run(self, stop: asyncio.Event) -> None:
        """Probes until `stop`, the first time at once. Logs every change of the state."""
        logged = UP
        while not stop.is_set():
            await self.probe()
            state = self.state
            if state != logged:
                (log.info if state == UP else log.error)("database_state", state=state)
                logged = state
            await wait_for(stop, self._interval)

    async def probe(self) -> None:
        """Probes once."""
        state = await self._try()
        self._state, self._probed_at = state, time.monotonic()

    async def _try(self) -> str:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await self._storage.beat()
        except DatabaseReplaced:
            return REPLACED
        except (StorageError, TimeoutError):
            return UNWRITABLE
        try:
            async with asyncio.timeout(TRY_SECONDS):
                if isinstance(self._database, PostgresAddress):
                    await self._reads.latest_reported_call()
                    return UP
                return await asyncio.to_thread(_read_every_table, self._database)
        except (StorageError, TimeoutError):
            return UNREADABLE


def _read_every_table(database: Path) -> str:
    """Reads the newest row of every table, from the root of its tree to a leaf. A new connection has no page cached."""
    try:
        with closing(read_only(database)) as connection:
            tables = connection.execute("SELECT name, wr FROM pragma_table_list WHERE type = 'table'").fetchall()
            for table, without_rowid in tables:
                # Names of tables come from the migrations.
                order = "" if without_rowid else "ORDER BY rowid DESC"
                connection.execute(f"SELECT * FROM {table} {order} LIMIT 1").fetchall()  # noqa: S608
    except sqlite3.Error as error:
        return DAMAGED if getattr(error, "sqlite_errorcode", None) in DAMAGE else UNREADABLE
    return UP
