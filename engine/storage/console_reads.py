"""What the operator's console reads, on connections of its own: it delays neither keys nor lists of the API."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.domain.dispositions import Disposition
from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.domain.web_access import WebSession
from engine.runtime.ids import first_id
from engine.storage.bookings import Grant, booking_from_row, grant_from_row
from engine.storage.calls import call_from_row
from engine.storage.cdrs import Cdr, cdr_from_row
from engine.storage.endpoints import Endpoint, endpoint_from_row
from engine.storage.filters import LAST_ID
from engine.storage.numbers import Number
from engine.storage.operator_reads import OperatorReads
from engine.storage.outbox import CallbackRecord, callback_from_row
from engine.storage.overview import ALL_LIVE, LiveCall, OwnedBooking, WantedLive
from engine.storage.scanning import ScannedPage, Slice, scan
from engine.storage.table import Row, fields_of
from engine.storage.web_access import web_session_from_row

# A number is looked for among so many bookings at once; most installations have fewer.
BOOKINGS_SCANNED = 20_000


class CallsOfHour(NamedTuple):
    """Calls of one hour that ended alike.

    Attributes:
        hour: Hours since the beginning of the span.
        seconds: The charged seconds.
    """

    hour: int
    disposition: Disposition
    calls: int
    seconds: int


class OwnedRecord(NamedTuple):
    """A call record, and the name of its account."""

    account: str
    cdr: Cdr


class OwnedCallback(NamedTuple):
    """A callback, the name of its account, and whether that is a sandbox."""

    account: str
    callback: CallbackRecord
    is_sandbox: bool


class SeenBooking(NamedTuple):
    """A booking with the name of its account.

    Attributes:
        clock_ahead_ms: How far the account's clock is ahead of the machine's.
        calls_forgotten: Its answered calls whose records retention has deleted.
    """

    owned: OwnedBooking
    clock_ahead_ms: int
    calls_forgotten: int

    def now(self, now: EpochMs) -> EpochMs:
        """Returns the time by the account's clock."""
        return EpochMs(now + self.clock_ahead_ms)


@dataclass(frozen=True, slots=True)
class PortalAccount:
    """An account, as the customer's pages need it.

    Attributes:
        test_of: The customer's account, if it is a sandbox.
        clock_ahead_ms: How far its clock is ahead of the machine's, in milliseconds.
        requests_per_minute: The customer's own limit; None: the operator's applies.
        frame_origin: The origin whose pages may show the portal in a frame; None: no page may.
    """

    id: AccountId
    name: str
    test_of: AccountId | None
    clock_ahead_ms: int
    requests_per_minute: int | None
    is_suspended: bool
    frame_origin: str | None


class ConsoleReads(OperatorReads):
    """Reads for the web pages."""

    async def web_session(self, digest: str) -> WebSession | None:
        """Returns the session with that digest, whether it may still be used or not."""
        row = await self._keys.run(self._sql.web_session_of_digest, digest=digest)
        return web_session_from_row(row) if row else None

    async def has_usable_link(self, digest: str, now: EpochMs) -> bool:
        """Returns whether the link with that digest may be used now."""
        return await self._keys.run(self._sql.usable_web_link, digest=digest, now=now) is not None

    async def has_shared_numbers(self) -> bool:
        """Whether pairs share any of the rented numbers."""
        return await self._keys.run(self._sql.any_shared_number) is not None

    async def portal_account(self, account_id: AccountId) -> PortalAccount | None:
        """Returns the account that a customer's pages are about."""
        row = await self._keys.run(self._sql.portal_account, account_id=account_id)
        return PortalAccount(**{**row, "is_suspended": bool(row["is_suspended"])}) if row else None

    async def live_calls(self, limit: int, wanted: WantedLive = ALL_LIVE) -> list[LiveCall]:
        """Returns the calls that are up, ringing ones included, oldest first."""
        rows = await self._lists.run(self._sql.overview_live_calls, **fields_of(wanted), at_most=limit)
        return [LiveCall(account, service, call_from_row(call)) for *call, service, account in rows]

    async def calls_by_hour(self, since: EpochMs, limit: int) -> list[CallsOfHour]:
        """Sums up real calls that came in since an instant, the newest `limit` records at most."""
        rows = await self._counts.run(
            self._sql.calls_by_hour, since=since, first_id=first_id("cdr", since), at_most=limit
        )
        return [CallsOfHour(row["hour"], Disposition(row["disposition"]), row["calls"], row["seconds"]) for row in rows]

    async def newest_records(
        self, *, party: str | None, failed: bool, before_id: str | None, limit: int
    ) -> ScannedPage[OwnedRecord, str]:
        """Returns a page of the records of all accounts, newest first.

        Args:
            party: Only calls of this caller or to this rented number. None: all.
            failed: Only calls that were not answered.
            before_id: Only records older than this one. None: from the newest on.
            limit: The most records to return.
        """

        async def read(begin: str, count: int, most: int) -> Slice[OwnedRecord, str]:
            last = await self._lists.run(self._sql.cdr_id_before, before_id=begin, skipped=count - 1)
            bounds = {"before_id": begin, "last_id": last or ""}
            rows = await self._lists.run(self._sql.newest_cdrs, **bounds, party=party, failed=int(failed), at_most=most)
            return Slice([OwnedRecord(row["account"], cdr_from_row(row)) for row in rows], last, count)

        return await scan(before_id or LAST_ID, limit, read)

    async def seen_booking(self, booking_id: BookingId) -> SeenBooking | None:
        """Returns a booking of any account, also when it is gone."""
        row = await self._keys.run(self._sql.console_booking, id=booking_id)
        return _seen_booking(row) if row else None

    async def newest_bookings(
        self, *, number: E164 | None, account: str | None, gone: bool, before_id: str | None, limit: int
    ) -> ScannedPage[SeenBooking, str]:
        """Returns a page of the bookings of all accounts, newest first.

        Args:
            number: Only bookings with this rented or hidden number. None: any.
            account: Only those of the account with this id or name. None: any.
            gone: Also those that are gone.
            before_id: Only bookings older than this one. None: from the newest on.
            limit: The most bookings to return.
        """
        wanted = {"number": number, "account": account, "gone": int(gone)}

        async def read(begin: str, count: int, most: int) -> Slice[SeenBooking, str]:
            last = await self._lists.run(self._sql.booking_id_before, before_id=begin, skipped=count - 1)
            bounds = {"before_id": begin, "last_id": last or ""}
            rows = await self._lists.run(self._sql.console_bookings, **bounds, **wanted, at_most=most)
            return Slice([_seen_booking(row) for row in rows], last, count)

        return await scan(before_id or LAST_ID, limit, read, BOOKINGS_SCANNED)

    async def newest_callbacks(
        self, *, state: CallbackState | None, account: str | None, before_id: str | None, limit: int
    ) -> ScannedPage[OwnedCallback, str]:
        """Returns a page of the callbacks of all accounts, newest first, without their bodies.

        Args:
            state: Only callbacks in this state. None: any.
            account: Only those of the account with this id or name. None: any.
            before_id: Only callbacks older than this one. None: from the newest on.
            limit: The most callbacks to return.
        """
        wanted = {"state": None if state is None else state.value, "account": account}

        async def read(begin: str, count: int, most: int) -> Slice[OwnedCallback, str]:
            last = await self._lists.run(self._sql.callback_id_before, before_id=begin, skipped=count - 1)
            bounds = {"before_id": begin, "last_id": last or ""}
            rows = await self._lists.run(self._sql.console_callbacks, **bounds, **wanted, at_most=most)
            return Slice([_owned_callback(row) for row in rows], last, count)

        return await scan(before_id or LAST_ID, limit, read)

    async def numbers_after(
        self, number: E164 | None, after: str | None, *, state: str | None, country: str | None, limit: int
    ) -> list[Number]:
        """Returns numbers of the pool in their order.

        Args:
            number: Only this number. None: any.
            after: Only numbers greater than this one. None: from the first on.
            state: Only numbers in this state. None: any.
            country: Only numbers of this country. None: any.
            limit: The most numbers to return.
        """
        if number is not None:
            row = await self._keys.run(self._sql.number_by_e164, e164=number)
            return [Number(**row)] if row else []
        rows = await self._lists.run(
            self._sql.numbers_list, after=after or "", state=state, country=country, at_most=limit
        )
        return [Number(**row) for row in rows]

    async def keys_of(self, account_id: AccountId) -> list[dict[str, Any]]:
        """Returns an account's keys without their digests, in the order of their ids."""
        return [dict(row) for row in await self._lists.run(self._sql.api_keys_of, account_id=account_id)]

    async def owner_of_callback(self, callback_id: str) -> AccountId | None:
        """Returns the account that a callback belongs to."""
        owner: AccountId | None = await self._keys.run(self._sql.owner_of_callback, id=callback_id)
        return owner

    async def endpoint_of(self, account_id: AccountId, url: str) -> Endpoint | None:
        """Returns an account's endpoint; None before anything was sent to this URL."""
        row = await self._keys.run(self._sql.endpoint_of_url, account_id=account_id, url=url)
        return endpoint_from_row(row) if row else None

    async def grants_of(self, booking_id: BookingId, limit: int) -> list[Grant]:
        """Returns a booking's grants, newest first."""
        rows = await self._lists.run(self._sql.grants_of_booking, booking_id=booking_id, at_most=limit)
        return [grant_from_row(row) for row in rows]


def _owned_callback(row: Row) -> OwnedCallback:
    columns = dict(row)
    account, is_sandbox = columns.pop("account"), columns.pop("is_sandbox")
    return OwnedCallback(account, callback_from_row(columns), bool(is_sandbox))


def _seen_booking(row: Row) -> SeenBooking:
    owned = OwnedBooking(row["account"], booking_from_row(row))
    return SeenBooking(owned, row["clock_ahead_ms"], row["calls_forgotten"])
