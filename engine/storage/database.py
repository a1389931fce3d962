"""Where the database is, and what is opened there: the one place that knows both kinds.

A path is a SQLite file, a PostgresAddress a PostgreSQL server, whose modules are imported only if they are needed.
"""

# ruff: noqa: PLC0415  see the docstring

from pathlib import Path
from typing import Any, TypeAlias

from engine.config.postgres_address import PostgresAddress
from engine.runtime.clock import SystemClock
from engine.storage import migrate as sqlite_files
from engine.storage import queries
from engine.storage.interface import EngineStorage
from engine.storage.read_connection import ReadConnection, SqliteReadConnection
from engine.storage.sqlite import SqliteStorage

Database: TypeAlias = Path | PostgresAddress

# An operator may import a hundred thousand numbers at once.
PATIENT_SECONDS = 120.0


def open_storage(database: Database, *, is_patient: bool = False) -> EngineStorage:
    """Opens a database that is there and has this version's schema.

    Args:
        database: The database.
        is_patient: Whether commands may take long on a server, because no call waits for them.
    """
    if isinstance(database, PostgresAddress):
        from engine.storage.postgresql.storage import PostgresStorage

        return PostgresStorage(database, command_seconds=PATIENT_SECONDS) if is_patient else PostgresStorage(database)
    return SqliteStorage(database)


def clock_of(database: Database) -> SystemClock:
    """Returns the clock whose boot times are those of live calls in the database.

    On a server they are times of several machines: each machine's boot clock, set by the server's clock when a process
    starts. So they agree as closely as NTP keeps the machines', and nobody can set them while calls are up.

    Raises:
        StorageUnavailable: The server cannot be reached.
    """
    if isinstance(database, PostgresAddress):
        from engine.storage.postgresql import server

        return SystemClock(server.clock_ahead_ms(database))
    return SystemClock()


def read_connection(database: Database, statement_seconds: float | None) -> ReadConnection:
    """Returns a connection that reads, not yet open. `statement_seconds`: how long a statement may run."""
    if isinstance(database, PostgresAddress):
        from engine.storage.postgresql.read_connection import PostgresReadConnection

        return PostgresReadConnection(database, statement_seconds)
    return SqliteReadConnection(database, statement_seconds)


def read_statements(database: Database) -> Any:  # noqa: ANN401  its methods are made at run time
    """Returns the statements for such a connection."""
    return queries.load("psycopg" if isinstance(database, PostgresAddress) else "aiosqlite")


def require_usable(database: Database, *, alone: bool) -> None:
    """Refuses a database that this version must not open.

    Args:
        database: The database.
        alone: Whether no engine of this data directory runs on it.

    Raises:
        DatabaseUnusable: It must not be opened; the message says what to do.
        StorageUnavailable: It cannot be read.
    """
    if isinstance(database, PostgresAddress):
        from engine.storage.postgresql import server

        server.require_usable(database)
    else:
        sqlite_files.require_usable(database, alone=alone)
