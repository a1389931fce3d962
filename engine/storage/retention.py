"""The tables as retention uses them: by age."""

from dataclasses import dataclass

from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class OldRecord:
    """What retention needs of a call record to delete it. `started_at` is by the machine's clock, not a sandbox's."""

    id: str
    call_id: CallId
    booking_id: BookingId
    started_at: EpochMs
    duration: int


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
