"""Lists over all accounts, for the operator."""

from dataclasses import dataclass

from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId
from engine.domain.numbers import E164
from engine.storage.bookings import booking_from_row
from engine.storage.calls import Call, call_from_row
from engine.storage.filters import LAST_ID
from engine.storage.table import Table, fields_of


@dataclass(frozen=True, slots=True)
class OwnedBooking:
    """A booking, and the name of its account."""

    account: str
    booking: Booking


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call that is up, the name of its booking's account, and the rented number."""

    account: str
    service: E164
    call: Call


@dataclass(frozen=True, slots=True)
class WantedLive:
    """Which live calls to list. A filter that is None lets everything through.

    Attributes:
        party: The caller or the rented number.
    """

    account_id: AccountId | None = None
    booking_id: BookingId | None = None
    service: E164 | None = None
    party: str | None = None


ALL_LIVE = WantedLive()


class Overview(Table):
    """Bookings and live calls of all accounts."""

    def bookings(
        self,
        account_id: AccountId | None,
        *,
        expires_after: int,
        gone: bool,
        limit: int,
        before_id: str | None = None,
        service: E164 | None = None,
    ) -> list[OwnedBooking]:
        """Returns bookings, newest first.

        Args:
            account_id: Only this account's. None: all accounts'.
            expires_after: Only bookings that are not gone and expire after this instant (epoch milliseconds).
            gone: Return every booking instead, whether it is gone or not.
            limit: The most bookings to return.
            before_id: Only bookings older than this one. None: from the newest on.
            service: Only bookings that hold or held this number. None: any.
        """
        rows = self._sql.overview_bookings(
            self._db,
            account_id=account_id or "",
            expires_after=expires_after,
            gone=int(gone),
            before_id=before_id or LAST_ID,
            service=service or "",
            at_most=limit,
        )
        return [OwnedBooking(row["account"], booking_from_row(row)) for row in rows]

    def live_bookings_of(self, account_id: AccountId) -> list[BookingId]:
        """Returns the booking of each call of the account that is up; a booking with several calls several times."""
        return [row["booking_id"] for row in self._sql.live_bookings_of_account(self._db, account_id=account_id)]

    def live_calls(self, limit: int, wanted: WantedLive = ALL_LIVE) -> list[LiveCall]:
        """Returns the calls that are up, ringing ones included, oldest first."""
        rows = self._sql.overview_live_calls(self._db, **fields_of(wanted), at_most=limit)
        return [LiveCall(account, service, call_from_row(call)) for *call, service, account in rows]
