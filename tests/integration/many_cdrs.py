"""Inserts thousands of call records."""

from typing import Any

from tests.integration.api_helpers import Api


async def copies(api: Api, cdr_id: str, count: int) -> None:
    """Insert `count` older copies of the record, for a booking that no longer exists."""

    def insert(tx: Any) -> None:
        tx.cdrs._db.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
            "INSERT INTO cdrs (id, account_id, booking_id, call_id, started_at, duration, source, service, "
            "destination, disposition) SELECT 'cdr_' || printf('%032x', n), account_id, 'bkg_' || printf('%032x', 1), "
            "'copy ' || n, started_at - n, 0, source, service, destination, 'BUSY' FROM n, cdrs WHERE id = ?",
            [count, cdr_id],
        )

    await api.storage.run(insert)
