"""A program that reads an end spool once: `python -m tests.contract.end_spool_victim DATABASE DIRECTORY`."""

import asyncio
import sys
from pathlib import Path

from engine.config.postgres_address import PostgresAddress
from engine.domain.ids import AccountId
from engine.storage.database import Database, open_storage
from tests.contract.spooling import Reading
from tests.contract.world import World


async def main(database: Database, directory: Path) -> None:
    storage = open_storage(database)
    world = World(storage, database, AccountId("acc_any"))
    await Reading(world, directory).spool.take_in()
    await storage.close()


if __name__ == "__main__":
    place, spool = sys.argv[1:]
    asyncio.run(main(PostgresAddress(place) if "://" in place else Path(place), Path(spool)))
