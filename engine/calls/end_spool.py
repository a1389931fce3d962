"""Reads the end spool, a file to which Asterisk appends the report of each end.

Asterisk also sends each report as an event, so that the engine settles the call at once; but events can be lost. So the
engine reads what is new in the file at its start and in every round of reconciliation, and settles the calls whose
events were lost.
Settlement is keyed by the call's id: reading a line twice changes nothing.

Once the file is long, the engine renames it, and Asterisk begins a new one. The renamed file is read until the next one
takes its place, because Asterisk may have opened it before.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from engine.calls.report_intake import ReportIntake
from engine.calls.reports import ENDED, MAX_BYTES
from engine.domain.ids import CallId
from engine.runtime import failpoints
from engine.runtime.file_access import open_regular

log = structlog.get_logger(__name__)

CURRENT = "ends"
FORMER = "ends.old"
# The file is renamed when it is this long, about 10,000 calls.
ROTATE_BYTES = 1024 * 1024
# About 600 ends, which wait for one commit.
CHUNK_BYTES = 64 * 1024
_BEGINNING = re.compile(f"(?={ENDED} )".encode())
# The event of an end that stands in the spool arrives within this time, so that the end is not looked up once more.
EVENT_SECONDS = 0.1


@dataclass(slots=True)
class _Place:
    """How far a file has been read.

    Attributes:
        inode: Tells whether it is still the same file.
        offset: Where its next line begins.
        size: Its size when it was read last: more than `offset` if its last line has no end.
    """

    inode: int = 0
    offset: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """Whole lines of a file, and the place behind them."""

    lines: list[bytes]
    inode: int
    offset: int


class EndSpool:
    """Reads the end spool in a directory and hands its ends to the report intake."""

    def __init__(self, directory: Path, intake: ReportIntake, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._current = directory / CURRENT
        self._former = directory / FORMER
        self._intake = intake
        self._rotate_bytes = rotate_bytes
        self._one_at_a_time = asyncio.Lock()
        self._places = {self._current: _Place(), self._former: _Place()}

    async def take_in(self) -> int:
        """Settles every end that is new in the spool and is not settled yet.

        Returns:
            How many calls it settled.

        Raises:
            StorageError: The database failed. The next call reads the same ends again.
        """
        async with self._one_at_a_time:
            return await self._take_in_both()

    async def _take_in_both(self) -> int:
        """Raises StorageError."""
        settled = 0
        # Only what is there by now: a reading that followed what is being appended might never end.
        sizes = {path: _size(path) for path in (self._former, self._current)}
        if any(size != self._places[path].size for path, size in sizes.items()):
            await asyncio.sleep(EVENT_SECONDS)
        self._intake.begin_spool()
        for path, size in sizes.items():
            try:
                settled += await self._take_in(path, size)
            except FileNotFoundError:
                continue
            except OSError as error:
                # No permission, a failing disk, or no regular file. The next round tries again.
                log.error("end_spool_unreadable", file=path.name, reason=error.strerror)
        if self._places[self._current].offset >= self._rotate_bytes:
            try:
                await asyncio.to_thread(self._rotate)
            except OSError as error:
                # The file grows, and nothing is lost. The next round tries again.
                log.error("end_spool_not_rotated", reason=error.strerror)
        return settled

    async def _take_in(self, path: Path, size: int) -> int:
        """Raises StorageError, OSError."""
        settled, place = 0, self._places[path]
        while True:
            part = await asyncio.to_thread(_read, path, place, size)
            settled += await self._intake.take_spooled([each for line in part.lines for each in _reports_in(line)])
            failpoints.hit("end spool settled")
            at_end = part.inode == place.inode and part.offset == place.offset
            place.inode, place.offset = part.inode, part.offset
            if at_end:
                place.size = size
                return settled

    def _rotate(self) -> None:
        # A file that Asterisk still had open is read to its end in the next rounds.
        self._current.replace(self._former)
        self._places[self._former] = self._places[self._current]
        self._places[self._current] = _Place()


def holds_end(directory: Path, call_id: CallId) -> bool:
    """Returns whether the end spool has the end of a call. Raises OSError."""
    wanted = f"{ENDED} {call_id} "
    return any(report.startswith(wanted) for report in all_ends(directory))


def all_ends(directory: Path) -> Iterator[str]:
    """Yields every report in the end spool, also those that are settled; no MAC is checked. Raises OSError."""
    for path in (directory / FORMER, directory / CURRENT):
        try:
            descriptor = open_regular(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            for line in file:
                yield from _reports_in(line.rstrip(b"\n"))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _read(path: Path, place: _Place, size: int) -> _Part:
    """Reads whole lines from a place on, of the first `size` bytes. Raises OSError."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        # Another file, or one that was cut: begin at its beginning.
        same = status.st_ino == place.inode and status.st_size >= place.offset
        start = place.offset if same else 0
        content = os.pread(descriptor, max(0, min(CHUNK_BYTES, size - start)), start)
    finally:
        os.close(descriptor)
    end = content.rfind(b"\n") + 1
    if end == 0 and len(content) > MAX_BYTES:
        end = len(content)  # no report is so long: skip it
    return _Part(content[:end].split(b"\n")[:-1] if end else [], status.st_ino, start + end)


def _reports_in(line: bytes) -> list[str]:
    """Returns the reports in a line. A full disk cuts reports short, also before the line end: the next one follows."""
    return [part.decode("ascii", "replace") for part in _BEGINNING.split(line) if part]
