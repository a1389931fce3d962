"""What an erased number has left in files: unused space of the database, logs of our own Asterisk, the journal.

The database's space is clean as a rule, for SQLite overwrites what it deletes; but when it moves rows from page to page
it may leave copies. So the file itself is searched, and written anew when something is found.
"""

import os
import re
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome
from engine.privacy.erasure import Target
from engine.runtime import lock
from engine.storage.errors import StorageUnavailable
from engine.storage.sqlite import connect

# Writing the database anew keeps calls waiting: at some 100 MB a second, so much costs less than `CALL_DEADLINE_SECONDS`.
MAX_BYTES_BESIDE_ENGINE = 64 * 1024 * 1024
# How long to wait for readers to let go of the write-ahead log.
CHECKPOINT_SECONDS = 10.0
# Files are read piece by piece, each with the end of the one before: longer than a number and what is beside it.
CHUNK = 1024 * 1024
OVERLAP = 64
CONTEXT = 2


@dataclass(frozen=True, slots=True)
class SystemFiles:
    """Where a system keeps its files; absolute paths. `journal` may lie outside of `data_dir`."""

    data_dir: Path
    database: Path
    journal: Path


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """`files`: how many were overwritten in places. `left`: what still holds the number, in words."""

    files: int
    left: list[str]


def scrub(system: SystemFiles, target: Target) -> ScrubResult:
    """After the rows are erased. Raises OSError, StorageUnavailable; it may be run again."""
    try:
        left = _wipe_database(system, target)
    except sqlite3.Error as error:
        raise StorageUnavailable(str(error)) from error
    files = 0
    for path in _other_files(system):
        try:
            if not _holds(path, target.in_bytes):
                continue
            if _may_overwrite(path, system):
                _overwrite(path, target.in_bytes)
                files += 1
            else:
                left.append(str(path))
        except FileNotFoundError:
            continue  # gone meanwhile, and what it held with it
    return ScrubResult(files, left)


def _wipe_database(system: SystemFiles, target: Target) -> list[str]:
    database = system.database
    with closing(connect(database)) as connection:
        _empty_log(connection)
        # The bare digits: in a row nothing parts them from what stands before and after. Found more often than there.
        if not _in_database(database, re.compile(target.digits.encode())):
            return []
        with ExitStack() as engine_kept_out:
            try:
                engine_kept_out.enter_context(lock.held(system.data_dir, lock.ENGINE_LOCK))
            except lock.DataDirInUse:
                if database.stat().st_size > MAX_BYTES_BESIDE_ENGINE:
                    return ["unused space of the database, too large to be written anew beside a running engine"]
            connection.execute("VACUUM")
            _empty_log(connection)
        # Now there is no unused space: what is found is some other number's part, or a text that was named already.
        return ["a text in the database"] if _in_database(database, target.in_bytes) else []


def _empty_log(connection: sqlite3.Connection) -> None:
    """Into the database, and cut to nothing. Raises StorageUnavailable when readers do not let go of it."""
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()["busy"]:
        if time.monotonic() > deadline:
            raise StorageUnavailable("the write-ahead log is in use: run it again")
        time.sleep(0.05)


def _in_database(database: Path, pattern: re.Pattern[bytes]) -> bool:
    return any(_holds(path, pattern) for path in _database_files(database) if path.exists())


def _database_files(database: Path) -> list[Path]:
    return [database, *(database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm"))]


def _other_files(system: SystemFiles) -> Iterator[Path]:
    """Every regular file of the system but the database's. Links are not followed."""
    passed_over = set(_database_files(system.database))
    roots = [system.data_dir]
    if not system.journal.is_relative_to(roots[0]):
        roots.append(system.journal)
    for root in roots:
        for directory, _, names in os.walk(root):
            for path in (Path(directory) / name for name in names):
                with suppress(FileNotFoundError):
                    if stat.S_ISREG(path.lstat().st_mode) and path not in passed_over:
                        yield path


def _may_overwrite(path: Path, system: SystemFiles) -> bool:
    """Logs, and journal files that could not be read: nothing that means anything else."""
    logs = AsteriskHome(system.data_dir / "asterisk").log
    return path.is_relative_to(logs) or (path.parent == system.journal and path.suffix == ".bad")


def _holds(path: Path, pattern: re.Pattern[bytes]) -> bool:
    return next(_places(path, pattern), None) is not None


def _places(path: Path, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Where it matches, from byte to byte. Not mapped into memory: a file that shrinks meanwhile would kill us."""
    begin, window = 0, b""
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            window += chunk
            # What ends at the end, or begins at the beginning, is judged where it can be seen what stands beside it.
            for match in pattern.finditer(window):
                if (match.end() + CONTEXT <= len(window) or not chunk) and (match.start() >= CONTEXT or not begin):
                    yield begin + match.start(), begin + match.end()
            if not chunk:
                return
            begin += max(0, len(window) - OVERLAP)
            window = window[-OVERLAP:]


def _overwrite(path: Path, pattern: re.Pattern[bytes]) -> None:
    """In place, byte for byte: who has it open to append does not notice."""
    places = list(_places(path, pattern))
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        for start, end in places:
            os.pwrite(descriptor, b"x" * (end - start), start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
