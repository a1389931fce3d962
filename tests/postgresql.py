"""What is in a PostgreSQL database, for tests that look at it or change it from outside."""

import hashlib
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

from engine.config.postgres_address import PostgresAddress
from engine.storage.migrate import migrate
from engine.storage.postgresql.session import Session
from engine.storage.queries import Prepared
from tests.postgresql_server import lasting_connection


@cache
def template_database() -> Path:
    """Returns a SQLite database with all migrations and no rows, made once."""
    directory = Path(tempfile.mkdtemp(prefix="rented-numbers-template-"))
    path = directory / "empty.sqlite3"
    migrate(path)
    return path


@cache
def _tables() -> tuple[str, ...]:
    with closing(sqlite3.connect(template_database())) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return tuple(name for (name,) in found if name != "alembic_version")


def empty(address: PostgresAddress) -> None:
    """Deletes all rows but those that the migrations have made."""
    deletions = "; ".join(f"DELETE FROM {table}" for table in _tables() if table != "storage_marks")  # noqa: S608
    # Tables in any order. TRUNCATE would take half a second.
    role = "session_replication_role"
    lasting_connection(address).execute(f"SET {role} = replica; {deletions}; RESET {role}")


class Outsider:
    """A connection with the ways of sqlite3, which sees only committed data. Rows are dicts.

    What it reads it copies into a SQLite database in memory first, so that a test has one text for both databases.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._server = lasting_connection(address)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        if sql.lstrip().upper().startswith(("SELECT", "WITH", "PRAGMA")):
            copy = self.copied()
            copy.row_factory = _as_dict
            return copy.execute(sql, parameters)
        return self._server.execute(_with_percents(sql), parameters)

    def executemany(self, sql: str, rows: Sequence[Any]) -> None:
        with self._server.cursor() as cursor:
            cursor.executemany(_with_percents(sql), rows)

    def copied(self) -> sqlite3.Connection:
        """Returns a copy of everything."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with closing(sqlite3.connect(template_database())) as source:
            source.backup(copy)
        for (trigger,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            copy.execute(f"DROP TRIGGER {trigger}")
        with self._server.transaction(), self._server.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            copy.execute("DELETE FROM storage_marks")
            for table in _tables():
                rows = cursor.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
                if rows:
                    names = ", ".join(rows[0])
                    marks = ", ".join("?" for _ in rows[0])
                    copy.executemany(
                        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
                        [tuple(row.values()) for row in rows],
                    )
        return copy

    def close(self) -> None:
        self._server.execute("RESET session_replication_role")


def _with_percents(sql: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", sql.replace("%", "%%").replace("?", "%s"))


def _execute(session: Session, sql: str, parameters: Sequence[Any] = ()) -> Any:
    """Runs a test's own statement within a command, as sqlite3 does."""
    places = count(1)
    numbered = re.sub(r"\?", lambda _: f"${next(places)}", sql)
    name = hashlib.md5(numbered.encode(), usedforsecurity=False).hexdigest().encode()
    affected = session.change(Prepared(name, numbered.encode(), writes=True), tuple(parameters))
    return SimpleNamespace(rowcount=int(affected))


Session.execute = _execute  # type: ignore[attr-defined]


@contextmanager
def refusing(address: PostgresAddress, event: str, table: str) -> Iterator[None]:
    """Makes a database refuse an event of a table, with the word `refused`."""
    body = "BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END"
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        server.execute(f"CREATE TRIGGER no BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()")
        try:
            yield
        finally:
            server.execute("DROP FUNCTION refuse CASCADE")


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
