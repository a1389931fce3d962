"""The table of errands: what an engine asks the keeper of another Asterisk to do with the calls that are up there."""

from dataclasses import dataclass
from enum import Enum

from engine.domain.ids import BookingId, CallId
from engine.domain.times import BootMs
from engine.storage.table import Table, fields_of


class ErrandKind(Enum):
    """What is asked.

    Attributes:
        ROOM: Take seconds back from the calls on a booking, for a call that comes in at another Asterisk.
        END_RINGING: End a call if it still rings, so that another one can take its place.
        HANG_UP: End a call.
    """

    ROOM = "ROOM"
    END_RINGING = "END_RINGING"
    HANG_UP = "HANG_UP"


@dataclass(frozen=True, slots=True)
class Errand:
    """What is asked of the keeper of an Asterisk.

    Attributes:
        id: Its id.
        asterisk: The Asterisk.
        kind: What is asked.
        subject: The booking for ROOM, else the call.
        seconds: The seconds to take back; 0 for the other kinds.
        until_ticks: Until when it makes sense, in the milliseconds that all engines on the database count.
    """

    id: str
    asterisk: str
    kind: ErrandKind
    subject: str
    seconds: int
    until_ticks: BootMs


class Errands(Table):
    """Errands that are not done yet, and the calls that they are about."""

    def insert(self, errand: Errand) -> None:
        """Adds an errand."""
        self._sql.insert_errand(self._db, **{**fields_of(errand), "kind": errand.kind.value})

    def of(self, asterisk: str, limit: int) -> list[Errand]:
        """Returns the errands for the keeper of an Asterisk, oldest first."""
        rows = self._sql.errands_of(self._db, asterisk=asterisk, at_most=limit)
        return [Errand(row[0], row[1], ErrandKind(row[2]), *row[3:]) for row in rows]

    def exists(self, errand_id: str) -> bool:
        """Returns whether the errand is not done yet."""
        return bool(self._sql.errand_exists(self._db, id=errand_id))

    def delete(self, errand_id: str) -> None:
        """Deletes an errand that is done, or that nobody waits for any more."""
        self._sql.delete_errand(self._db, id=errand_id)

    def asterisks_of(self, booking_id: BookingId) -> set[str]:
        """Returns the Asterisks that have calls on a booking."""
        return {row[0] for row in self._sql.asterisks_of_booking(self._db, booking_id=booking_id)}

    def asterisks_with_calls(self) -> set[str]:
        """Returns the Asterisks that have calls."""
        return {row[0] for row in self._sql.asterisks_with_calls(self._db)}

    def asterisk_of(self, call_id: CallId) -> str | None:
        """Returns the Asterisk that has a call; None if it is not up."""
        asterisk: str | None = self._sql.asterisk_of_call(self._db, call_id=call_id)
        return asterisk
