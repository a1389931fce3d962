"""The server and the schema: what the engine demands of both, and the migrations."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from engine.config.postgres_address import PostgresAddress
from engine.runtime.clock import SystemClock
from engine.storage.errors import DatabaseUnusable, StorageUnavailable
from engine.storage.migrate import MIGRATIONS, newer_schema, newest_revision, older_schema
from engine.storage.migrations import OLDEST_PROGRAM
from engine.storage.postgresql.connecting import open_connection

MIN_VERSION = 15
# Ids and positions in lists are compared as bytes, as SQLite does it.
COLLATIONS = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8"})
# Several beats of a keeper (engine/asterisk/keepership.py).
BEAT_WAIT_SECONDS = 3.0
_BEATS = "SELECT asterisk, engine, beat FROM keepers WHERE engine <> ''"
CREATE = "CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"


@contextmanager
def connected(address: PostgresAddress) -> Iterator[psycopg.Connection[Any]]:
    """Opens a connection for a few statements, each its own transaction.

    Raises:
        StorageUnavailable: The server cannot be reached, or fails.
    """
    try:
        with open_connection(address.with_options({}, read_only=False)) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise StorageUnavailable(f"{address.shown}: {str(error).strip()}") from error


def clock_ahead_ms(address: PostgresAddress) -> int:
    """Returns how far the server's clock is ahead of this machine's boot clock, in milliseconds.

    Raises:
        StorageUnavailable: The server cannot be reached, or fails.
    """
    clock = SystemClock()
    with connected(address) as connection:
        before = clock.timestamp().boot_ms
        row = connection.execute("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)").fetchone()
        after = clock.timestamp().boot_ms
    return int(row[0]) - (before + after) // 2 if row else 0


def require_server(address: PostgresAddress) -> None:
    """Refuses a server or a database with an unsuitable version, encoding or sort order.

    Raises:
        DatabaseUnusable: It must not be used.
        StorageUnavailable: It cannot be reached.
    """
    with connected(address) as connection:
        version = connection.info.server_version // 10_000
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datlocprovider FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
    if version < MIN_VERSION:
        raise DatabaseUnusable(f"{address.shown}: PostgreSQL {version} is too old, install {MIN_VERSION} or newer")
    encoding, collation, provider = row or ("", "", "")
    if encoding != "UTF8" or collation not in COLLATIONS or provider != "c":
        raise DatabaseUnusable(
            f"{address.shown} has the encoding {encoding} and sorts texts by {collation}: make one with {CREATE}"
        )


def revision_of(address: PostgresAddress) -> str | None:
    """Returns the revision of the schema; None for an empty database. Raises StorageUnavailable."""
    with connected(address) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def require_usable(address: PostgresAddress) -> None:
    """Refuses a server or a schema that this version must not use.

    Raises:
        DatabaseUnusable: It must not be used; the message says what to do.
        StorageUnavailable: It cannot be reached.
    """
    require_server(address)
    revision, newest = revision_of(address), newest_revision()
    if revision is None or revision < newest:
        raise older_schema(address.shown, revision, newest)
    _refuse_too_new(address, revision, newest)


def _refuse_too_new(address: PostgresAddress, revision: str, newest: str) -> None:
    """Refuses a newer schema that this program cannot use. Raises DatabaseUnusable and StorageUnavailable."""
    if revision <= newest:
        return
    with connected(address) as connection:
        row = connection.execute("SELECT oldest_program FROM storage_marks").fetchone()
    if row is None or row[0] > newest:
        raise newer_schema(address.shown, revision, newest)


def _refuse_living_engines(address: PostgresAddress) -> None:
    """Refuses to go on while an engine keeps an Asterisk: its beat grows. Raises DatabaseUnusable."""
    with connected(address) as connection:
        if connection.execute("SELECT to_regclass('keepers')").fetchone() == (None,):
            return  # from before there were several engines
        before = connection.execute(_BEATS).fetchall()
        if not before:
            return
        time.sleep(BEAT_WAIT_SECONDS)
        living = set(connection.execute(_BEATS).fetchall()) - set(before)
    if living:
        raise DatabaseUnusable(
            f"{address.shown}: engines of an older version work on it, and cannot use the new schema: stop them first"
        )


def migrate(address: PostgresAddress) -> None:
    """Creates or upgrades the tables in one transaction.

    Engines of the former version may work meanwhile, unless the upgrade takes away what they use.

    Raises:
        DatabaseUnusable: The server is unsuitable, the schema is too new, or engines work that cannot use the new one.
        StorageUnavailable: The server cannot be reached, or fails.
    """
    require_server(address)
    revision, newest = revision_of(address), newest_revision()
    if revision is not None and revision >= newest:
        _refuse_too_new(address, revision, newest)
        return
    if revision is not None and revision < OLDEST_PROGRAM:
        _refuse_living_engines(address)
    from engine.storage.upgrade import upgrade_server  # noqa: PLC0415  it takes 0.4 s, which no start must wait for

    upgrade_server(address, MIGRATIONS, connect=open_connection)
