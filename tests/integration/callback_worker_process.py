"""A worker that delivers until it is killed: `python -m tests.integration.callback_worker_process DATABASE`."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from engine.callbacks.worker import CallbackWorker
from engine.domain.policy import DeliveryRules
from engine.runtime.clock import SystemClock
from engine.storage.sqlite import SqliteStorage
from tests.integration.callback_sending import DEMO

# Short times, so that the next worker soon takes up what a killed one held.
CONFIG = DeliveryRules(workers=4, timeout_ms=500, waits_ms=(20, 20, 20), rules=DEMO, margin_ms=100, hold_ms=200)


async def main(database: Path) -> None:
    await CallbackWorker(SqliteStorage(database), SystemClock(), replace(CONFIG)).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
