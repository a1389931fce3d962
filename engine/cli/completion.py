"""What a shell completes besides commands: accounts and rented numbers, read from the database.

A completion never fails and never writes: without a database, or without the right to read it, it offers nothing.
"""

# ruff: noqa: PLC0415  every command imports this module, and few starts complete anything
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

# A shell shows no more, and somebody who sees so many types another digit.
MOST_OFFERED = 100
# Shells would split other names into words.
_ONE_WORD = re.compile(r"[\w.@+-]+")
# zsh evaluates the help as a text in double quotes, and Typer escapes it in part only: a name with a backslash could
# run a command.
_NOT_SHOWN = re.compile(r"[^\w .,@+-]")


def complete_accounts(incomplete: str) -> list[tuple[str, str]]:
    """Returns the accounts whose names or ids begin with the text, each with the other of the two as its help."""
    rows = _read(lambda sql, database: sql.accounts_list(database))
    names = [(row[1], row[0]) for row in rows if _ONE_WORD.fullmatch(row[1])]
    ids = [(row[0], _NOT_SHOWN.sub("_", row[1])) for row in rows if incomplete or not _ONE_WORD.fullmatch(row[1])]
    return [pair for pair in (*names, *ids) if pair[0].startswith(incomplete)][:MOST_OFFERED]


def complete_services(incomplete: str) -> list[str]:
    """Returns the rented numbers that begin with the text and that a booking holds."""
    begin = incomplete or "+"
    rows = _read(lambda sql, database: sql.services_held(database, begin=begin, end=f"{begin}:", at_most=MOST_OFFERED))
    return [row[0] for row in rows]


def _read(query: Callable[[Any, Any], list[Any]]) -> list[Any]:
    try:
        from engine.config.settings import Settings
        from engine.storage import queries
        from engine.storage.files import read_only

        settings = Settings()
        if settings.database_url is not None:
            return []
        with closing(read_only(settings.database)) as database:
            return query(queries.load("sqlite3"), database)
    except Exception:
        return []
