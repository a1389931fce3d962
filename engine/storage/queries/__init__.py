"""Loads the product's SQL from the files in this directory, and makes a function of each statement.

Parameters are `:name`; values are never written into the text of a statement. `{bookings}` stands for the columns of
that table (see engine/storage/columns.py), `{b.bookings}` for the same columns of the alias b, and `{:bookings}` for
parameters of the same names.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiosql
from aiosql.types import SQLOperationType

from engine.storage.columns import COLUMNS, PARTS

HERE = Path(__file__).parent
_MACRO = re.compile(r"\{(?:(?P<alias>[a-z]+)\.|(?P<parameters>:))?(?P<table>[a-z]+)\}")
# A parameter, or a text in quotes, which may contain what looks like one.
_PARAMETER = re.compile(r"'[^']*'|(?<!:):(?P<name>[a-z]\w*)")

# What the function of a statement does with its parameters, for sqlite3 and for aiosqlite. aiosqlite hands each call
# over to the connection's thread, so its functions make just one.
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
_NOTHING = (None,)


class Statement(NamedTuple):
    """A statement of the files: its kind, which is the suffix of its name, and its text with `:name` parameters.

    The kinds are aiosql's: none for all rows, `^` for the first row, `$` for the first column of the first row, `!` for
    a number of changed rows, and `*!` for a statement that is run once for each of many rows.
    """

    kind: SQLOperationType
    sql: str


class Statements:
    """The statements as functions, each made when it is first used.

    A function takes the connection, and the statement's parameters as keywords: `by_id(connection, id="bkg_…")`. Each
    parameter must be given. A statement for many rows takes a list of dictionaries instead.
    """

    def __init__(self, statements: Mapping[str, Statement], *, is_async: bool) -> None:
        self.statements = statements
        self._is_async = is_async

    def __getattr__(self, name: str) -> Callable[..., Any]:
        statement = self.statements.get(name)
        if statement is None:
            raise AttributeError(name)
        made = _function(name, statement, is_async=self._is_async)
        setattr(self, name, made)
        return made


def load(driver: str) -> Any:  # noqa: ANN401  its methods are made at run time
    """Returns all statements as methods of one object, for the driver `sqlite3` or `aiosqlite`."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted(HERE.glob("*.sql")))
    parsed = aiosql.from_str(_MACRO.sub(_columns, text), "sqlite3", mandatory_parameters=False)
    functions = ((name, getattr(parsed, name)) for name in parsed.available_queries if not name.endswith("_cursor"))
    statements = {name: Statement(function.operation, function.sql) for name, function in functions}
    return Statements(statements, is_async=driver == "aiosqlite")


def _columns(macro: re.Match[str]) -> str:
    prefix = f"{macro['alias']}." if macro["alias"] else macro["parameters"] or ""
    return ", ".join(prefix + column for column in (COLUMNS | PARTS)[macro["table"]])


def _function(name: str, statement: Statement, *, is_async: bool) -> Callable[..., Any]:
    """Makes the function of a statement.

    Its text is written and compiled, as `dataclasses` does. So the parameters, which callers give by name, reach SQLite
    by position without a dictionary in between: that halves the time of a small statement.
    """
    if statement.kind is SQLOperationType.INSERT_UPDATE_DELETE_MANY:
        return lambda connection, rows: connection.executemany(statement.sql, rows).rowcount
    parameters = [found["name"] for found in _PARAMETER.finditer(statement.sql) if found["name"]]
    by_position = _PARAMETER.sub(lambda found: "?" if found["name"] else found[0], statement.sql)
    signature = ", *, " + ", ".join(dict.fromkeys(parameters)) if parameters else ""
    body = (_ASYNC if is_async else _SYNC)[statement.kind].format(values=f"({''.join(f'{p}, ' for p in parameters)})")
    made: dict[str, Any] = {"SQL": by_position, "NOTHING": _NOTHING}
    text = f"{'async ' if is_async else ''}def {name}(connection{signature}): {body}"
    exec(text, made)  # noqa: S102  the product's own SQL files, whose names the pattern restricts
    function: Callable[..., Any] = made[name]
    return function
