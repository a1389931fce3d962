"""The SQL of the product, loaded once. Parameters are `:name`, values are never pasted into the text."""

import sqlite3
from pathlib import Path
from typing import Any

import aiosql

HERE = Path(__file__).parent


def load(driver: str) -> Any:  # noqa: ANN401  aiosql makes its methods at run time
    """All queries as methods over `driver` (an aiosql adapter name such as `sqlite3` or `aiosqlite`)."""
    return aiosql.from_path(HERE, driver, mandatory_parameters=False)


def dict_row(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    """Row factory: column name → value (aiosql reads single values from a dict or a tuple, not from sqlite3.Row)."""
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
