"""Statements of PostgreSQL with their parameters and rows: the same values as SQLite's, in both directions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import total_ordering
from typing import Any, ClassVar

from engine.domain.errors import InvalidInput
from engine.storage.queries import Prepared

# PostgreSQL's names for a result's columns, and their places.
Places = dict[str, int]


class PostgresRow(tuple[Any, ...]):
    """A row as sqlite3.Row is: its values by name, by position and by slice. Each statement has a class of its own."""

    __slots__ = ()
    _places: ClassVar[Places] = {}

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401  names, positions and slices; values of any type
        """Returns the value of a column, or the values of a slice as a tuple."""
        return tuple.__getitem__(self, self._places[key] if key.__class__ is str else key)

    def keys(self) -> Iterator[str]:
        """Returns the columns' names."""
        return iter(self._places)


def row_class(names: Sequence[bytes]) -> type[PostgresRow]:
    """Returns the class of rows with these columns."""
    places = {name.decode(): place for place, name in enumerate(names)}
    return type("PostgresRow", (PostgresRow,), {"__slots__": (), "_places": places})


def as_parameters(values: Iterable[str | int | None]) -> list[bytes | None]:
    """Returns parameters in PostgreSQL's text format.

    Raises:
        InvalidInput: A text has a character with the code 0, which PostgreSQL does not store.
    """
    # Also of a bool: 1 and 0 are booleans and numbers there.
    texts = [None if value is None else value.encode() if isinstance(value, str) else b"%d" % value for value in values]
    if b"\0" in b"".join(filter(None, texts)):
        raise InvalidInput(["a text has a character with the code 0, which cannot be stored"])
    return texts


@total_ordering
class SentStatement:
    """A statement on its way, then with its answer. As a number it is how many rows it has changed or locked.

    Only a use of the number waits for the server.
    """

    __slots__ = ("_flush", "count", "rows", "sql", "values")

    def __init__(self, flush: Callable[[], None], sql: Prepared, values: tuple[Any, ...]) -> None:
        self._flush = flush
        self.sql = sql
        self.values = as_parameters(values)
        self.rows: list[PostgresRow] = []
        self.count: int | None = None  # not answered yet

    def __int__(self) -> int:
        if self.count is None:
            self._flush()
        return self.count or 0

    def __bool__(self) -> bool:
        return int(self) > 0

    def __index__(self) -> int:
        return int(self)

    def __eq__(self, other: object) -> bool:
        return int(self) == other

    def __hash__(self) -> int:
        return hash(int(self))

    def __lt__(self, other: int) -> bool:
        return int(self) < other
