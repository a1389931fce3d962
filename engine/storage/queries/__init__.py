"""Loads the product's SQL from the files in this directory, and makes a function of each statement.

Parameters are `:name`; values are never written into the text of a statement. `{bookings}` stands for the columns of
that table (see engine/storage/columns.py), `{b.bookings}` for the same columns of the alias b, and `{:bookings}` for
parameters of the same names.

Both databases run the same text, except for what is in sqlite/ and postgresql/. `{lock}` ends a statement whose rows
the transaction will change, `{skip locked}` one that takes any of several rows and none that others are changing; both
may name the aliases of tables, in the order in which their rows are locked. SQLite has one writer, so both are empty
there, and the statements of postgresql/locks.sql do nothing.

PostgreSQL keeps one plan for each statement of a command, because planning can take longer than the statement itself.
`{by values}` ends a statement that is planned for its values each time: how many rows are older than an instant depends
on the instant, and how many remain of a LIMIT depends on the limit.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import aiosql
from aiosql.types import SQLOperationType

from engine.storage.columns import COLUMNS, PARTS

HERE = Path(__file__).parent
_MACRO = re.compile(r"\{(?:(?P<alias>[a-z]+)\.|(?P<parameters>:))?(?P<table>[a-z]+)\}")
# A parameter, or a text in quotes, which may contain what looks like one.
_PARAMETER = re.compile(r"'[^']*'|(?<!:):(?P<name>[a-z]\w*)")

_LOCK = re.compile(r" ?\{(?P<how>lock|skip locked)(?: (?P<aliases>[a-z]+(?:, [a-z]+)*))?\}")

_BY_VALUES = " {by values}"

# What the function of a statement does with its parameters, for each driver. aiosqlite hands each call over to the
# connection's thread, so its functions make just one. "psycopg" is engine/storage/postgresql/session.py.
_SYNC = {
    SQLOperationType.SELECT: "return connection.execute(SQL, {values}).fetchall()",
    SQLOperationType.SELECT_ONE: "return connection.execute(SQL, {values}).fetchone()",
    SQLOperationType.SELECT_VALUE: "return (connection.execute(SQL, {values}).fetchone() or NOTHING)[0]",
    SQLOperationType.INSERT_UPDATE_DELETE: "return connection.execute(SQL, {values}).rowcount",
}
_ASYNC = {
    SQLOperationType.SELECT: "return list(await connection.execute_fetchall(SQL, {values}))",
    SQLOperationType.SELECT_ONE: "return next(iter(await connection.execute_fetchall(SQL, {values})), None)",
    SQLOperationType.SELECT_VALUE: "return next(iter(await connection.execute_fetchall(SQL, {values})), NOTHING)[0]",
}
_SESSION = {
    SQLOperationType.SELECT: "return connection.all(SQL, {values})",
    SQLOperationType.SELECT_ONE: "return connection.first(SQL, {values})",
    SQLOperationType.SELECT_VALUE: "return (connection.first(SQL, {values}) or NOTHING)[0]",
    SQLOperationType.INSERT_UPDATE_DELETE: "return connection.change(SQL, {values})",
}
_BODIES = {"sqlite3": _SYNC, "aiosqlite": _ASYNC, "psycopg": _SESSION}
_NOTHING = (None,)


class Statement(NamedTuple):
    """A statement of the files: its kind, which is the suffix of its name, and its text with `:name` parameters.

    The kinds are aiosql's: none for all rows, `^` for the first row, `$` for the first column of the first row, `!` for
    a number of changed rows, and `*!` for a statement that is run once for each of many rows. `by_values` is whether
    PostgreSQL plans it for its values each time.
    """

    kind: SQLOperationType
    sql: str
    by_values: bool = False


class Prepared(NamedTuple):
    """A statement as PostgreSQL prepares it: parameters are `$1` and so on, one for each name.

    Attributes:
        name: Its name, of which a connection has one.
        sql: Its text.
        writes: Whether it writes.
        by_values: Whether the server plans it for its values each time.
    """

    name: bytes
    sql: bytes
    writes: bool
    by_values: bool = False


class Statements:
    """The statements as functions, each made when it is first used.

    A function takes the connection, and the statement's parameters as keywords: `by_id(connection, id="bkg_…")`. Each
    parameter must be given. A statement for many rows takes a list of dictionaries instead, and returns nothing.

    Args:
        statements: The statements by their names.
        driver: `sqlite3`, `aiosqlite` or `psycopg`.
        idle: Names of statements that do nothing in this database.
    """

    def __init__(self, statements: Mapping[str, Statement], driver: str, idle: Collection[str] = ()) -> None:
        self.statements = statements
        self.has_one_writer = driver != "psycopg"
        self._driver = driver
        for name in idle:
            setattr(self, name, _does_nothing)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        statement = self.statements.get(name)
        if statement is None:
            raise AttributeError(name)
        made = _function(name, statement, self._driver)
        setattr(self, name, made)
        return made


@cache
def load(driver: str) -> Any:  # noqa: ANN401  its methods are made at run time
    """Returns all statements as methods of one object, for the driver `sqlite3`, `aiosqlite` or `psycopg`."""
    if driver == "psycopg":
        return Statements(_read(HERE, HERE / "postgresql"), driver)
    locks = _parsed((HERE / "postgresql" / "locks.sql").read_text(encoding="utf-8"))
    return Statements(_read(HERE, HERE / "sqlite"), driver, idle=locks.keys())


def _read(*directories: Path) -> dict[str, Statement]:
    files = [file for directory in directories for file in sorted(directory.glob("*.sql"))]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    one_writer = directories[-1].name == "sqlite"
    marked = [statement for statement in text.split("-- name: ") if _BY_VALUES in statement]
    by_values = {statement.split(maxsplit=1)[0].rstrip("^$!*") for statement in marked}
    text = text.replace(_BY_VALUES, "")
    statements = _parsed(_MACRO.sub(_columns, _LOCK.sub(lambda macro: "" if one_writer else _lock_clause(macro), text)))
    return {name: statement._replace(by_values=name in by_values) for name, statement in statements.items()}


def _parsed(text: str) -> dict[str, Statement]:
    parsed = aiosql.from_str(text, "sqlite3", mandatory_parameters=False)
    functions = ((name, getattr(parsed, name)) for name in parsed.available_queries if not name.endswith("_cursor"))
    return {name: Statement(function.operation, function.sql) for name, function in functions}


def _lock_clause(macro: re.Match[str]) -> str:
    of_aliases = f" OF {macro['aliases']}" if macro["aliases"] else ""
    return f" FOR NO KEY UPDATE{of_aliases}{' SKIP LOCKED' if macro['how'] == 'skip locked' else ''}"


def _columns(macro: re.Match[str]) -> str:
    prefix = f"{macro['alias']}." if macro["alias"] else macro["parameters"] or ""
    return ", ".join(prefix + column for column in (COLUMNS | PARTS)[macro["table"]])


def _does_nothing(_: object, **__: object) -> int:
    """Stands for a lock that a database with one writer does not need: what is locked is there."""
    return 1


def prepared(name: str, statement: Statement) -> tuple[Prepared, list[str]]:
    """Returns a statement for PostgreSQL, and the names of its parameters in their order."""
    names = list(dict.fromkeys(found["name"] for found in _PARAMETER.finditer(statement.sql) if found["name"]))
    places = {name: f"${place}" for place, name in enumerate(names, 1)}
    sql = _PARAMETER.sub(lambda found: places[found["name"]] if found["name"] else found[0], statement.sql)
    writes = re.match(r"(?:\s|--[^\n]*\n)*(?:SELECT|WITH)\b", sql) is None
    return Prepared(name.encode(), sql.encode(), writes, statement.by_values), names


def _function(name: str, statement: Statement, driver: str) -> Callable[..., Any]:
    """Makes the function of a statement.

    Its text is written and compiled, as `dataclasses` does. So the parameters, which callers give by name, reach the
    database by position without a dictionary in between: that halves the time of a small statement in SQLite.
    """
    query: str | Prepared
    if driver == "psycopg":
        query, parameters = prepared(name, statement)
    else:
        parameters = [found["name"] for found in _PARAMETER.finditer(statement.sql) if found["name"]]
        query = _PARAMETER.sub(lambda found: "?" if found["name"] else found[0], statement.sql)
    if statement.kind is SQLOperationType.INSERT_UPDATE_DELETE_MANY:
        return _function_for_many(statement, query, parameters)
    signature = ", *, " + ", ".join(dict.fromkeys(parameters)) if parameters else ""
    body = _BODIES[driver][statement.kind].format(values=f"({''.join(f'{p}, ' for p in parameters)})")
    made: dict[str, Any] = {"SQL": query, "NOTHING": _NOTHING}
    text = f"{'async ' if driver == 'aiosqlite' else ''}def {name}(connection{signature}): {body}"
    exec(text, made)  # noqa: S102  the product's own SQL files, whose names the pattern restricts
    function: Callable[..., Any] = made[name]
    return function


def _function_for_many(statement: Statement, query: str | Prepared, parameters: list[str]) -> Callable[..., Any]:
    def of_sqlite(connection: Any, rows: Iterable[Mapping[str, Any]]) -> None:  # noqa: ANN401  untyped
        connection.executemany(statement.sql, rows)

    def of_postgresql(connection: Any, rows: Iterable[Mapping[str, Any]]) -> None:  # noqa: ANN401  untyped
        for row in rows:
            connection.change(query, tuple(row[name] for name in parameters))

    return of_sqlite if isinstance(query, str) else of_postgresql
