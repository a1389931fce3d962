"""Marks by which an older or replaced database file is noticed when it is opened.

A database has an id and a sequence number that grows while it is in use, in the table `storage_marks`. The file
`database.mark` beside it has the same two. A database with another id, or with a smaller number than the file, was put
there by hand: what it lacks would be given away a second time.

A file that was put beside a write-ahead log that is not its own is worse, because SQLite writes the log's pages over
it. So the row also names the log in which it was last changed (its salt, which changes whenever the log begins anew)
and the number that was reached before this log began (`base`). All that came before is in the database file itself, so
the file, read without its log, must have reached `base`.
"""

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from engine.runtime.atomic_file import write_atomically
from engine.storage.errors import DatabaseUnusable
from engine.storage.files import LOG, beside, read_only

log = structlog.get_logger(__name__)

MARK_FILE = "database.mark"
# The salts in the header of a write-ahead log: https://www.sqlite.org/fileformat2.html#walformat
_HEADER_BYTES, _SALT_AT, _SALT_BYTES = 32, 16, 8
_READ = "SELECT database_id, sequence, base, log FROM storage_marks WHERE id = 1"
_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'storage_marks'"
PUT_BACK = (
    "move it away, put back the one that was there, or bring this one into use with `rented-numbers restore`, which "
    "also takes a plain database file"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """The row of `storage_marks`."""

    database_id: str
    sequence: int
    base: int = 0
    log: str = ""


class Marks:
    """Keeps the marks of an open database. Only the thread that commits uses it.

    Args:
        connection: The connection that commits; its database is open.
        sql: The product's statements.
        database: The database's file.
    """

    def __init__(self, connection: sqlite3.Connection, sql: Any, database: Path) -> None:  # noqa: ANN401  made at run time
        self._connection = connection
        self._sql = sql
        self._file = database.with_name(MARK_FILE)
        mark = Mark(*sql.storage_marks(connection))  # the first statement makes SQLite open the log
        self._log_file = os.open(beside(database, LOG), os.O_RDONLY | os.O_CLOEXEC)
        self._database_id, self._sequence, self._written = mark.database_id, mark.sequence, -1
        self._committed = mark.sequence
        self._log = self._present_log()
        # What is known to be in the database file, if the log begins anew with the next commit.
        self._before = mark.sequence if self._log in {"", mark.log} else mark.base
        if self._log not in {"", mark.log}:
            self._log = ""  # the next commit marks this log

    def close(self) -> None:
        """Closes the log's file."""
        os.close(self._log_file)

    def beat(self) -> None:
        """Counts up, within the present transaction."""
        self._sequence = self._sql.beat_storage_mark(self._connection)

    def undone(self) -> None:
        """Must be called after a transaction that was not committed: the file's mark must not run ahead."""
        self._sequence = self._committed

    def committed(self) -> None:
        """Marks a log that began with the last commit. Must be called after each commit.

        If the process dies before, `database.mark` still shows that a file put beside the log is older.
        """
        present = self._present_log()
        if present != self._log:
            self._begin(present)
        self._committed = self._sequence
        if self._log == present:
            # Not of a log that could not be marked: its successor must not count on what may only be in there.
            self._before = self._sequence
        if self._sequence != self._written:
            self._write()

    def _begin(self, present: str) -> None:
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            mark = Mark(*self._sql.storage_marks(self._connection))
            if mark.log != present:  # else another process has marked it
                base = min(self._before, mark.sequence)
                self._sequence = self._sql.begin_storage_log(self._connection, base=base, log=present)
            execute("COMMIT")
            self._log = present
        except sqlite3.Error as error:
            log.warning("log_not_marked", error=str(error))  # the next commit tries again
            with suppress(sqlite3.Error):
                execute("ROLLBACK")

    def _write(self) -> None:
        try:
            write_mark(self._file, self._database_id, self._sequence)
            self._written = self._sequence
        except OSError as error:
            log.warning("mark_not_written", error=error.strerror)

    def _present_log(self) -> str:
        return os.pread(self._log_file, _SALT_BYTES, _SALT_AT).hex()


def write_mark(file: Path, database_id: str, sequence: int) -> None:
    """Writes the mark file in place: 37 bytes, which reach the file together. It may lag behind, but not run ahead."""
    content = f"{database_id} {sequence:019}\n"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        # After a power cut a new file may be empty, unless it was synced before it got its name.
        write_atomically(file, content)
        return
    try:
        os.pwrite(descriptor, content.encode(), 0)
    finally:
        os.close(descriptor)


def refuse_replaced(database: Path, *, alone: bool) -> None:
    """Refuses a database that was put there by hand. It changes nothing, not even a write-ahead log.

    Args:
        database: The file.
        alone: Whether no engine runs on it. Only then the file is compared with its log, because an engine writes
            both.

    Raises:
        DatabaseUnusable: It is older than the one before it, or another one, or the log is not its own.
        sqlite3.Error: The file cannot be read.
    """
    # First, because an engine that runs raises both numbers, the file's last: later it might be ahead of what was read.
    noted = _noted(database.with_name(MARK_FILE))
    left = _salt_of(beside(database, LOG))
    merged = _mark_of(read_only(database))
    if merged is None:
        return
    if alone and left and merged.log == left:
        raw = _mark_without_log(database)
        if raw is not None and (raw.database_id != merged.database_id or raw.sequence < merged.base):
            raise DatabaseUnusable(
                f"{database} was replaced while the write-ahead log of another one lay beside it: the two must not be "
                f"mixed. Move {beside(database, LOG).name} and {database.name} away, then use `rented-numbers restore`"
            )
    if noted is None:
        return
    if noted.database_id != merged.database_id:
        raise DatabaseUnusable(f"{database} is not the database that was in use here: {PUT_BACK}")
    if noted.sequence > merged.sequence:
        raise DatabaseUnusable(f"{database} is older than the one that was in use here: {PUT_BACK}")


def _mark_without_log(database: Path) -> Mark | None:
    """Returns the mark in the database file alone; None if it has none.

    A process that dies while it copies the log leaves a file that only the log makes whole: that is no other database.
    """
    try:
        return _mark_of(read_only(database, without_log=True))
    except sqlite3.Error:
        return None


def _mark_of(opened: sqlite3.Connection) -> Mark | None:
    """Returns the mark of a database, and closes it; None if it has none, because it is of an older version."""
    with closing(opened) as connection:
        if not connection.execute(_TABLE).fetchone():
            return None
        row = connection.execute(_READ).fetchone()
        return None if row is None else Mark(*row)


def _salt_of(log_file: Path) -> str:
    """Returns the salt of a write-ahead log that has content; empty if there is none."""
    try:
        with log_file.open("rb") as file:
            header = file.read(_HEADER_BYTES + 1)
    except FileNotFoundError:
        return ""
    return header[_SALT_AT : _SALT_AT + _SALT_BYTES].hex() if len(header) > _HEADER_BYTES else ""


def _noted(file: Path) -> Mark | None:
    try:
        content = file.read_text(encoding="ascii")
        if not content.strip("\0"):
            return None  # a power cut or a full disk, as it was made
        database_id, sequence = content.split()
        return Mark(database_id, int(sequence))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatabaseUnusable(f"{file} cannot be read: {error}") from None
