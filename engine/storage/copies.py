"""Copies of a SQLite database: made beside a running engine, and checked."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from engine.domain.times import EpochMs
from engine.storage import queries
from engine.storage.errors import StorageUnavailable
from engine.storage.files import read_only, writing
from engine.storage.migrate import migrate
from engine.storage.transaction import Transaction

MAX_FAULTS = 20
LOCK_SECONDS = 5.0


def copy_online(database: Path, target: Path) -> None:
    """Copies a database as it is at one moment, with everything that is committed. The engine may write meanwhile.

    All pages are read in one step, which in WAL mode is one snapshot and delays no commit. With several steps SQLite
    would begin anew after each commit of another process (https://www.sqlite.org/backup.html), under load for ever.

    Args:
        database: The database.
        target: A new file. It is in rollback mode, so that it is one file without a log.

    Raises:
        StorageUnavailable: A file cannot be read or written.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        with closing(writing(database, timeout=LOCK_SECONDS)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database}: {error}") from error
    into_one_file(target)


def into_one_file(database: Path) -> None:
    """Copies the log into the database, leaves WAL mode and syncs. Nobody else may use the database.

    Raises:
        StorageUnavailable: The file cannot be written.
    """
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{database}: {error}") from error
    descriptor = os.open(database, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def faults_of(database: Path) -> list[str]:
    """Checks every page, every index against its table, every constraint and every reference.

    Args:
        database: A copy to which no process writes.

    Returns:
        What is wrong.
    """
    try:
        with closing(read_only(database)) as connection:
            found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})")]
            dangling = connection.execute("PRAGMA foreign_key_check").fetchmany(MAX_FAULTS)
    except sqlite3.Error as error:
        return [str(error)]
    references = [f"a row of {table} refers to a row of {parent} that is not there" for table, _, parent, _ in dangling]
    return [each for each in found if each != "ok"] + references


def opened(database: Path) -> sqlite3.Connection:
    """Opens a copy for `transaction_on`, without changing it."""
    connection = read_only(database)
    connection.row_factory = sqlite3.Row
    return connection


def transaction_on(connection: sqlite3.Connection) -> Transaction:
    """Returns the tables of a database of the present schema, for reading."""
    return Transaction(queries.load("sqlite3"), connection)


def newest_row_at(database: Path) -> EpochMs | None:
    """Returns when the newest row was made, also in a database of an older schema; None if there is none."""
    with closing(opened(database)) as connection:
        return transaction_on(connection).restores.newest_row_at()


def different_objects(database: Path) -> list[str]:
    """Returns the names of tables and indexes that differ from those which the migrations make, or are missing."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory) / "fresh.sqlite3"
        migrate(fresh)
        expected = _schema_of(fresh)
    found = _schema_of(database)
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def _schema_of(database: Path) -> dict[str, str]:
    with closing(read_only(database)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in rows}
