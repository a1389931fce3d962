"""Ends of calls that found no engine: files that Asterisk's side wrote (agi_scripts/spool_ended.py), taken in once.

A file is removed only after its end is settled and committed; settling knows a call by its id, so a file that is
taken in twice changes nothing.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import structlog

from engine.calls.lifecycle import EndReport, Settlement, call_ended
from engine.domain.ids import CallId
from engine.domain.policy import Policy
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.runtime import failpoints
from engine.runtime.clock import Clock
from engine.storage.sqlite import SqliteStorage

log = structlog.get_logger(__name__)

SUFFIX = ".json"
MAX_BYTES = 4096
MAX_FILES = 1000


class EndSpool:
    """`settled` is called after each end that was taken in."""

    def __init__(
        self,
        directory: Path,
        storage: SqliteStorage,
        clock: Clock,
        policy: Policy,
        settled: Callable[[Settlement], None],
    ) -> None:
        self._directory = directory
        self._storage = storage
        self._clock = clock
        self._policy = policy
        self._settled = settled

    async def take_in(self) -> int:
        """Settle what lies there. Returns how many ends. Raises StorageError; what was not settled stays."""
        taken = 0
        for path in await asyncio.to_thread(self._files):
            try:
                taken += await self._take_in(path)
            except FileNotFoundError:
                continue  # another engine was faster
            except OSError as error:
                # No right to it, a disk that fails: of no file is more known than that it lies there.
                log.error("journal_file_stays", file=path.name, reason=str(error))
        return taken

    async def _take_in(self, path: Path) -> bool:
        """Whether it settled a call. Raises StorageError, OSError."""
        try:
            report = await asyncio.to_thread(_read, path)
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            log.error("journal_unreadable", file=path.name, kind=type(error).__name__)
            await asyncio.to_thread(path.rename, path.with_suffix(".bad"))
            return False
        settlement = await self._storage.run(call_ended, report, self._clock.now(), self._policy)
        failpoints.hit("journal settled")
        # What was settled is said whatever becomes of the file.
        if settlement is not None:
            log.info("call_ended", call=report.call_id, cdr=settlement.cdr_id, seconds=settlement.duration, late=True)
            self._settled(settlement)
        await asyncio.to_thread(path.unlink, missing_ok=True)  # another engine may have taken it in as well
        return settlement is not None

    def _files(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return sorted(self._directory.glob(f"*{SUFFIX}"))[:MAX_FILES]


def _read(path: Path) -> EndReport:
    """Raises OSError; anything else when it is not what was once written there."""
    with path.open("rb") as file:
        content = json.loads(file.read(MAX_BYTES))
    call_id = str(content["callId"])
    if not call_id.isascii():
        raise ValueError("not the id of a call")
    at = Timestamp(EpochMs(int(content["now"])), BootMs(int(content["ticks"])))
    return EndReport(CallId(call_id), int(content["answeredMs"]), str(content["dialStatus"]), at)
