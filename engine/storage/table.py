"""The base of every table's class: the product's SQL, and the connection of the current transaction."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


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
