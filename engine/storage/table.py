"""What every table's methods stand on: the product's SQL, and the connection that a transaction is open on."""

from typing import Any


class Table:
    def __init__(self, queries: Any, connection: Any) -> None:  # noqa: ANN401  aiosql and DB-API: both untyped
        self._sql = queries
        self._db = connection
