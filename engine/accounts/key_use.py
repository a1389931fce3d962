"""When each API key was used last. Noted in memory and written once a minute, so that reads stay reads."""

import asyncio
from collections.abc import Mapping

import structlog

from engine.accounts.accounts import note_key_use
from engine.runtime.clock import Clock
from engine.storage.errors import StorageError
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

WRITE_SECONDS = 60.0


class KeyUse:
    """Only keys that exist are noted, so there are never more entries than keys."""

    def __init__(self, storage: SqliteStorage, clock: Clock, *, write_seconds: float = WRITE_SECONDS) -> None:
        self._storage = storage
        self._clock = clock
        self._write_seconds = write_seconds
        self._unwritten: dict[str, int] = {}

    def used(self, key_id: str) -> None:
        self._unwritten[key_id] = self._clock.now()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, and then once more. A crash loses at most a minute of it."""
        while not stop.is_set():
            try:
                async with asyncio.timeout(self._write_seconds):
                    await stop.wait()
            except TimeoutError:
                pass
            await self._write()

    async def _write(self) -> None:
        used, self._unwritten = self._unwritten, {}
        if not used:
            return
        try:
            await self._storage.run(note_key_use, used)
        except StorageError as error:
            log.warning("key_use_not_written", error=type(error).__name__)
            self._keep(used)

    def _keep(self, used: Mapping[str, int]) -> None:
        self._unwritten = {**used, **self._unwritten}
