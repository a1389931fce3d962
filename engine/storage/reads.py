"""Lists and look-ups for the API: asynchronous and read-only, on a connection besides the one that writes."""

from types import TracebackType
from typing import Any, Self

from engine.domain.account_limits import AccountLimits, limits_in_force
from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.money import Money
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs, Span
from engine.storage.accounts import (
    AccountSummary,
    ApiKey,
    account_summary_from_row,
    own_limits_from_row,
    summary_parameters,
)
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.bookings import Charge, booking_from_row
from engine.storage.calls import Call, call_from_row
from engine.storage.cdrs import (
    Between,
    CallRecord,
    Cdr,
    CdrPosition,
    Usage,
    WantedRecords,
    call_record_from_row,
    cdr_from_row,
)
from engine.storage.database import Database, read_connection, read_statements
from engine.storage.endpoints import Endpoint, endpoint_from_row
from engine.storage.filters import LAST_ID, BookingFilter
from engine.storage.outbox import AttemptRecord, CallbackPosition, CallbackRecord, callback_from_row
from engine.storage.scanning import ScannedPage, Slice, scan
from engine.storage.twilio_proxy import ProxyReads
from engine.storage.webhook_secrets import SigningSecrets, secrets_from_row

# Bookings that one statement reads: some carry 40 kB of metadata.
ROWS_AT_ONCE = 10
# A page of bookings ends when its metadata has this many characters. An answer of a megabyte would hold up the event
# loop, which also serves calls.
PAGE_CHARACTERS = 32 * 1024


class Reads:
    """Three read-only connections, which see everything that is committed. Use it as an asynchronous context manager.

    Look-ups by key have a connection of their own, so that no list delays authentication. Counts of the pool and of
    callbacks have another: they take longer than a slice of a list.

    Every method raises StorageTooSlow when a statement takes longer than it may, and StorageUnavailable
    when the database fails.

    Args:
        database: The database.
        statement_seconds: How long a statement may run; None: as long as it takes.
    """

    def __init__(self, database: Database, statement_seconds: float | None = None) -> None:
        self.database = database
        self._sql = read_statements(database)
        self._keys = read_connection(database, statement_seconds)
        self._lists = read_connection(database, statement_seconds)
        self._counts = read_connection(database, statement_seconds)
        self.twilio_proxy = ProxyReads(self._sql, self._keys, self._lists)

    @property
    def is_damaged(self) -> bool:
        """Whether a query has found the database malformed."""
        return any(each.is_damaged for each in (self._keys, self._lists, self._counts))

    async def __aenter__(self) -> Self:
        try:
            for each in (self._keys, self._lists, self._counts):
                await each.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for each in (self._keys, self._lists, self._counts):
            await each.close()

    async def key(self, digest: str) -> ApiKey | None:
        """Returns the API key with that digest; None for an unknown or revoked key."""
        row = await self._keys.run(self._sql.api_key_of_digest, digest=digest)
        return ApiKey(**{**row, "is_suspended": bool(row["is_suspended"])}) if row else None

    async def account(self, account_id: AccountId, default: AccountLimits, now: EpochMs) -> AccountSummary:
        """Returns an account, which must exist, with what it uses of its limits."""
        own = own_limits_from_row(await self._lists.run(self._sql.account_limits, account_id=account_id))
        limits = limits_in_force(own, default)
        row = await self._lists.run(self._sql.account_seen, **summary_parameters(account_id, limits, now))
        return account_summary_from_row(row, limits)

    async def accounts(self) -> list[dict[str, Any]]:
        """Returns names, instants, states and own max_bookings of all accounts, in the order of their ids."""
        return [dict(row) for row in await self._lists.run(self._sql.accounts_list)]

    async def booking(self, booking_id: BookingId) -> Booking | None:
        """Returns the booking with that id, of any account, also when it is gone."""
        row = await self._keys.run(self._sql.booking_by_id, id=booking_id)
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
        characters = 0
        page, page_end = self._sql.bookings_page, self._sql.bookings_page_end
        listed: dict[str, str] = {"account_id": account_id}
        if wanted.notes:
            page, page_end = self._sql.noted_bookings_page, self._sql.noted_bookings_page_end
            listed = {"note_1": wanted.notes[0]}

        async def read(begin: str, count: int, most: int) -> Slice[Booking, str]:
            nonlocal characters
            at_once = min(most, ROWS_AT_ONCE)
            scanned = {"before_id": begin, "looked_at": count}
            rows = await self._lists.run(
                page, **scanned, **wanted.as_parameters(), account_id=account_id, at_most=at_once
            )
            found = []
            for row in rows:
                found.append(booking_from_row(row))
                characters += len(row["metadata"])
                if characters >= PAGE_CHARACTERS:
                    return Slice(found, row["id"], len(found), is_enough=True)
            if len(rows) == at_once:
                return Slice(found, found[-1].id, len(found))
            last = await self._lists.run(page_end, **scanned, **listed)
            return Slice(found, last["last_id"] if last["bookings"] == count else None, count)

        return await scan(before_id or LAST_ID, limit, read)

    async def blocked_callers(self, booking_id: BookingId, *, after: str | None, limit: int) -> list[BlockedCaller]:
        """Returns a booking's blocked callers, in the order of their numbers. `after` None: from the first on."""
        rows = await self._lists.run(self._sql.blocked_page, booking_id=booking_id, after=after or "", at_most=limit)
        return [BlockedCaller(**row) for row in rows]

    async def cdr(self, account_id: AccountId, cdr_id: str) -> Cdr | None:
        """Returns a call record of the account."""
        row = await self._keys.run(self._sql.cdr_by_id, account_id=account_id, id=cdr_id)
        return cdr_from_row(row) if row else None

    async def cdrs(self, wanted: WantedRecords, between: Between, *, limit: int) -> list[CallRecord]:
        """Returns the call records of a range that pass the filter, newest first."""
        rows = await self._lists.run(
            self._sql.cdrs_between, **wanted.parameters(), **between.parameters(), at_most=limit
        )
        return [call_record_from_row(row) for row in rows]

    async def cdr_places(self, account_id: AccountId, between: Between, *, skipped: int) -> list[CdrPosition]:
        """Returns the positions of up to two call records of a range, newest first, after the first `skipped` ones."""
        rows = await self._lists.run(
            self._sql.cdr_places, account_id=account_id, skipped=skipped, **between.parameters()
        )
        return [CdrPosition(row["started_at"], row["id"]) for row in rows]

    async def usage(self, account_id: AccountId, span: Span) -> list[Usage]:
        """Sums up an account's calls that came in within the span, by booking."""
        rows = await self._counts.run(
            self._sql.usage_by_booking, account_id=account_id, since=span.since, until=span.until
        )
        return [Usage(**row) for row in rows]

    async def charges(self, account_id: AccountId, span: Span) -> list[Charge]:
        """Sums up the prices of the plans that an account was granted within the span, by booking and number."""
        rows = await self._counts.run(
            self._sql.charges_between, account_id=account_id, since=span.since, until=span.until
        )
        return [Charge(row["booking_id"], row["service"], Money(row["amount"], row["currency"])) for row in rows]

    async def record_named(self, named: str) -> Cdr | None:
        """Returns the call record that has this id, or whose call has it, of any account."""
        row = await self._keys.run(self._sql.cdr_named, named=named)
        return cdr_from_row(row) if row else None

    async def call(self, call_id: CallId) -> Call | None:
        """Returns the call with that id, whether it is up or has ended."""
        row = await self._keys.run(self._sql.call_by_id, call_id=call_id)
        return call_from_row(row) if row else None

    async def numbers_by_state(self) -> dict[str, int]:
        """Counts the numbers of the pool in each state."""
        return {row["state"]: row["numbers"] for row in await self._counts.run(self._sql.numbers_by_state)}

    async def free_numbers(self) -> dict[str | None, int]:
        """Counts the free numbers of each country."""
        rows = await self._counts.run(self._sql.free_numbers_by_country)
        return {row["country"]: row["numbers"] for row in rows}

    async def numbers_taken(self, now: EpochMs, pace_ms: int, quarantine_ms: int) -> tuple[int, int]:
        """Returns how many numbers bookings took, and how many came back, in the `pace_ms` before `now`.

        A number comes back at the end of its quarantine, which began when its booking left it.
        """
        back = now - quarantine_ms
        counts = await self._counts.run(
            self._sql.numbers_taken,
            taken_since=now - pace_ms,
            taken_until=now,
            left_since=back - pace_ms,
            left_until=back,
        )
        return counts["taken"], counts["left_behind"]

    async def ends_of_quarantine(self, now: EpochMs, day_ms: int) -> dict[int, int]:
        """Counts the numbers whose quarantine ends within each day from now on; a day before now is negative."""
        rows = await self._counts.run(self._sql.ends_of_quarantine, now=now, day_ms=day_ms)
        return {row["day"]: row["numbers"] for row in rows}

    async def callback_counts(self, *, due_before: EpochMs, since: EpochMs) -> dict[str, int]:
        """Counts callbacks: `pending`, `late` (pending and due before `due_before`), `failed` (given up since)."""
        return dict(await self._counts.run(self._sql.callback_counts, due_before=due_before, since=since))

    async def callbacks(
        self,
        account_id: AccountId,
        *,
        state: CallbackState | None,
        booking_id: BookingId | None,
        call_id: CallId | None = None,
        since: EpochMs,
        before: CallbackPosition,
        limit: int,
    ) -> ScannedPage[CallbackRecord, CallbackPosition]:
        """Returns a page of an account's callbacks, newest first, without their bodies.

        Args:
            account_id: The account.
            state: Only callbacks in this state. None: any.
            booking_id: Only callbacks about this booking. None: any.
            call_id: Only callbacks about this call; needs its booking. None: any.
            since: Only callbacks created at or after this instant.
            before: Only callbacks created before this position.
            limit: The most callbacks to return.
        """
        indexed = {
            None: self._sql.callbacks_page,
            CallbackState.FAILED: self._sql.callbacks_page_failed,
            CallbackState.HELD: self._sql.callbacks_page_held,
        }
        if booking_id is None and state in indexed:
            rows = await self._lists.run(
                indexed[state], account_id=account_id, since=since, **_before(before), at_most=limit
            )
            return ScannedPage([callback_from_row(row) for row in rows])
        wanted = {"booking_id": booking_id, "call_id": call_id, "state": None if state is None else state.value}
        return await self._scan_callbacks(account_id, wanted, since, before, limit)

    async def _scan_callbacks(
        self,
        account_id: AccountId,
        wanted: dict[str, str | None],
        since: EpochMs,
        before: CallbackPosition,
        limit: int,
    ) -> ScannedPage[CallbackRecord, CallbackPosition]:
        """Returns a page of the callbacks that have what is `wanted`, where no index leads to them alone."""
        bounds = {"account_id": account_id, "since": since}

        async def read(begin: CallbackPosition, count: int, most: int) -> Slice[CallbackRecord, CallbackPosition]:
            end = await self._lists.run(self._sql.callback_place_before, **bounds, **_before(begin), skipped=count - 1)
            last = CallbackPosition(since, "") if end is None else CallbackPosition(*end)
            rows = await self._lists.run(
                self._sql.callbacks_page_filtered,
                account_id=account_id,
                **_before(begin),
                **wanted,
                last_at=last.created_at,
                last_id=last.id,
                at_most=most,
            )
            return Slice([callback_from_row(row) for row in rows], None if end is None else last, count)

        return await scan(before, limit, read)

    async def callback(self, account_id: AccountId, callback_id: str) -> CallbackRecord | None:
        """Returns a callback of the account, with its body."""
        row = await self._keys.run(self._sql.callback_of_account, account_id=account_id, id=callback_id)
        return callback_from_row(row) if row else None

    async def callback_attempts(self, callback_id: str) -> list[AttemptRecord]:
        """Returns the log of a callback, oldest attempt first."""
        rows = await self._keys.run(self._sql.callback_attempts_of, callback_id=callback_id)
        return [AttemptRecord(**row) for row in rows]

    async def endpoints(self, account_id: AccountId, *, before_id: str | None, limit: int) -> list[Endpoint]:
        """Returns an account's endpoints, newest first. `before_id` None: from the newest on."""
        rows = await self._lists.run(
            self._sql.endpoints_page, account_id=account_id, before_id=before_id or LAST_ID, at_most=limit
        )
        return [endpoint_from_row(row) for row in rows]

    async def webhook_secrets(self, account_id: AccountId) -> SigningSecrets:
        """Returns the signing secrets of an account, which must exist."""
        return secrets_from_row(await self._keys.run(self._sql.webhook_secrets_of, account_id=account_id))

    async def latest_reported_call(self) -> CallId | None:
        """Returns the newest answered call whose end Asterisk has reported; None if there is none."""
        call_id: CallId | None = await self._counts.run(self._sql.latest_reported_call)
        return call_id


def _before(position: CallbackPosition) -> dict[str, Any]:
    return {"before_at": position.created_at, "before_id": position.id}
