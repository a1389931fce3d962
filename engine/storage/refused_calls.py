"""The tables of refused calls: how many have a record of their own, and which were only counted."""

from dataclasses import asdict, dataclass

from engine.domain.dispositions import Disposition
from engine.domain.ids import BookingId, CallId
from engine.domain.times import EpochMs
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class RefusedCalls:
    """One minute of refused calls of a booking with the same disposition.

    Attributes:
        began_at: When the first of them came in.
        recorded: How many of them have a record of their own.
        cdr_id: The latest of these records.
    """

    began_at: EpochMs
    recorded: int
    cdr_id: str


class RefusedCallTables(Table):
    """Counts of refused calls."""

    def latest(self, booking_id: BookingId, disposition: Disposition) -> RefusedCalls | None:
        """Returns the latest minute with refused calls of this disposition."""
        row = self._sql.refused_calls_of(self._db, booking_id=booking_id, disposition=disposition.value)
        return RefusedCalls(**row) if row else None

    def set_latest(self, booking_id: BookingId, disposition: Disposition, minute: RefusedCalls) -> None:
        """Stores the latest minute with refused calls of this disposition."""
        self._sql.set_refused_calls(self._db, booking_id=booking_id, disposition=disposition.value, **asdict(minute))

    def count_further(self, cdr_id: str) -> bool:
        """Adds a call to the further calls that a record counts. Returns False if the record is deleted."""
        return bool(self._sql.count_further_call(self._db, cdr_id=cdr_id))

    def note_counted(self, call_id: CallId, now: EpochMs) -> None:
        """Notes that a call was counted, so that it is not counted again if the question about it is repeated."""
        self._sql.insert_counted_call(self._db, call_id=call_id, now=now)

    def forget_counted(self, before: EpochMs, limit: int) -> int:
        """Deletes notes of calls that were counted up to `before`. Returns how many."""
        return int(self._sql.delete_counted_calls(self._db, before=before, at_most=limit))

    def forget(self, booking_id: BookingId) -> None:
        """Deletes the counts of a booking that is gone."""
        self._sql.delete_refused_calls(self._db, booking_id=booking_id)
