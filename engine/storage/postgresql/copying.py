"""Copies a SQLite database into an empty PostgreSQL database, all or nothing.

It is one transaction: whatever stops it, nothing is left behind. Before it ends, every column of every table is
compared: how many values there are, and their sums.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from engine.config.postgres_address import PostgresAddress
from engine.storage.errors import DatabaseUnusable
from engine.storage.files import read_only
from engine.storage.postgresql.server import connected, migrate

# The tables that belong to the file or to the schema, and not to the books.
_LEFT_OUT = frozenset({"alembic_version", "storage_marks"})
_REPORTED_ROWS = 500
# Sums of milliseconds would not fit into 64 bits.
_MODULUS = 1_000_003
# One byte, like the character that it replaces, so that the sums of both databases stay the same.
_REPLACEMENT = "?"


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied.

    Attributes:
        rows: Rows of each table.
        replaced: Characters with the code 0, which PostgreSQL does not store; each became `?`.
    """

    rows: dict[str, int]
    replaced: int


@dataclass(frozen=True, slots=True)
class _TableOf:
    """A table and its columns; `texts` are those of type TEXT."""

    name: str
    columns: tuple[str, ...]
    texts: frozenset[str]


def count_rows(source: Path) -> int:
    """Returns how many rows there are to copy."""
    with closing(read_only(source)) as database:
        return sum(_count(database, table.name) for table in _tables(database))


def copy_database(source: Path, target: PostgresAddress, copied: Callable[[int], object]) -> Copied:
    """Copies all rows.

    Args:
        source: A SQLite database of this version's schema, to which no other program writes.
        target: A PostgreSQL database without tables, or with empty ones.
        copied: Called again and again with a number of rows that were copied since the last time.

    Raises:
        DatabaseUnusable: The server is unsuitable, the target has rows, or the copy differs.
        StorageUnavailable: The server cannot be reached, or fails.
    """
    migrate(target)
    rows, replaced = {}, 0
    with closing(read_only(source)) as database, connected(target) as server, server.transaction():
        tables = _tables(database)
        for table in tables:
            _refuse_rows(server, table.name)
            # The sums that triggers keep are columns, and are copied like the others.
            server.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table.name)))
        for table in tables:
            rows[table.name] = _count(database, table.name)
            replaced += _copy_table(database, server, table, copied)
        for table in tables:
            server.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table.name)))
            if (there := _sums(server, table)) != (here := _sums(database, table)):
                raise DatabaseUnusable(f"the copy of {table.name} differs: {here} became {there}; nothing was kept")
    return Copied(rows, replaced)


def _tables(database: sqlite3.Connection) -> list[_TableOf]:
    """Returns the tables, each after those to which its rows refer."""
    names = [
        name
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        if name not in _LEFT_OUT and not name.startswith("sqlite_")
    ]
    refers = {name: {row[2] for row in database.execute(f"PRAGMA foreign_key_list({name})")} - {name} for name in names}
    ordered: list[str] = []
    while left := [name for name in names if name not in ordered]:
        ordered += [name for name in left if refers[name] <= set(ordered)]
    return [_table(database, name) for name in ordered]


def _table(database: sqlite3.Connection, name: str) -> _TableOf:
    described = database.execute(f"PRAGMA table_info({name})").fetchall()
    texts = frozenset(row[1] for row in described if row[2] == "TEXT")
    return _TableOf(name, tuple(row[1] for row in described), texts)


def _count(database: sqlite3.Connection, table: str) -> int:
    [count] = database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608  a table of our migrations
    return int(count)


def _refuse_rows(server: psycopg.Connection[Any], table: str) -> None:
    found = server.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone()
    if found is not None:
        raise DatabaseUnusable(f"the table {table} has rows already: create a new database and copy into that")


def _copy_table(
    database: sqlite3.Connection, server: psycopg.Connection[Any], table: _TableOf, copied: Callable[[int], object]
) -> int:
    """Copies a table. Returns how many characters it had to replace."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    replaced = 0
    with server.cursor() as cursor, cursor.copy(statement) as target:
        for batch in _batches(database, table):
            for row in batch:
                nulls = sum(value.count("\0") for value in row if isinstance(value, str))
                replaced += nulls
                target.write_row(_without_nulls(row) if nulls else row)
            copied(len(batch))
    return replaced


def _batches(database: sqlite3.Connection, table: _TableOf) -> Iterator[list[tuple[Any, ...]]]:
    cursor = database.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}")  # noqa: S608  as above
    while batch := cursor.fetchmany(_REPORTED_ROWS):
        yield batch


def _without_nulls(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.replace("\0", _REPLACEMENT) if isinstance(value, str) else value for value in row)


def _sums(database: sqlite3.Connection | psycopg.Connection[Any], table: _TableOf) -> dict[str, tuple[int, int]]:
    """Returns of each column how many values it has, and the sum of their remainders or lengths."""
    # In bytes: SQLite's LENGTH of a text ends at a character with the code 0.
    length = "LENGTH(CAST({} AS BLOB))" if isinstance(database, sqlite3.Connection) else "OCTET_LENGTH({})"
    terms = [
        f"COUNT({each}), COALESCE(SUM({length.format(each) if each in table.texts else f'{each} % {_MODULUS}'}), 0)"
        for each in table.columns
    ]
    statement = f"SELECT {', '.join(terms)} FROM {table.name}"  # noqa: S608  names of our migrations
    row = database.execute(statement).fetchone()
    values = [int(value) for value in row or ()]
    return {name: (values[2 * place], values[2 * place + 1]) for place, name in enumerate(table.columns)}
