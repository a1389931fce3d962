"""The tables of what customers are told of their bookings' course: what they chose, and what they know already."""

from dataclasses import asdict, dataclass

from engine.domain.booking import Booking
from engine.domain.events import EventType
from engine.domain.ids import AccountId, BookingId
from engine.domain.notifications import ExpiredCalls
from engine.domain.times import EpochMs
from engine.storage.accounts import chosen_events_from_column
from engine.storage.bookings import booking_from_row
from engine.storage.cdrs import Cdr, cdr_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class EndingPosition:
    """In the order in which bookings end, and of those that end at the same moment in that of their ids."""

    ends_at: EpochMs
    booking_id: BookingId


@dataclass(frozen=True, slots=True)
class Ending:
    """A booking whose time runs out, and what its account has chosen."""

    booking: Booking
    chosen: frozenset[str]


class Notifications(Table):
    def chosen(self, account_id: AccountId) -> frozenset[str]:
        """The types of the events that the account wants."""
        return chosen_events_from_column(self._sql.events_chosen(self._db, account_id=account_id))

    def choose(self, account_id: AccountId, events: list[EventType]) -> None:
        self._sql.choose_events(self._db, account_id=account_id, events=",".join(events))

    def anybody_chose(self) -> bool:
        return bool(self._sql.any_events_chosen(self._db))

    def mark(self, booking_id: BookingId, kind: EventType, now: EpochMs) -> bool:
        """Note that it is told. False: it was told before."""
        return bool(self._sql.insert_notice(self._db, booking_id=booking_id, kind=kind, now=now))

    def unmark(self, booking_id: BookingId, kind: EventType) -> None:
        self._sql.delete_notice(self._db, booking_id=booking_id, kind=kind)

    def unmark_all(self, booking_id: BookingId) -> None:
        self._sql.delete_notices(self._db, booking_id=booking_id)

    def swept_to(self, kind: EventType) -> EndingPosition | None:
        row = self._sql.notices_swept_to(self._db, kind=kind)
        return EndingPosition(**row) if row else None

    def set_swept(self, kind: EventType, place: EndingPosition) -> None:
        self._sql.set_notices_swept(self._db, kind=kind, **asdict(place))

    def ending(self, after: EndingPosition, until: EpochMs, at_most: int) -> list[Ending]:
        """Those that run out of time, not of credit, behind that place up to that instant, in that order."""
        rows = self._sql.bookings_ending(
            self._db, after=after.ends_at, after_id=after.booking_id, until=until, at_most=at_most
        )
        return [Ending(booking_from_row(row), chosen_events_from_column(row["events"])) for row in rows]

    def ending_of(
        self, account_id: AccountId, kind: EventType, *, after: int, until: EpochMs, at_most: int
    ) -> list[Booking]:
        """Those of one account of which this was not told yet."""
        rows = self._sql.bookings_of_account_ending(
            self._db, account_id=account_id, kind=kind, after=after, until=until, at_most=at_most
        )
        return [booking_from_row(row) for row in rows]

    def expired_calls(self, booking_id: BookingId) -> ExpiredCalls | None:
        row = self._sql.expired_calls_of(self._db, booking_id=booking_id)
        return ExpiredCalls(**row) if row else None

    def set_expired_calls(self, booking_id: BookingId, window: ExpiredCalls) -> None:
        self._sql.set_expired_calls(self._db, booking_id=booking_id, **asdict(window))

    def with_calls_not_told(self, began_before: EpochMs, account_id: AccountId | None, at_most: int) -> list[BookingId]:
        """Ids of bookings. `account_id` empty: of all accounts."""
        rows = self._sql.expired_calls_not_told(
            self._db, before=began_before, account_id=account_id or "", at_most=at_most
        )
        return [row["booking_id"] for row in rows]

    def call_record(self, account_id: AccountId, cdr_id: str) -> Cdr | None:
        row = self._sql.cdr_by_id(self._db, account_id=account_id, id=cdr_id)
        return cdr_from_row(row) if row else None

    def forget(self, booking_id: BookingId) -> None:
        """A booking that is gone is told of no more."""
        self._sql.delete_notices(self._db, booking_id=booking_id)
        self._sql.delete_expired_calls(self._db, booking_id=booking_id)
