"""Runs the Alembic migrations."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from engine.config.postgres_address import PostgresAddress
from engine.storage.errors import StorageUnavailable
from engine.storage.migrations import OLDEST_PROGRAM

Connect: TypeAlias = Callable[[str], psycopg.Connection[Any]]
# How long a migration waits for a table. Meanwhile all other statements on that table wait behind it.
LOCK_SECONDS = 3
# Faults of the file or of the disk. Every other fault is a bug in a migration.
FILE_FAULTS = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


def upgrade(database: Path, migrations: Path, revision: str = "head") -> None:
    """Upgrades the database to a revision, in one transaction.

    Args:
        database: The SQLite file.
        migrations: Alembic's directory.
        revision: The target; the newest by default.

    Raises:
        StorageUnavailable: The file cannot be written now.
    """
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    # The sqlite3 module would commit before each DDL statement, and a kill in between would leave half a schema.
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin)
    try:
        _run(engine, migrations, revision)
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", None) not in FILE_FAULTS:
            raise
        raise StorageUnavailable(f"{database}: {error.orig}") from error


def upgrade_server(
    address: PostgresAddress, migrations: Path, revision: str = "head", *, connect: Connect = psycopg.connect
) -> None:
    """Upgrades a PostgreSQL database to a revision, in one transaction.

    Args:
        address: The database.
        migrations: Alembic's directory.
        revision: The target; the newest by default.
        connect: Makes the connection from parameters of libpq.

    Raises:
        StorageUnavailable: The server cannot be reached, or a table is in use for too long.
    """
    options = {"lock_timeout": f"{LOCK_SECONDS}s"}
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _in_transactions(connect(address.with_options(options, read_only=False))),
        poolclass=NullPool,
    )
    try:
        _run(engine, migrations, revision)
    except OperationalError as error:
        raise StorageUnavailable(f"{address.shown}: {error.orig}") from error


def _in_transactions(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    connection.autocommit = False  # SQLAlchemy commits
    return connection


def _run(engine: Engine, migrations: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head":
            connection.execute(text("UPDATE storage_marks SET oldest_program = :it"), {"it": OLDEST_PROGRAM})


def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
