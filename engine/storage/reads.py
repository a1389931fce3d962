"""Lists and look-ups for the API: asynchronous, read-only, beside the thread that writes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId
from engine.domain.times import EpochMs
from engine.storage import filters, queries
from engine.storage.accounts import AccountSummary, ApiKey, account_summary_from_row
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Between, CallRecord, Cdr, CdrPosition, WantedRecords, call_record_from_row, cdr_from_row
from engine.storage.endpoints import Endpoint, endpoint_from_row
from engine.storage.errors import StorageUnavailable
from engine.storage.filters import LAST_ID, BookingFilter, ScannedPage
from engine.storage.outbox import AttemptRecord, CallbackRecord, callback_from_row
from engine.storage.webhook_secrets import SigningSecrets, secrets_from_row

# A page whose filter passes most bookings is full after so many times its length; only others look at all they may.
FEW_TIMES = 4


class Reads:
    """One read-only connection; sees all that is committed. Use as an async context manager.

    Every method but `alive` raises StorageUnavailable when the database fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sql = queries.load("aiosqlite")
        self._db: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        self._db = await aiosqlite.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def key(self, digest: str) -> ApiKey | None:
        """None: unknown or revoked."""
        row = await _one(self._sql.api_key_of_digest(self._connection(), digest=digest))
        return ApiKey(**row) if row else None

    async def booking(self, booking_id: BookingId) -> Booking | None:
        row = await _one(self._sql.booking_by_id(self._connection(), id=booking_id))
        return booking_from_row(row) if row else None

    async def bookings(
        self, account_id: AccountId, wanted: BookingFilter, *, before_id: str | None, at_most: int
    ) -> ScannedPage[Booking]:
        """Newest first, of those that are not gone."""
        begin = {"account_id": account_id, "before_id": before_id or LAST_ID}
        for looked_at in (min(FEW_TIMES * at_most, filters.LOOKED_AT), filters.LOOKED_AT):
            rows = await _all(
                self._sql.bookings_page(
                    self._connection(), **begin, looked_at=looked_at, at_most=at_most, **wanted.as_parameters()
                )
            )
            found = [booking_from_row(row) for row in rows]
            if len(found) == at_most:
                return ScannedPage(found)  # the next page begins behind the last of them
            end = await _one(self._sql.bookings_page_end(self._connection(), **begin, looked_at=looked_at))
            if end["bookings"] < looked_at:
                return ScannedPage(found)
        return ScannedPage(found, end["last_id"])

    async def cdr(self, account_id: AccountId, cdr_id: str) -> Cdr | None:
        row = await _one(self._sql.cdr_by_id(self._connection(), account_id=account_id, id=cdr_id))
        return cdr_from_row(row) if row else None

    async def cdr_places(self, account_id: AccountId, between: Between, *, skipped: int) -> list[CdrPosition]:
        """Two at most: those of the records behind the first `skipped` ones, newest first."""
        rows = await _all(
            self._sql.cdr_places(self._connection(), account_id=account_id, skipped=skipped, **between.parameters())
        )
        return [CdrPosition(row["started_at"], row["id"]) for row in rows]

    async def cdrs(self, wanted: WantedRecords, between: Between, *, at_most: int) -> list[CallRecord]:
        """Newest first."""
        rows = await _all(
            self._sql.cdrs_between(self._connection(), **wanted.parameters(), **between.parameters(), at_most=at_most)
        )
        return [call_record_from_row(row) for row in rows]

    async def blocked_callers(self, booking_id: BookingId, *, after: str, at_most: int) -> list[BlockedCaller]:
        """In the order of their numbers."""
        rows = await _all(
            self._sql.blocked_page(self._connection(), booking_id=booking_id, after=after, at_most=at_most)
        )
        return [BlockedCaller(**row) for row in rows]

    async def account(self, account_id: AccountId, *, at_most: int) -> AccountSummary:
        """One whose key has just opened it: accounts stay. `at_most`: so many of its bookings are counted."""
        return account_summary_from_row(
            await _one(self._sql.account_seen(self._connection(), account_id=account_id, at_most=at_most))
        )

    async def accounts(self) -> list[dict[str, Any]]:
        return await _all(self._sql.accounts_list(self._connection()))

    async def numbers_by_state(self) -> dict[str, int]:
        return {row["state"]: row["numbers"] for row in await _all(self._sql.numbers_by_state(self._connection()))}

    async def free_numbers(self) -> dict[str | None, int]:
        """By country."""
        rows = await _all(self._sql.free_numbers_by_country(self._connection()))
        return {row["country"]: row["numbers"] for row in rows}

    async def net_taken(self, now: EpochMs, pace_ms: int, quarantine_ms: int) -> int:
        """How many more numbers were taken than came back, in the `pace_ms` before `now`. One comes back when its
        quarantine is over, which began when its booking was gone."""
        back = now - quarantine_ms
        counts = await _one(
            self._sql.numbers_taken(
                self._connection(),
                taken_since=now - pace_ms,
                taken_until=now,
                left_since=back - pace_ms,
                left_until=back,
            )
        )
        return int(counts["taken"] - counts["left_behind"])

    async def callback_counts(self, *, due_before: EpochMs, since: EpochMs) -> dict[str, int]:
        """How many are `pending`, of these `late` (due before that instant), and how many have `failed` since then."""
        counts: dict[str, int] = await _one(
            self._sql.callback_counts(self._connection(), due_before=due_before, since=since)
        )
        return counts

    async def callbacks(
        self,
        account_id: AccountId,
        *,
        state: str,
        booking_id: BookingId,
        since: EpochMs,
        before: tuple[int, str],
        at_most: int,
    ) -> list[CallbackRecord]:
        """Newest first, put down since that instant and before (created at, id). Empty: any state, any booking."""
        sql, chosen = self._sql, {"account_id": account_id, "since": since, "at_most": at_most}
        chosen |= {"before_at": before[0], "before_id": before[1]}
        if booking_id and state:
            found = sql.callbacks_page_of_booking_in_state(
                self._connection(), **chosen, booking_id=booking_id, state=state
            )
        elif booking_id:
            found = sql.callbacks_page_of_booking(self._connection(), **chosen, booking_id=booking_id)
        elif state:
            found = sql.callbacks_page_in_state(self._connection(), **chosen, state=state)
        else:
            found = sql.callbacks_page(self._connection(), **chosen)
        return [callback_from_row(row) for row in await _all(found)]

    async def callback(self, account_id: AccountId, callback_id: str) -> CallbackRecord | None:
        row = await _one(self._sql.callback_of_account(self._connection(), account_id=account_id, id=callback_id))
        return callback_from_row(row) if row else None

    async def callback_attempts(self, callback_id: str) -> list[AttemptRecord]:
        """Oldest first."""
        rows = await _all(self._sql.callback_attempts_of(self._connection(), callback_id=callback_id))
        return [AttemptRecord(**row) for row in rows]

    async def endpoints(self, account_id: AccountId, *, before_id: str | None, at_most: int) -> list[Endpoint]:
        """Newest first."""
        rows = await _all(
            self._sql.endpoints_page(
                self._connection(), account_id=account_id, before_id=before_id or LAST_ID, at_most=at_most
            )
        )
        return [endpoint_from_row(row) for row in rows]

    async def webhook_secrets(self, account_id: AccountId) -> SigningSecrets:
        return secrets_from_row(await _one(self._sql.webhook_secrets_of(self._connection(), account_id=account_id)))

    async def alive(self) -> bool:
        """Whether the database answers a query."""
        try:
            await self._connection().execute("SELECT 1")
        except (sqlite3.Error, StorageUnavailable, ValueError):
            return False
        return True

    def _connection(self) -> aiosqlite.Connection:
        if self._db is None:
            raise StorageUnavailable("not connected")
        return self._db


async def _one(row: Any) -> Any:  # noqa: ANN401  aiosql's methods are untyped
    with _failures_named():
        return await row


async def _all(rows: Any) -> list[Any]:  # noqa: ANN401  likewise
    with _failures_named():
        return [row async for row in rows]


@contextmanager
def _failures_named() -> Iterator[None]:
    """aiosqlite says ValueError when its connection was closed."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise StorageUnavailable(str(error)) from error
