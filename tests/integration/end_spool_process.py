"""A program that reads an end spool once: `python -m tests.integration.end_spool_process DATABASE DIRECTORY`."""

import asyncio
import sys
from pathlib import Path

from engine.calls.end_spool import EndSpool
from engine.runtime.clock import SystemClock
from engine.storage.sqlite import SqliteStorage
from tests.contract.samples import POLICY


async def main(database: Path, directory: Path) -> None:
    storage = SqliteStorage(database)
    await EndSpool(directory, storage, SystemClock(), POLICY, lambda settlement: None).take_in()
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
