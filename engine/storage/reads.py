"""Lists and look-ups for the API: asynchronous and read-only, on a connection besides the one that writes."""

import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

from engine.domain.account_limits import AccountLimits, limits_in_force
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.storage import filters, queries
from engine.storage.accounts import (
    AccountSummary,
    ApiKey,
    account_summary_from_row,
    own_limits_from_row,
    summary_parameters,
)
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Between, CallRecord, Cdr, CdrPosition, WantedRecords, call_record_from_row, cdr_from_row
from engine.storage.endpoints import Endpoint, endpoint_from_row
from engine.storage.errors import DAMAGE, StorageUnavailable
from engine.storage.filters import LAST_ID, BookingFilter, ScannedPage
from engine.storage.outbox import AttemptRecord, CallbackPosition, CallbackRecord, callback_from_row
from engine.storage.webhook_secrets import SigningSecrets, secrets_from_row

# A page with a filter first scans this many times its length, which is enough for a filter that most records pass.
# Only if that does not fill the page, it scans as many as it may.
FIRST_SCAN_FACTOR = 4


class Reads:
    """A read-only connection, which sees everything that is committed. Use it as an asynchronous context manager.

    Every method raises StorageUnavailable when the database fails.

    Attributes:
        is_damaged: Whether a query has found the database malformed.
    """

    def __init__(self, path: Path) -> None:
        self.is_damaged = False
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
        """Returns the API key with that digest; None for an unknown or revoked key."""
        row = await self._read(self._sql.api_key_of_digest(self._connection(), digest=digest))
        return ApiKey(**row) if row else None

    async def account(self, account_id: AccountId, default: AccountLimits, now: EpochMs) -> AccountSummary:
        """Returns an account, which must exist, with what it uses of its limits."""
        own = own_limits_from_row(await self._read(self._sql.account_limits(self._connection(), account_id=account_id)))
        limits = limits_in_force(own, default)
        row = await self._read(
            self._sql.account_seen(self._connection(), **summary_parameters(account_id, limits, now))
        )
        return account_summary_from_row(row, limits)

    async def accounts(self) -> list[dict[str, Any]]:
        """Returns id, name, test_of, created_at and own max_bookings of all accounts, in the order of their ids."""
        return [dict(row) for row in await self._read(self._sql.accounts_list(self._connection()))]

    async def booking(self, booking_id: BookingId) -> Booking | None:
        """Returns the booking with that id, of any account, also when it is gone."""
        row = await self._read(self._sql.booking_by_id(self._connection(), id=booking_id))
        return booking_from_row(row) if row else None

    async def bookings(
        self, account_id: AccountId, wanted: BookingFilter, *, before_id: str | None, limit: int
    ) -> ScannedPage[Booking, str]:
        """Returns a page of an account's bookings that are not gone, newest first.

        Args:
            account_id: The account.
            wanted: The filter.
            before_id: Only bookings older than this one. None: from the newest on.
            limit: The most bookings to return.
        """
        begin = {"account_id": account_id, "before_id": before_id or LAST_ID}
        for scan_limit in _scan_limits(limit):
            rows = await self._read(
                self._sql.bookings_page(
                    self._connection(), **begin, looked_at=scan_limit, at_most=limit, **wanted.as_parameters()
                )
            )
            found = [booking_from_row(row) for row in rows]
            if len(found) == limit:
                return ScannedPage(found)  # the next page begins after the last of these
            end = await self._read(self._sql.bookings_page_end(self._connection(), **begin, looked_at=scan_limit))
            if end["bookings"] < scan_limit:
                return ScannedPage(found)
        return ScannedPage(found, end["last_id"])

    async def blocked_callers(self, booking_id: BookingId, *, after: str | None, limit: int) -> list[BlockedCaller]:
        """Returns a booking's blocked callers, in the order of their numbers. `after` None: from the first on."""
        rows = await self._read(
            self._sql.blocked_page(self._connection(), booking_id=booking_id, after=after or "", at_most=limit)
        )
        return [BlockedCaller(**row) for row in rows]

    async def cdr(self, account_id: AccountId, cdr_id: str) -> Cdr | None:
        """Returns a call record of the account."""
        row = await self._read(self._sql.cdr_by_id(self._connection(), account_id=account_id, id=cdr_id))
        return cdr_from_row(row) if row else None

    async def cdrs(self, wanted: WantedRecords, between: Between, *, limit: int) -> list[CallRecord]:
        """Returns the call records of a range that pass the filter, newest first."""
        rows = await self._read(
            self._sql.cdrs_between(self._connection(), **wanted.parameters(), **between.parameters(), at_most=limit)
        )
        return [call_record_from_row(row) for row in rows]

    async def cdr_places(self, account_id: AccountId, between: Between, *, skipped: int) -> list[CdrPosition]:
        """Returns the positions of up to two call records of a range, newest first, after the first `skipped` ones."""
        rows = await self._read(
            self._sql.cdr_places(self._connection(), account_id=account_id, skipped=skipped, **between.parameters())
        )
        return [CdrPosition(row["started_at"], row["id"]) for row in rows]

    async def numbers_by_state(self) -> dict[str, int]:
        """Counts the numbers of the pool in each state."""
        return {
            row["state"]: row["numbers"] for row in await self._read(self._sql.numbers_by_state(self._connection()))
        }

    async def free_numbers(self) -> dict[str | None, int]:
        """Counts the free numbers of each country."""
        rows = await self._read(self._sql.free_numbers_by_country(self._connection()))
        return {row["country"]: row["numbers"] for row in rows}

    async def numbers_taken(self, now: EpochMs, pace_ms: int, quarantine_ms: int) -> tuple[int, int]:
        """Returns how many numbers were booked, and how many came back, in the `pace_ms` before `now`.

        A number comes back at the end of its quarantine, which began when its booking was gone.
        """
        back = now - quarantine_ms
        counts = await self._read(
            self._sql.numbers_taken(
                self._connection(),
                taken_since=now - pace_ms,
                taken_until=now,
                left_since=back - pace_ms,
                left_until=back,
            )
        )
        return counts["taken"], counts["left_behind"]

    async def ends_of_quarantine(self, now: EpochMs, day_ms: int) -> dict[int, int]:
        """Counts the numbers whose quarantine ends within each day from now on; a day before now is negative."""
        rows = await self._read(self._sql.ends_of_quarantine(self._connection(), now=now, day_ms=day_ms))
        return {row["day"]: row["numbers"] for row in rows}

    async def callback_counts(self, *, due_before: EpochMs, since: EpochMs) -> dict[str, int]:
        """Counts callbacks: `pending`, `late` (pending and due before `due_before`), `failed` (given up since)."""
        return dict(await self._read(self._sql.callback_counts(self._connection(), due_before=due_before, since=since)))

    async def callbacks(
        self,
        account_id: AccountId,
        *,
        state: CallbackState | None,
        booking_id: BookingId | None,
        since: EpochMs,
        before: CallbackPosition,
        limit: int,
    ) -> ScannedPage[CallbackRecord, CallbackPosition]:
        """Returns a page of an account's callbacks, newest first, without their bodies.

        Args:
            account_id: The account.
            state: Only callbacks in this state. None: any.
            booking_id: Only callbacks about this booking. None: any.
            since: Only callbacks created at or after this instant.
            before: Only callbacks created before this position.
            limit: The most callbacks to return.
        """
        begin = {"account_id": account_id, "before_at": before.created_at, "before_id": before.id}
        indexed = {
            None: self._sql.callbacks_page,
            CallbackState.FAILED: self._sql.callbacks_page_failed,
            CallbackState.HELD: self._sql.callbacks_page_held,
        }
        if booking_id is None and state in indexed:
            rows = await self._read(indexed[state](self._connection(), **begin, since=since, at_most=limit))
            return ScannedPage([callback_from_row(row) for row in rows])
        wanted = {"booking_id": booking_id, "state": None if state is None else state.value}
        return await self._callbacks_filtered(begin, wanted, since, limit)

    async def _callbacks_filtered(
        self, begin: dict[str, Any], wanted: dict[str, Any], since: EpochMs, limit: int
    ) -> ScannedPage[CallbackRecord, CallbackPosition]:
        for scan_limit in _scan_limits(limit):
            end = await self._read(
                self._sql.callback_place_before(self._connection(), **begin, since=since, skipped=scan_limit - 1)
            )
            last = CallbackPosition(since, "") if end is None else CallbackPosition(*end)
            rows = await self._read(
                self._sql.callbacks_page_filtered(
                    self._connection(), **begin, **wanted, last_at=last.created_at, last_id=last.id, at_most=limit
                )
            )
            found = [callback_from_row(row) for row in rows]
            if end is None or len(found) == limit:
                return ScannedPage(found)
        return ScannedPage(found, last)

    async def callback(self, account_id: AccountId, callback_id: str) -> CallbackRecord | None:
        """Returns a callback of the account, with its body."""
        row = await self._read(self._sql.callback_of_account(self._connection(), account_id=account_id, id=callback_id))
        return callback_from_row(row) if row else None

    async def callback_attempts(self, callback_id: str) -> list[AttemptRecord]:
        """Returns the log of a callback, oldest attempt first."""
        rows = await self._read(self._sql.callback_attempts_of(self._connection(), callback_id=callback_id))
        return [AttemptRecord(**row) for row in rows]

    async def endpoints(self, account_id: AccountId, *, before_id: str | None, limit: int) -> list[Endpoint]:
        """Returns an account's endpoints, newest first. `before_id` None: from the newest on."""
        rows = await self._read(
            self._sql.endpoints_page(
                self._connection(), account_id=account_id, before_id=before_id or LAST_ID, at_most=limit
            )
        )
        return [endpoint_from_row(row) for row in rows]

    async def webhook_secrets(self, account_id: AccountId) -> SigningSecrets:
        """Returns the signing secrets of an account, which must exist."""
        return secrets_from_row(
            await self._read(self._sql.webhook_secrets_of(self._connection(), account_id=account_id))
        )

    async def latest_reported_call(self) -> CallId | None:
        """Returns the newest answered call whose end Asterisk has reported; None if there is none."""
        call_id: CallId | None = await self._read(self._sql.latest_reported_call(self._connection()))
        return call_id

    async def _read(self, result: Awaitable[Any]) -> Any:  # noqa: ANN401  what the statement returns
        """Raises StorageUnavailable for errors of the database. aiosqlite raises ValueError on a closed connection."""
        try:
            return await result
        except (sqlite3.Error, ValueError) as error:
            self.is_damaged |= getattr(error, "sqlite_errorcode", None) in DAMAGE
            raise StorageUnavailable(str(error)) from error

    def _connection(self) -> aiosqlite.Connection:
        if self._db is None:
            raise StorageUnavailable("not connected")
        return self._db


def _scan_limits(limit: int) -> tuple[int, int]:
    return min(FIRST_SCAN_FACTOR * limit, filters.SCAN_LIMIT), filters.SCAN_LIMIT
