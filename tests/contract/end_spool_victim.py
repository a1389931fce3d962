"""A program that reads an end spool once: `python -m tests.contract.end_spool_victim DATABASE DIRECTORY`."""

import asyncio
import sys
from pathlib import Path

from engine.domain.ids import AccountId
from engine.storage.sqlite import SqliteStorage
from tests.contract.spooling import Reading
from tests.contract.world import World


async def main(database: Path, directory: Path) -> None:
    storage = SqliteStorage(database)
    world = World(storage, database, AccountId("acc_any"))
    await Reading(world, directory).spool.take_in()
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
