"""A real database in a file, for tests over real sockets, and its clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.domain.times import EpochMs, Timestamp
from engine.storage.migrate import migrate
from engine.storage.sqlite import SqliteStorage
from tests.contract.world import World


class WorldClock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> EpochMs:
        return self._world.now

    def timestamp(self) -> Timestamp:
        return self._world.at


@asynccontextmanager
async def world_on_disk(directory: Path) -> AsyncIterator[World]:
    """A database with an account and some numbers. Checks the ledger at the end."""
    database = directory / "rented-numbers.sqlite3"
    migrate(database)
    storage = SqliteStorage(database)
    try:
        world = await World.begin(storage, database)
        yield world
        world.check_ledger()
    finally:
        await storage.close()
