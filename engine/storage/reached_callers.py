"""The table of callers who have reached rented numbers, as digests (engine/domain/caller_digests.py)."""

from dataclasses import dataclass

from engine.domain.ids import BookingId
from engine.domain.numbers import E164
from engine.domain.times import EpochMs
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """What is noted of a call record.

    Attributes:
        id: The record's id.
        duration: The charged seconds; 0 if the call was not answered.
        source: The caller: E.164, as sent, "anonymous" or "erased".
        direction: A value of Direction.
    """

    id: str
    booking_id: BookingId
    service: E164
    source: str
    started_at: EpochMs
    duration: int
    direction: str


class ReachedCallers(Table):
    """Which booking each caller reached last at each number."""

    def note(self, service: E164, digest: str, booking_id: BookingId, reached_at: EpochMs) -> None:
        """Notes that a caller has reached a booking. A further call within a day changes nothing."""
        self._sql.note_reached_caller(
            self._db, service=service, digest=digest, booking_id=booking_id, reached_at=reached_at
        )

    def records_to_note(self, before_id: str, limit: int) -> list[AnsweredCall]:
        """Returns the oldest records that were not noted yet, with ids before `before_id`."""
        rows = self._sql.records_to_note(self._db, before_id=before_id, at_most=limit)
        return [AnsweredCall(**row) for row in rows]

    def set_noted(self, cdr_id: str) -> None:
        """Stores that the records up to this one are noted."""
        self._sql.set_callers_noted(self._db, cdr_id=cdr_id)

    def delete(self, service: E164, digest: str) -> bool:
        """Deletes a caller of a number. Returns whether there was one."""
        return bool(self._sql.delete_reached_caller(self._db, service=service, digest=digest))

    def forget(self, before: EpochMs, limit: int) -> int:
        """Deletes callers whose last call was before an instant. Returns how many."""
        return int(self._sql.forget_reached_callers(self._db, before=before, at_most=limit))
