"""The base of every table's class: the product's SQL, and the connection of the current transaction."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Row(Protocol):
    """A row as sqlite3.Row is: its values by name, by position and by slice, and in their order."""

    def __getitem__(self, key: Any, /) -> Any:  # noqa: ANN401  names, positions and slices; values of any type
        """Returns the value of a column, or the values of a slice as a tuple."""

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the values."""

    def keys(self) -> Iterable[str]:
        """Returns the columns' names."""


class Table:
    """Methods over the statements of queries/*.sql, named for their use."""

    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  aiosql and DB-API: both untyped
        self._sql = queries
        self._db = connection


def fields_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  any dataclass
    """Returns a dataclass's fields by name, uncopied.

    `dataclasses.asdict` copies nested values, which takes longer than the SQL statement itself.
    """
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
