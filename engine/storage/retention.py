"""The tables as retention and erasure use them: by age, and by a number that a row contains."""

from dataclasses import dataclass

from engine.domain.booking import Booking
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.storage.bookings import booking_from_row
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class OldRecord:
    """What retention needs of a call record to delete it. `started_at` is by the machine's clock, not a sandbox's."""

    id: str
    call_id: CallId
    booking_id: BookingId
    started_at: EpochMs
    duration: int


@dataclass(frozen=True, slots=True)
class Window:
    """The rows with ids greater than `after`, up to `last`."""

    after: str
    last: str


class RetentionTables(Table):
    """Deletes what has been kept long enough."""

    def oldest_records(self, limit: int) -> list[OldRecord]:
        """Returns the oldest call records."""
        return [OldRecord(**row) for row in self._sql.oldest_cdrs(self._db, at_most=limit)]

    def delete_record(self, cdr_id: str, call_id: CallId) -> None:
        """Deletes a call record and its call."""
        self._sql.delete_cdr(self._db, id=cdr_id)
        self._sql.delete_ended_call(self._db, call_id=call_id)

    def add_forgotten(self, booking_id: BookingId, seconds: int, calls: int) -> None:
        """Adds the cost of deleted calls to the booking's sums, so that its ledger still adds up."""
        self._sql.add_forgotten(self._db, booking_id=booking_id, seconds=seconds, calls=calls)

    def delete_finished_callbacks(self, before: EpochMs, limit: int) -> int:
        """Deletes callbacks that finished up to `before`, with their attempts. Returns how many."""
        return int(self._sql.delete_finished_callbacks(self._db, before=before, at_most=limit))

    def oldest_sandbox_records(self, before: EpochMs, limit: int) -> list[OldRecord]:
        """Returns call records of sandboxes whose calls came in up to `before`."""
        return [OldRecord(**row) for row in self._sql.oldest_cdrs_of_worlds(self._db, before=before, at_most=limit)]

    def delete_finished_callbacks_of_sandboxes(self, before: EpochMs, limit: int) -> int:
        """Deletes callbacks of sandboxes that finished up to `before`, with their attempts. Returns how many."""
        return int(self._sql.delete_finished_callbacks_of_worlds(self._db, before=before, at_most=limit))

    def delete_kept_answers(self, before: EpochMs, limit: int) -> int:
        """Deletes answers that were kept up to `before`. Returns how many."""
        return int(self._sql.delete_kept_answers(self._db, before=before, at_most=limit))

    def delete_unused_endpoints(self, before: EpochMs, limit: int) -> int:
        """Deletes endpoints that had no attempt since `before` and hold no callback. Returns how many."""
        return int(self._sql.delete_unused_endpoints(self._db, before=before, at_most=limit))

    def forget_old_secrets(self, now: EpochMs) -> int:
        """Deletes rotated secrets that no longer sign. Returns how many."""
        return int(self._sql.forget_old_webhook_secrets(self._db, now=now))

    def gone_bookings(self, before: EpochMs, limit: int) -> list[BookingId]:
        """Returns bookings that were gone up to `before`, have no call that is up, and still name their destination."""
        rows = self._sql.gone_bookings_to_forget(self._db, before=before, at_most=limit)
        rest = limit - len(rows)
        rows += self._sql.gone_bookings_of_worlds_to_forget(self._db, before=before, at_most=rest)
        return list(dict.fromkeys(row["id"] for row in rows))

    def forget_booking(self, booking_id: BookingId) -> None:
        """Deletes the destination, callback, label and metadata of a gone booking."""
        self._sql.forget_whom_booking_hid(self._db, id=booking_id)


class ErasureTables(Table):
    """Finds and erases a number. `number` is E.164; `digits` is the same without its plus.

    No index leads to a number, so each table is scanned in windows of its primary key, each in its own transaction.
    """

    def next_window(self, table: str, after: str, limit: int) -> Window | None:
        """Returns the next `limit` rows of a table after the id `after`; None at the end."""
        last: str | None = getattr(self._sql, f"{table}_window")(self._db, after=after, at_most=limit)
        return None if last is None else Window(after, last)

    def bookings(self, window: Window, number: str, digits: str) -> list[Booking]:
        """Returns bookings that hide the number or contain its digits in their callback, label or metadata."""
        rows = self._sql.bookings_with_number(
            self._db, after=window.after, last=window.last, number=number, digits=digits
        )
        return [booking_from_row(row) for row in rows]

    def reasons(self, window: Window, digits: str) -> list[tuple[str, str]]:
        """Returns (id, reason) of grants whose reason contains the digits."""
        rows = self._sql.grants_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["reason"]) for row in rows]

    def set_reason(self, grant_id: str, reason: str) -> None:
        """Replaces a grant's reason."""
        self._sql.set_grant_reason(self._db, id=grant_id, reason=reason)

    def from_calls(self, window: Window, number: str, digits: str) -> int:
        """Erases the number from calls, and SIP Call-IDs with its digits. Returns how many had it."""
        found = _in_call_ids(digits)
        return int(self._sql.erase_from_calls(self._db, after=window.after, last=window.last, number=number, **found))

    def from_records(self, window: Window, number: str, digits: str) -> int:
        """Erases the number from call records, and SIP Call-IDs with its digits. Returns how many had it."""
        found = _in_call_ids(digits)
        return int(self._sql.erase_from_cdrs(self._db, after=window.after, last=window.last, number=number, **found))

    def callbacks(self, window: Window, digits: str) -> list[tuple[str, str, str]]:
        """Returns (id, URL, body) of callbacks whose URL or body contains the digits."""
        rows = self._sql.callbacks_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["url"], row["body"]) for row in rows]

    def set_callback_body(self, event_id: str, body: str) -> None:
        """Replaces a callback's body."""
        self._sql.set_callback_body(self._db, id=event_id, body=body)

    def delete_callback(self, event_id: str) -> None:
        """Deletes a callback with its attempts."""
        self._sql.delete_callback(self._db, id=event_id)

    def responses(self, window: Window, digits: str) -> list[tuple[str, int, str]]:
        """Returns (callback id, attempt, response) of attempts whose response contains the digits."""
        rows = self._sql.responses_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["callback_id"], row["attempt"], row["response"]) for row in rows]

    def set_response(self, callback_id: str, attempt: int, response: str) -> None:
        """Replaces the response of an attempt."""
        self._sql.set_response(self._db, callback_id=callback_id, attempt=attempt, response=response)

    def endpoints(self, window: Window, digits: str) -> list[tuple[str, str]]:
        """Returns (id, URL) of endpoints whose URL contains the digits."""
        rows = self._sql.endpoints_with_number(self._db, after=window.after, last=window.last, digits=digits)
        return [(row["id"], row["url"]) for row in rows]

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Deletes an endpoint."""
        self._sql.delete_endpoint(self._db, id=endpoint_id)

    def kept_answers(self, digits: str) -> int:
        """Deletes kept answers whose body or key contains the digits. Returns how many."""
        return int(self._sql.delete_kept_answers_with(self._db, digits=digits))

    def blocked_caller(self, number: str) -> int:
        """Deletes the number from all lists of blocked callers. Returns from how many."""
        return int(self._sql.erase_blocked_caller(self._db, number=number))


def _in_call_ids(digits: str) -> dict[str, str]:
    """Returns SQLite patterns for a number that is not a part of a longer one, in a text with a dot on both sides."""
    return {"alone": f"*[^0-9]{digits}[^0-9]*", "after_zeros": f"*[^0-9]00{digits}[^0-9]*"}
