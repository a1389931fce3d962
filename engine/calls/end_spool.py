"""Settles the ends of calls that could not reach the engine.

Asterisk spools such an end as a file (agi_scripts/spool_ended.py). The engine removes a file only after the end is
settled and committed. Settling is keyed by the call's id, so reading a file twice changes nothing.
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
    """Reads the spool directory and settles what it finds. Calls `settled` after each end that it settled."""

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
        """Settles every spooled end, up to MAX_FILES.

        Returns:
            How many ends it settled.

        Raises:
            StorageError: The database failed. The rest of the files stays.
        """
        settled = 0
        for path in await asyncio.to_thread(self._files):
            try:
                settled += await self._take_in(path)
            except FileNotFoundError:
                continue  # another engine has removed it
            except OSError as error:
                # No permission, or a failing disk. The next round tries the file again.
                log.error("end_spool_file_stays", file=path.name, reason=str(error))
        return settled

    async def _take_in(self, path: Path) -> bool:
        """Returns whether the file settled a call. Raises StorageError, OSError."""
        try:
            report = await asyncio.to_thread(_read, path)
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
            log.error("end_spool_file_unreadable", file=path.name, kind=type(error).__name__)
            await asyncio.to_thread(path.rename, path.with_suffix(".bad"))
            return False
        settlement = await self._storage.run(call_ended, report, self._clock.now(), self._policy)
        failpoints.hit("end spool settled")
        # Before the file is removed: that may fail.
        if settlement is not None:
            cdr = settlement.cdr
            log.info("call_ended", call=report.call_id, cdr=cdr.id, seconds=cdr.duration, late=True)
            self._settled(settlement)
        await asyncio.to_thread(path.unlink, missing_ok=True)  # another engine may have read it as well
        return settlement is not None

    def _files(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return sorted(self._directory.glob(f"*{SUFFIX}"))[:MAX_FILES]


def _read(path: Path) -> EndReport:
    """Reads one end. Raises OSError, or another exception if the file's content is not an end."""
    with path.open("rb") as file:
        content = json.loads(file.read(MAX_BYTES))
    call_id = str(content["callId"])
    if not call_id.isascii():
        raise ValueError("not a call id")
    at = Timestamp(EpochMs(int(content["now"])), BootMs(int(content["ticks"])))
    return EndReport(CallId(call_id), int(content["answeredMs"]), str(content["dialStatus"]), at)
