"""The files of a SQLite database, and the check that they are still those that were opened.

SQLite goes on with the files that it has open. If one is replaced or removed, its commits go into a file that nobody
will ever read again, and no statement fails. So the storage compares the files' identities around every commit.

Nothing in an engine's process may open the database file or its shared memory other than by SQLite: closing a file
drops all POSIX locks of the process on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import os
import sqlite3
from pathlib import Path
from typing import TypeAlias

from engine.storage.errors import DatabaseReplaced

# SQLite makes these beside the database: the write-ahead log, the shared memory, the rollback journal of a migration.
LOG, SHARED_MEMORY, JOURNAL = "-wal", "-shm", "-journal"

_Identity: TypeAlias = tuple[int, int] | None


def database_files(database: Path) -> tuple[Path, Path, Path, Path]:
    """Returns the database, its write-ahead log, its shared memory and its rollback journal. Not all need to exist."""
    log, memory, journal = (beside(database, suffix) for suffix in (LOG, SHARED_MEMORY, JOURNAL))
    return database, log, memory, journal


def beside(database: Path, suffix: str) -> Path:
    """Returns the file that SQLite makes beside a database."""
    return database.with_name(f"{database.name}{suffix}")


def read_only(database: Path, *, without_log: bool = False) -> sqlite3.Connection:
    """Opens a database without changing anything: no log is copied into it, and no file is made beside it.

    Args:
        database: The file, which exists.
        without_log: Whether to read the database file alone, although a write-ahead log lies beside it.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    # Where no log is, a connection that is merely read-only would make one.
    how = "immutable=1" if without_log or not beside(database, LOG).exists() else "mode=ro"
    return sqlite3.connect(f"{database.absolute().as_uri()}?{how}", uri=True, isolation_level=None)


def writing(database: Path, *, timeout: float) -> sqlite3.Connection:
    """Opens a database that exists. SQLite would make an empty one, and remove the log that lies beside it.

    Args:
        database: The file.
        timeout: Seconds to wait for locks.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    return sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=timeout,
        check_same_thread=False,
    )


class FileGuard:
    """Compares the open files of a database with those that have their names.

    Args:
        database: The database. It is open, in WAL mode.
    """

    def __init__(self, database: Path) -> None:
        self._files = tuple(str(path) for path in database_files(database)[:3])
        self._opened = [_identity(path) for path in self._files]
        self._is_replaced = False

    @property
    def is_replaced(self) -> bool:
        """Whether a check has failed. It never succeeds again."""
        return self._is_replaced

    def check(self) -> None:
        """Compares the files.

        Raises:
            DatabaseReplaced: One of them was replaced or removed.
        """
        if self._is_replaced or [_identity(path) for path in self._files] != self._opened:
            self._is_replaced = True
            raise DatabaseReplaced("the database's files were replaced or removed while it was in use")


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)  # noqa: PTH116  this runs around every commit, and a Path costs as much as the call
    except OSError:
        return None
    return status.st_dev, status.st_ino
