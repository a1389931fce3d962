"""The tables of notifications: which optional events accounts have chosen, and which were sent already."""

from dataclasses import asdict, dataclass

from engine.domain.booking import Booking
from engine.domain.ids import AccountId, BookingId
from engine.domain.notifications import EventType, ExpiredCalls
from engine.domain.times import EpochMs
from engine.storage.accounts import chosen_events_from_column
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Cdr, cdr_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class EndingPosition:
    """A booking's position in the order in which bookings end; those that end together are ordered by their ids."""

    ends_at: EpochMs
    booking_id: BookingId


@dataclass(frozen=True, slots=True)
class Ending:
    """A booking whose time ends, and the optional events that its account has chosen."""

    booking: Booking
    chosen: frozenset[str]


class Notifications(Table):
    """Chosen events, sent notifications, and counts of calls to expired bookings."""

    def chosen(self, account_id: AccountId) -> frozenset[str]:
        """Returns the optional events that the account has chosen."""
        return chosen_events_from_column(self._sql.events_chosen(self._db, account_id=account_id))

    def choose(self, account_id: AccountId, events: list[EventType]) -> None:
        """Stores the optional events that the account wants, instead of earlier ones."""
        self._sql.choose_events(self._db, account_id=account_id, events=",".join(events))

    def anybody_chose(self) -> bool:
        """Returns whether any account has chosen an optional event."""
        return bool(self._sql.any_events_chosen(self._db))

    def mark(self, booking_id: BookingId, kind: EventType, now: EpochMs) -> bool:
        """Notes that a notification is sent. Returns False if it was sent before."""
        return bool(self._sql.insert_notice(self._db, booking_id=booking_id, kind=kind, now=now))

    def unmark(self, booking_id: BookingId, kind: EventType) -> None:
        """Lets a notification be sent again."""
        self._sql.delete_notice(self._db, booking_id=booking_id, kind=kind)

    def unmark_all(self, booking_id: BookingId) -> None:
        """Lets every notification about a booking be sent again."""
        self._sql.delete_notices(self._db, booking_id=booking_id)

    def swept_to(self, kind: EventType) -> EndingPosition | None:
        """Returns the position up to which the sweep has sent this notification; None before its first run."""
        row = self._sql.notices_swept_to(self._db, kind=kind)
        return EndingPosition(**row) if row else None

    def set_swept(self, kind: EventType, place: EndingPosition) -> None:
        """Stores the position up to which the sweep has sent this notification."""
        self._sql.set_notices_swept(self._db, kind=kind, **asdict(place))

    def ending(self, after: EndingPosition, until: EpochMs, limit: int) -> list[Ending]:
        """Returns customers' bookings whose time ends after the position `after` and up to `until`, in that order.

        Bookings whose seconds or calls were used up are not among them.
        """
        rows = self._sql.bookings_ending(
            self._db, after=after.ends_at, after_id=after.booking_id, until=until, at_most=limit
        )
        return [Ending(booking_from_row(row), chosen_events_from_column(row["events"])) for row in rows]

    def ending_of(
        self, account_id: AccountId, kind: EventType, *, after: int, until: EpochMs, limit: int
    ) -> list[Booking]:
        """Returns an account's bookings whose time ends after `after` and up to `until`, if `kind` was not sent yet."""
        rows = self._sql.bookings_of_account_ending(
            self._db, account_id=account_id, kind=kind, after=after, until=until, at_most=limit
        )
        return [booking_from_row(row) for row in rows]

    def expired_calls(self, booking_id: BookingId) -> ExpiredCalls | None:
        """Returns the current window of calls to an expired booking."""
        row = self._sql.expired_calls_of(self._db, booking_id=booking_id)
        return ExpiredCalls(**row) if row else None

    def set_expired_calls(self, booking_id: BookingId, window: ExpiredCalls) -> None:
        """Stores the current window of calls to an expired booking."""
        self._sql.set_expired_calls(self._db, booking_id=booking_id, **asdict(window))

    def with_calls_not_told(self, began_before: EpochMs, account_id: AccountId | None, limit: int) -> list[BookingId]:
        """Returns expired bookings with calls that no callback has reported.

        Args:
            began_before: Only windows that began up to this instant.
            account_id: Only this account's bookings. None: all customers' bookings, but no sandboxes'.
            limit: The most bookings to return.
        """
        rows = self._sql.expired_calls_not_told(
            self._db, before=began_before, account_id=account_id or "", at_most=limit
        )
        return [row["booking_id"] for row in rows]

    def call_record(self, account_id: AccountId, cdr_id: str) -> Cdr | None:
        """Returns a call record of the account."""
        row = self._sql.cdr_by_id(self._db, account_id=account_id, id=cdr_id)
        return cdr_from_row(row) if row else None

    def forget(self, booking_id: BookingId) -> None:
        """Deletes the notes about a booking that is gone."""
        self._sql.delete_notices(self._db, booking_id=booking_id)
        self._sql.delete_expired_calls(self._db, booking_id=booking_id)
