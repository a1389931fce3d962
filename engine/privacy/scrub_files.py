"""Removes an erased number from files: unused space of the database, logs of our own Asterisk, the end spool.

SQLite overwrites what it deletes, but it may leave copies when it moves rows between pages. So the database file is
searched too, and rewritten if it contains the number.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.asterisk.config_files import AsteriskHome
from engine.domain.spellings import CONTEXT, Match, Spellings
from engine.privacy.file_content import Content, kind_of_content, open_content
from engine.runtime import lock
from engine.storage.errors import StorageUnavailable
from engine.storage.sqlite import connect

# Calls wait while the database is rewritten. At about 100 MB a second, this size takes less than the call deadline.
MAX_BYTES_BESIDE_ENGINE = 64 * 1024 * 1024
# How long to wait for readers of the write-ahead log.
CHECKPOINT_SECONDS = 10.0
# Files are read in chunks, each with the end of the previous one, which is longer than a number and its context, even
# if each character is escaped with 12 bytes.
CHUNK = 1024 * 1024
MARGIN = 12 * CONTEXT
OVERLAP = 4 * MARGIN


@dataclass(frozen=True, slots=True)
class SystemFiles:
    """Where a system keeps its files. The end spool may be outside of `data_dir`. All paths are absolute.

    Attributes:
        database: The SQLite file; None if the database is on a server.
    """

    data_dir: Path
    database: Path | None
    end_spool: Path


@dataclass(slots=True)
class ScrubResult:
    """The result of a scrub.

    Attributes:
        searched: How many files were searched, the database's included.
        files: How many files were overwritten in places.
        remaining: Descriptions of what still contains the number.
        unsure: Files with similar digits.
        backups: Backups, which cannot be searched.
        unsearched: Other files that cannot be searched.
    """

    searched: int = 0
    files: int = 0
    remaining: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    backups: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)


def scrub(system: SystemFiles, spellings: Spellings) -> ScrubResult:
    """Removes the number from files. To be called after `erase`; it may be run again.

    Raises:
        OSError: A file cannot be read or written.
        StorageUnavailable: The database cannot be used now.
    """
    result = ScrubResult()
    if system.database is None:
        result.unsearched.append("the files, the archived log and the backups of the PostgreSQL server")
    else:
        try:
            _scrub_database(system, system.database, spellings, result)
        except sqlite3.Error as error:
            raise StorageUnavailable(str(error)) from error
    for path in _other_files(system):
        with suppress(FileNotFoundError):  # deleted meanwhile
            _scrub_file(path, system, spellings, result)
    return result


def _scrub_database(system: SystemFiles, database: Path, spellings: Spellings, result: ScrubResult) -> None:
    """Rewrites the database if it contains the number.

    The files are read while no connection of this process is open: to close a file drops the locks of all connections
    to it, and an engine could then write while it is being rewritten (see engine/storage/files.py).
    """
    result.searched += sum(path.exists() for path in _database_files(database))
    with closing(connect(database)) as connection:
        _truncate_wal(connection)
    # Search for the bare national digits: in a row nothing separates a number from its neighbours. This also finds
    # other numbers that contain the digits.
    if not _database_has(database, spellings):
        return
    if not _rewrite(system.data_dir, database):
        result.remaining.append(
            "unused space of the database, which is too large to rewrite while the engine is running"
        )
        return
    # Now there is no unused space: a match is part of a longer number, or a text that was reported already.
    files = (path for path in _database_files(database) if path.exists())
    if any(match.is_sure for path in files for match in matches_in_file(path, spellings)):
        result.remaining.append("a text in the database")


def _rewrite(data_dir: Path, database: Path) -> bool:
    """Rewrites the database without its unused space. Returns False if that takes too long beside an engine."""
    with ExitStack() as engine_lock:
        try:
            engine_lock.enter_context(lock.held(data_dir, lock.ENGINE_LOCK))
        except lock.DataDirInUse:
            if database.stat().st_size > MAX_BYTES_BESIDE_ENGINE:
                return False
        with closing(connect(database)) as connection:
            connection.execute("VACUUM")
            _truncate_wal(connection)
    return True


def _truncate_wal(connection: sqlite3.Connection) -> None:
    """Copies the write-ahead log into the database and truncates it. Raises StorageUnavailable if readers block it."""
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()["busy"]:
        if time.monotonic() > deadline:
            raise StorageUnavailable("the write-ahead log is in use: try again")
        time.sleep(0.05)


def _database_has(database: Path, spellings: Spellings) -> bool:
    files = (path for path in _database_files(database) if path.exists())
    return any(spellings.has_digits(window) for path in files for _, window, _ in _windows(path))


def _database_files(database: Path) -> list[Path]:
    return [database, *(database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm"))]


def _other_files(system: SystemFiles) -> Iterator[Path]:
    """Yields every regular file of the system except the database. It does not follow links."""
    excluded = set() if system.database is None else set(_database_files(system.database))
    roots = [system.data_dir]
    if not system.end_spool.is_relative_to(roots[0]):
        roots.append(system.end_spool)
    for root in roots:
        for directory, _, names in os.walk(root):
            for path in (Path(directory) / name for name in names):
                with suppress(FileNotFoundError):
                    if stat.S_ISREG(path.lstat().st_mode) and path not in excluded:
                        yield path


def _scrub_file(path: Path, system: SystemFiles, spellings: Spellings, result: ScrubResult) -> None:
    """Searches a file. Asterisk's logs are overwritten where they have the number; other files are named."""
    kind = kind_of_content(path)
    if kind in {Content.BACKUP, Content.ARCHIVE}:
        (result.backups if kind is Content.BACKUP else result.unsearched).append(str(path))
        return
    result.searched += 1
    try:
        matches = {each.is_sure for each in matches_in_file(path, spellings)}
    except EOFError:  # a compressed file that is cut short
        result.unsearched.append(str(path))
        return
    is_log = path.is_relative_to(AsteriskHome(system.data_dir / "asterisk").log)
    if True in matches and is_log and kind is Content.PLAIN:
        _overwrite(path, spellings)
        result.files += 1
    elif True in matches:
        result.remaining.append(str(path))
    # In the end spool, longer runs of digits are times.
    if False in matches and not path.is_relative_to(system.end_spool):
        result.unsure.append(str(path))


def matches_in_file(path: Path, spellings: Spellings) -> Iterator[Match]:
    """Yields each match, by its place in the content: after decompression, if the file is compressed."""
    last_end = 0
    for begin, window, is_last in _windows(path):
        for match in spellings.matches_in_bytes(window):
            # A match at the edge of the window is left to the window in which its context is visible.
            begins_here = match.start >= MARGIN or not begin
            if begins_here and (match.end + MARGIN <= len(window) or is_last) and begin + match.start >= last_end:
                last_end = begin + match.end
                yield Match(begin + match.start, last_end, match.is_sure)


def _windows(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yields overlapping pieces of a file: where each begins, its bytes, and whether it is the last.

    The file is not mapped into memory: if it shrank meanwhile, the process would be killed (SIGBUS).
    """
    begin, window = 0, b""
    with open_content(path) as file:
        while True:
            chunk = file.read(CHUNK)
            window += chunk
            yield begin, window, not chunk
            if not chunk:
                return
            begin += max(0, len(window) - OVERLAP)
            window = window[-OVERLAP:]


def _overwrite(path: Path, spellings: Spellings) -> None:
    """Overwrites the sure matches in place, without changing the file's length: Asterisk may be appending to it."""
    matches = [each for each in matches_in_file(path, spellings) if each.is_sure]
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        for match in matches:
            os.pwrite(descriptor, b"x" * (match.end - match.start), match.start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
