"""The tables as retention and erasure see them: by age, and by a number that stands somewhere in them."""

from dataclasses import dataclass

from engine.domain.booking import Booking
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.storage.bookings import booking_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class OldRecord:
    """What must be known of a call record to forget it."""

    id: str
    call_id: CallId
    booking_id: BookingId
    started_at: EpochMs
    duration: int


@dataclass(frozen=True, slots=True)
class Window:
    """Rows with ids after `after` up to `last`."""

    after: str
    last: str


class RetentionTables(Table):
    def oldest_records(self, at_most: int) -> list[OldRecord]:
        return [OldRecord(**row) for row in self._sql.oldest_cdrs(self._db, at_most=at_most)]

    def delete_record(self, cdr_id: str, call_id: CallId) -> None:
        """With its call."""
        self._sql.delete_cdr(self._db, id=cdr_id)
        self._sql.delete_ended_call(self._db, call_id=call_id)

    def add_forgotten(self, booking_id: BookingId, seconds: int, calls: int) -> None:
        """Note what the settled calls cost that are deleted."""
        self._sql.add_forgotten(self._db, booking_id=booking_id, seconds=seconds, calls=calls)

    def delete_finished_callbacks(self, before: EpochMs, at_most: int) -> int:
        """With their attempts."""
        return int(self._sql.delete_finished_callbacks(self._db, before=before, at_most=at_most))

    def delete_kept_answers(self, before: EpochMs, at_most: int) -> int:
        return int(self._sql.delete_kept_answers(self._db, before=before, at_most=at_most))

    def delete_unused_endpoints(self, before: EpochMs, at_most: int) -> int:
        """Those that were not tried since, and for which nothing is held."""
        return int(self._sql.delete_unused_endpoints(self._db, before=before, at_most=at_most))

    def forget_old_secrets(self, now: EpochMs) -> int:
        """Those that sign no more."""
        return int(self._sql.forget_old_webhook_secrets(self._db, now=now))

    def gone_bookings(self, before: EpochMs, at_most: int) -> list[BookingId]:
        """Ids of bookings gone by then without a call that is up, which still say whom they hid."""
        rows = list(self._sql.gone_bookings_to_forget(self._db, before=before, at_most=at_most))
        rest = at_most - len(rows)
        rows += self._sql.gone_bookings_of_worlds_to_forget(self._db, before=before, at_most=rest)
        return list(dict.fromkeys(row["id"] for row in rows))

    def forget_booking(self, booking_id: BookingId) -> None:
        self._sql.forget_whom_booking_hid(self._db, id=booking_id)


class ErasureTables(Table):
    """`number` is E.164, `digits` the same without its plus."""

    def next_window(self, table: str, after: str, at_most: int) -> Window | None:
        """None: there is nothing after `after`."""
        last: str | None = getattr(self._sql, f"{table}_window")(self._db, after=after, at_most=at_most)
        return None if last is None else Window(after, last)

    def bookings(self, window: Window, number: str, digits: str) -> list[Booking]:
        """Those that hide it, and those with its digits in their callback, label or metadata."""
        rows = self._sql.bookings_with_number(
            self._db, after=window.after, last=window.last, number=number, digits=digits
        )
        return [booking_from_row(row) for row in rows]

    def reasons(self, window: Window, digits: str) -> list[tuple[str, str]]:
        """(id, reason) of grants with those digits in their reason."""
        rows = self._sql.grants_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["reason"]) for row in rows]

    def set_reason(self, grant_id: str, reason: str) -> None:
        self._sql.set_grant_reason(self._db, id=grant_id, reason=reason)

    def from_calls(self, window: Window, number: str) -> int:
        return int(self._sql.erase_from_calls(self._db, after=window.after, last=window.last, number=number))

    def from_records(self, window: Window, number: str) -> int:
        return int(self._sql.erase_from_cdrs(self._db, after=window.after, last=window.last, number=number))

    def callbacks(self, window: Window, digits: str) -> list[tuple[str, str, str]]:
        """(id, URL, body) of callbacks with those digits in either."""
        rows = self._sql.callbacks_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["url"], row["body"]) for row in rows]

    def set_callback_body(self, event_id: str, body: str) -> None:
        self._sql.set_callback_body(self._db, id=event_id, body=body)

    def delete_callback(self, event_id: str) -> None:
        self._sql.delete_callback(self._db, id=event_id)

    def responses(self, window: Window, digits: str) -> list[tuple[str, int, str]]:
        """(callback, attempt, response) of attempts that were answered with those digits."""
        rows = self._sql.responses_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["callback_id"], row["attempt"], row["response"]) for row in rows]

    def set_response(self, callback_id: str, attempt: int, response: str) -> None:
        self._sql.set_response(self._db, callback_id=callback_id, attempt=attempt, response=response)

    def endpoints(self, window: Window, digits: str) -> list[tuple[str, str]]:
        """(id, URL) of endpoints with those digits in their URL."""
        rows = self._sql.endpoints_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["url"]) for row in rows]

    def delete_endpoint(self, endpoint_id: str) -> None:
        self._sql.delete_endpoint(self._db, id=endpoint_id)

    def kept_answers(self, digits: str) -> int:
        return int(self._sql.delete_kept_answers_with(self._db, digits=digits))

    def blocked_caller(self, number: str) -> int:
        return int(self._sql.erase_blocked_caller(self._db, number=number))
