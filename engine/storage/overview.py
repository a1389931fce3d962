"""What the operator sees of all accounts."""

from dataclasses import dataclass

from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.numbers import E164
from engine.storage.bookings import booking_from_row
from engine.storage.calls import Call, call_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class OwnedBooking:
    """`account`: its name."""

    account: str
    booking: Booking


@dataclass(frozen=True, slots=True)
class LiveCall:
    """`account`: the name of the one whose booking it is on; `service`: the rented number."""

    account: str
    service: E164
    call: Call


class Overview(Table):
    def bookings(
        self, account_id: AccountId, *, expires_after: int, gone: bool, before_id: str, at_most: int
    ) -> list[OwnedBooking]:
        """Newest first. `account_id`: empty for all. `gone`: also those that are, else what expires after then."""
        rows = self._sql.overview_bookings(
            self._db,
            account_id=account_id,
            expires_after=expires_after,
            gone=int(gone),
            before_id=before_id,
            at_most=at_most,
        )
        return [OwnedBooking(row["account"], booking_from_row(row)) for row in rows]

    def live_calls(self, at_most: int) -> list[LiveCall]:
        """Oldest first, ringing ones too."""
        rows = [dict(row) for row in self._sql.overview_live_calls(self._db, at_most=at_most)]
        return [LiveCall(row.pop("account"), row.pop("service"), call_from_row(row)) for row in rows]
