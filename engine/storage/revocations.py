"""The revocation log: what was withdrawn for good, in a file beside the database, so that no restore brings it back.

A backup knows nothing of the API keys that were revoked after it was made, of the numbers that were erased, the
secrets that were replaced and the bookings that ended. `restore` reads this log and withdraws them again.

An entry is written and synced before the transaction that withdraws is committed. If that commit then fails, the log
has an entry too many, and a restore withdraws what somebody wanted to withdraw: that is the safe side.

The log holds ids and keyed digests, and no telephone number. Entries are kept for `KEPT_MS`; an older backup is not
restored. The first line says since when the log is complete.

Customers can write the same entry again and again, as each change of a hidden number is one. So a log that has doubled
is compacted while the engine runs. A thread does that, and other entries are appended meanwhile.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from engine.domain.errors import RentedNumbersError
from engine.domain.times import DAY_MS, EpochMs
from engine.runtime.atomic_file import write_atomically
from engine.runtime.file_access import open_regular

REVOCATION_LOG = "revocations.log"
KEPT_MS = 400 * DAY_MS
# A log that is not longer is not compacted.
COMPACT_BYTES = 1024 * 1024

log = structlog.get_logger(__name__)


class RevocationLogDamaged(RentedNumbersError):
    """The log cannot be read, so what was withdrawn is unknown. The message names the line."""


class Kind(StrEnum):
    """What was withdrawn. The subject is an id, or a digest as it says here."""

    BEGIN = "begin"
    """The log is complete from here on; no subject."""
    KEY = "key"
    """An API key was revoked."""
    NUMBER = "number"
    """A person's number was erased: its keyed digest."""
    SECRET = "secret"  # noqa: S105  a word in the log
    """A secret that signed callbacks was replaced: its SHA-256."""
    BOOKING = "booking"
    """A booking is gone, and its number may belong to another one."""
    DESTINATION = "destination"
    """A booking hides another number than before."""
    SERVICE = "service"
    """A booking has another rented number than before."""
    SUSPENDED = "suspended"
    """An account was suspended."""
    RESUMED = "resumed"
    """The suspension of an account was lifted, which cancels the entry about it."""
    CLOSED = "closed"
    """An account was closed for good."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Something that a command withdraws."""

    kind: Kind
    subject: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log."""

    at: EpochMs
    kind: Kind
    subject: str = ""


class RevocationLog:
    """The log of one database.

    Args:
        database: The database's file.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(REVOCATION_LOG)
        # From this size on it is compacted; None while it is.
        self._compact_at: int | None = COMPACT_BYTES

    def append(self, withdrawals: Iterable[Withdrawal]) -> None:
        """Writes and syncs entries. A log that does not exist yet begins now. A long one is compacted by a thread.

        Raises:
            OSError: They were not written, or not wholly.
        """
        size = self._append(withdrawals)
        if self._compact_at is not None and size > self._compact_at:
            self._compact_at = None
            try:
                threading.Thread(target=self._compact_aside, name="revocation log").start()
            except RuntimeError:  # no thread is to be had now; the entries are written
                self._compact_at = 2 * size

    def _append(self, withdrawals: Iterable[Withdrawal]) -> int:
        """Returns the size of the log afterwards."""
        now = _now()
        with self._locked() as descriptor:
            if os.fstat(descriptor).st_size == 0:
                _write(descriptor, [Entry(now, Kind.BEGIN)])
            _cut_torn_line(descriptor)
            _write(descriptor, [Entry(now, each.kind, each.subject) for each in withdrawals])
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size

    def begin(self) -> None:
        """Makes the log, if there is none: from now on it is complete. Compacts a long one. Raises OSError."""
        if self._append(()) > COMPACT_BYTES:
            self.compact(EpochMs(_now() - KEPT_MS))

    def _compact_aside(self) -> None:
        try:
            self.compact(EpochMs(_now() - KEPT_MS))
        except (OSError, RevocationLogDamaged) as error:
            log.warning("revocation_log_not_compacted", error=type(error).__name__)
        size = 0
        with suppress(OSError):
            size = self._path.stat().st_size
        self._compact_at = max(COMPACT_BYTES, 2 * size)

    def compact(self, before: EpochMs) -> None:
        """Drops entries from before an instant, and repeated ones. Others may be appended meanwhile.

        Raises:
            OSError: The log cannot be read or written.
            RevocationLogDamaged: A line cannot be read.
        """
        with os.fdopen(open_regular(self._path, os.O_RDONLY), "rb") as file:
            content = file.read()
            content = content[: content.rfind(b"\n") + 1]
            kept = "".join(map(_line, _compacted(_parsed(self._path, content.decode()), before)))
            with self._locked() as descriptor:
                # Another file: another process has compacted it.
                if os.path.samestat(os.fstat(file.fileno()), os.fstat(descriptor)):
                    file.seek(len(content))
                    write_atomically(self._path, kept + file.read().decode(), sync_directory=True)

    def read(self) -> list[Entry]:
        """Returns all entries, the first of the kind BEGIN; none if there is no log.

        Raises:
            RevocationLogDamaged: A line cannot be read.
            OSError: The file cannot be read.
        """
        try:
            return _read(self._path)
        except FileNotFoundError:
            return []

    @contextmanager
    def _locked(self) -> Iterator[int]:
        while True:
            descriptor = open_regular(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # `compact` may have replaced the file in between.
                if _is_at(self._path, descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)


def _compacted(entries: Sequence[Entry], before: EpochMs) -> list[Entry]:
    latest: dict[tuple[Kind, str], Entry] = {}
    for each in entries[1:]:
        latest.pop((each.kind, each.subject), None)  # each stays in the order of its latest entry
        if each.at >= before:
            latest[each.kind, each.subject] = each
    return [Entry(max(entries[0].at, before), Kind.BEGIN), *latest.values()]


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _cut_torn_line(descriptor: int) -> None:
    """Removes a line that a crash cut short. Its command was never acknowledged."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 4096, max(0, size - 4096))
    if not tail.endswith(b"\n"):
        os.ftruncate(descriptor, size - len(tail) + tail.rfind(b"\n") + 1)


def _write(descriptor: int, entries: Sequence[Entry]) -> None:
    data = "".join(map(_line, entries)).encode()
    while data:
        data = data[os.write(descriptor, data) :]


def _line(entry: Entry) -> str:
    return json.dumps({"at": entry.at, "kind": entry.kind.value, "subject": entry.subject}) + "\n"


def _read(path: Path) -> list[Entry]:
    with os.fdopen(open_regular(path, os.O_RDONLY), encoding="utf-8") as file:
        return _parsed(path, file.read())


def _parsed(path: Path, content: str) -> list[Entry]:
    lines = content.split("\n")[:-1]  # what follows the last line end was never acknowledged
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1)]
    if entries and entries[0].kind is not Kind.BEGIN:
        raise RevocationLogDamaged(f"{path}: its beginning is missing")
    return entries


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        fields = json.loads(line)
        return Entry(EpochMs(int(fields["at"])), Kind(fields["kind"]), str(fields["subject"]))
    except (ValueError, KeyError, TypeError):
        raise RevocationLogDamaged(f"{path}: line {number} cannot be read") from None


def _now() -> EpochMs:
    return EpochMs(time.time_ns() // 1_000_000)
