"""What every table's methods stand on: the product's SQL, and the connection that a transaction is open on."""

from collections.abc import Mapping
from typing import Any


class Table:
    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  aiosql and DB-API: both untyped
        self._sql = queries
        self._db = connection


Row = Mapping[str, Any]


def fields_of(record: Any) -> dict[str, Any]:  # noqa: ANN401  a dataclass, whichever
    """By name, as they are. `asdict` would copy all that lies in them, which costs more than the statement itself."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}
