"""The SQL of the product, loaded once. Parameters are `:name`, values are never pasted into the text."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeAlias

import aiosql
import aiosqlite
from aiosql.adapters.aiosqlite import AioSQLiteAdapter
from aiosql.adapters.sqlite3 import SQLite3Adapter

HERE = Path(__file__).parent
Parameters: TypeAlias = dict[str, Any] | list[Any] | None


def load(driver: str) -> Any:  # noqa: ANN401  aiosql makes its methods at run time
    """All queries as methods over `driver`: `sqlite3` or `aiosqlite`."""
    return aiosql.from_path(HERE, ADAPTERS[driver], mandatory_parameters=False)


def dict_row(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    """Row factory for statements beside these: column name → value."""
    return dict(zip(_names(cursor), row, strict=True))


class LeanSqlite(SQLite3Adapter):
    """aiosql's adapter without what costs as much as a small statement itself: a row factory in Python that asks for
    the columns' names row by row, and generators. Rows are dicts, whatever row factory the connection has."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as aiosql has it
        self._columns: dict[str, tuple[str, ...]] = {}

    def select(  # type: ignore[override]  # typed for tuples; aiosql hands on whatever rows are
        self, conn: sqlite3.Connection, query_name: str, sql: str, parameters: Parameters, record_class: None = None
    ) -> list[dict[str, Any]]:
        cursor = _executed(conn, sql, parameters)
        rows = cursor.fetchall()
        names = self._names(query_name, cursor) if rows else ()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def select_one(  # type: ignore[override]  # as above
        self, conn: sqlite3.Connection, query_name: str, sql: str, parameters: Parameters, record_class: None = None
    ) -> dict[str, Any] | None:
        cursor = _executed(conn, sql, parameters)
        row = cursor.fetchone()
        names = self._names(query_name, cursor) if row else ()
        cursor.close()
        return dict(zip(names, row, strict=True)) if row else None

    def select_value(self, conn: sqlite3.Connection, query_name: str, sql: str, parameters: Parameters) -> Any:  # noqa: ANN401  a column's value
        cursor = _executed(conn, sql, parameters)
        row = cursor.fetchone()
        cursor.close()
        return row[0] if row else None

    def insert_update_delete(self, conn: sqlite3.Connection, query_name: str, sql: str, parameters: Parameters) -> int:
        return _executed(conn, sql, parameters).rowcount

    def _names(self, query_name: str, cursor: sqlite3.Cursor) -> tuple[str, ...]:
        names = self._columns.get(query_name)
        if names is None:
            names = self._columns[query_name] = _names(cursor)
        return names


def _executed(connection: sqlite3.Connection, sql: str, parameters: Parameters) -> sqlite3.Cursor:
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(sql, parameters or ())


def _names(cursor: sqlite3.Cursor) -> tuple[str, ...]:
    return tuple(column[0] for column in cursor.description)


class LeanAiosqlite(AioSQLiteAdapter):
    """Likewise for reads, over a connection whose rows are sqlite3.Row: aiosql's own goes over to the connection's
    thread and back three times for a query, to execute it, to fetch and to close, and this goes once."""

    async def select(
        self, conn: aiosqlite.Connection, query_name: str, sql: str, parameters: Parameters, record_class: None = None
    ) -> AsyncIterator[dict[str, Any]]:
        for row in await _fetched(conn, sql, parameters):
            yield row

    async def select_one(
        self, conn: aiosqlite.Connection, query_name: str, sql: str, parameters: Parameters, record_class: None = None
    ) -> dict[str, Any] | None:
        rows = await _fetched(conn, sql, parameters)
        return rows[0] if rows else None

    async def select_value(self, conn: aiosqlite.Connection, query_name: str, sql: str, parameters: Parameters) -> Any:  # noqa: ANN401  a column's value
        rows = await _fetched(conn, sql, parameters)
        return next(iter(rows[0].values())) if rows else None


async def _fetched(connection: aiosqlite.Connection, sql: str, parameters: Parameters) -> list[dict[str, Any]]:
    rows = list(await connection.execute_fetchall(sql, parameters or ()))
    names = rows[0].keys() if rows else ()
    return [dict(zip(names, row, strict=True)) for row in rows]


ADAPTERS: dict[str, Callable[[], Any]] = {"sqlite3": LeanSqlite, "aiosqlite": LeanAiosqlite}
