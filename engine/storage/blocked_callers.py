"""The table of callers that a booking refuses."""

from dataclasses import dataclass

from engine.domain.ids import BookingId
from engine.domain.times import EpochMs
from engine.storage.table import Table, fields_of


@dataclass(frozen=True, slots=True)
class BlockedCaller:
    """A blocked caller (E.164), and when it was blocked."""

    caller: str
    created_at: EpochMs

    @property
    def id(self) -> str:
        """The key by which lists are ordered and paged."""
        return self.caller


class BlockedCallers(Table):
    """Callers that bookings refuse."""

    def count(self, booking_id: BookingId) -> int:
        """Returns how many callers the booking refuses."""
        return int(self._sql.blocked_count(self._db, booking_id=booking_id))

    def by_number(self, booking_id: BookingId, caller: str) -> BlockedCaller | None:
        """Returns the entry of a caller."""
        row = self._sql.blocked_caller(self._db, booking_id=booking_id, caller=caller)
        return BlockedCaller(**row) if row else None

    def all(self, booking_id: BookingId) -> list[BlockedCaller]:
        """Returns all callers that the booking refuses, in the order of their numbers."""
        count = self.count(booking_id)
        rows = self._sql.blocked_page(self._db, booking_id=booking_id, after="", at_most=count)
        return [BlockedCaller(**row) for row in rows]

    def insert(self, booking_id: BookingId, blocked: BlockedCaller) -> None:
        """Adds a caller."""
        self._sql.insert_blocked(self._db, booking_id=booking_id, **fields_of(blocked))

    def delete(self, booking_id: BookingId, caller: str) -> bool:
        """Removes a caller. Returns whether it was blocked."""
        return bool(self._sql.delete_blocked(self._db, booking_id=booking_id, caller=caller))

    def delete_all(self, booking_id: BookingId) -> int:
        """Removes all callers of a booking. Returns how many there were."""
        return int(self._sql.delete_all_blocked(self._db, booking_id=booking_id))
