"""Ends of calls that found no engine: files that Asterisk's side wrote (agi_scripts/journal_ended.py), taken in once.

A file is removed only after its end is settled and committed; settling knows a call by its id, so a file that is
taken in twice changes nothing.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import structlog

from engine import failpoints
from engine.calls import EndReport, call_ended
from engine.clock import Clock
from engine.domain.times import Moment
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

SUFFIX = ".json"
MAX_BYTES = 4096
MAX_FILES = 1000


class Journal:
    """`settled` is called with the booking's id after each end that was taken in."""

    def __init__(self, directory: Path, storage: SqliteStorage, clock: Clock, settled: Callable[[str], None]) -> None:
        self._directory = directory
        self._storage = storage
        self._clock = clock
        self._settled = settled

    async def take_in(self) -> int:
        """Settle what lies there. Returns how many ends. Raises StorageError; what was not settled stays."""
        taken = 0
        for path in await asyncio.to_thread(self._files):
            report = await asyncio.to_thread(_read, path)
            if report is None:
                log.error("journal_unreadable", file=path.name)
                await asyncio.to_thread(path.rename, path.with_suffix(".bad"))
                continue
            settlement = await self._storage.run(call_ended, report, self._clock.now())
            failpoints.hit("journal settled")
            await asyncio.to_thread(path.unlink)
            if settlement is not None:
                taken += 1
                log.info(
                    "call_ended", call=report.call_id, cdr=settlement.cdr_id, seconds=settlement.duration, late=True
                )
                self._settled(settlement.booking_id)
        return taken

    def _files(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return sorted(self._directory.glob(f"*{SUFFIX}"))[:MAX_FILES]


def _read(path: Path) -> EndReport | None:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAX_BYTES))
        return EndReport(
            str(content["callId"]),
            int(content["answeredMs"]),
            str(content["dialStatus"]),
            Moment(int(content["now"]), int(content["ticks"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
