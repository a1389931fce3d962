"""Removes an erased number from files: unused space of the database, logs of our own Asterisk, the end spool.

SQLite overwrites what it deletes, but it may leave copies when it moves rows between pages. So the database file is
searched too, and rewritten if it contains the number.
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

# Calls wait while the database is rewritten. At about 100 MB a second, this size takes less than the call deadline.
MAX_BYTES_BESIDE_ENGINE = 64 * 1024 * 1024
# How long to wait for readers of the write-ahead log.
CHECKPOINT_SECONDS = 10.0
# Files are read in chunks, each with the end of the previous one, which is longer than a number and its context.
CHUNK = 1024 * 1024
OVERLAP = 64
CONTEXT = 2


@dataclass(frozen=True, slots=True)
class SystemFiles:
    """Where a system keeps its files. The end spool may be outside of `data_dir`. All paths are absolute."""

    data_dir: Path
    database: Path
    end_spool: Path


@dataclass(frozen=True, slots=True)
class ScrubResult:
    """The result of a scrub.

    Attributes:
        files: How many files were overwritten in places.
        remaining: Descriptions of what still contains the number.
    """

    files: int
    remaining: list[str]


def scrub(system: SystemFiles, target: Target) -> ScrubResult:
    """Removes the number from files. To be called after `erase`; it may be run again.

    Raises:
        OSError: A file cannot be read or written.
        StorageUnavailable: The database cannot be used now.
    """
    try:
        remaining = _scrub_database(system, target)
    except sqlite3.Error as error:
        raise StorageUnavailable(str(error)) from error
    files = 0
    for path in _other_files(system):
        try:
            if not _contains(path, target.in_bytes):
                continue
            if _may_overwrite(path, system):
                _overwrite(path, target.in_bytes)
                files += 1
            else:
                remaining.append(str(path))
        except FileNotFoundError:
            continue  # deleted meanwhile
    return ScrubResult(files, remaining)


def _scrub_database(system: SystemFiles, target: Target) -> list[str]:
    """Rewrites the database if it contains the number. Returns descriptions of what still contains it."""
    database = system.database
    with closing(connect(database)) as connection:
        _truncate_wal(connection)
        # Search for the bare digits: in a row nothing separates a number from its neighbours. This also finds longer
        # numbers that contain the digits.
        if not _database_contains(database, re.compile(target.digits.encode())):
            return []
        with ExitStack() as engine_lock:
            try:
                engine_lock.enter_context(lock.held(system.data_dir, lock.ENGINE_LOCK))
            except lock.DataDirInUse:
                if database.stat().st_size > MAX_BYTES_BESIDE_ENGINE:
                    return ["unused space of the database, which is too large to rewrite while the engine is running"]
            connection.execute("VACUUM")
            _truncate_wal(connection)
        # Now there is no unused space: a match is part of a longer number, or a text that was reported already.
        return ["a text in the database"] if _database_contains(database, target.in_bytes) else []


def _truncate_wal(connection: sqlite3.Connection) -> None:
    """Copies the write-ahead log into the database and truncates it. Raises StorageUnavailable if readers block it."""
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()["busy"]:
        if time.monotonic() > deadline:
            raise StorageUnavailable("the write-ahead log is in use: try again")
        time.sleep(0.05)


def _database_contains(database: Path, pattern: re.Pattern[bytes]) -> bool:
    return any(_contains(path, pattern) for path in _database_files(database) if path.exists())


def _database_files(database: Path) -> list[Path]:
    return [database, *(database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm"))]


def _other_files(system: SystemFiles) -> Iterator[Path]:
    """Yields every regular file of the system except the database. It does not follow links."""
    excluded = set(_database_files(system.database))
    roots = [system.data_dir]
    if not system.end_spool.is_relative_to(roots[0]):
        roots.append(system.end_spool)
    for root in roots:
        for directory, _, names in os.walk(root):
            for path in (Path(directory) / name for name in names):
                with suppress(FileNotFoundError):
                    if stat.S_ISREG(path.lstat().st_mode) and path not in excluded:
                        yield path


def _may_overwrite(path: Path, system: SystemFiles) -> bool:
    """Returns whether a file has no other use: Asterisk's logs. The end spool has no numbers of telephones."""
    return path.is_relative_to(AsteriskHome(system.data_dir / "asterisk").log)


def _contains(path: Path, pattern: re.Pattern[bytes]) -> bool:
    return next(_matches(path, pattern), None) is not None


def _matches(path: Path, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Yields the start and end of each match.

    The file is not mapped into memory: if it shrank meanwhile, the process would be killed (SIGBUS).
    """
    begin, window = 0, b""
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            window += chunk
            # A match at the edge of the window is left to the window in which its context is visible.
            for match in pattern.finditer(window):
                if (match.end() + CONTEXT <= len(window) or not chunk) and (match.start() >= CONTEXT or not begin):
                    yield begin + match.start(), begin + match.end()
            if not chunk:
                return
            begin += max(0, len(window) - OVERLAP)
            window = window[-OVERLAP:]


def _overwrite(path: Path, pattern: re.Pattern[bytes]) -> None:
    """Overwrites the matches in place, without changing the file's length: Asterisk may be appending to it."""
    matches = list(_matches(path, pattern))
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        for start, end in matches:
            os.pwrite(descriptor, b"x" * (end - start), start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
