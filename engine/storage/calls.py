"""The table of calls that hold or held a lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.domain.ids import BookingId, CallId
from engine.domain.metering import CallState
from engine.domain.numbers import E164
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.table import Row, Table, fields_of


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was granted a lease. `…_at` epoch milliseconds, `…_ticks` the machine's (see Moment).

    `call_id`: unique id of the caller's channel in Asterisk, `callee_channel` that of the one that carries the limit.
    `answered`: its `now` is Asterisk's wall clock, where that is known. `seen_ticks`: when Asterisk last said that it
    is up.
    """

    call_id: CallId
    booking_id: BookingId
    state: CallState
    source: str
    destination: E164
    callee_channel: str | None
    seconds_leased: int
    seconds_charged: int | None
    started_at: EpochMs
    ended_at: EpochMs | None
    started_ticks: BootMs
    answered: Timestamp | None
    seen_ticks: BootMs | None


@dataclass(frozen=True, slots=True)
class UpCall:
    """What the comparison with Asterisk needs of a call that holds a lease; there may be ten thousand."""

    call_id: CallId
    state: CallState
    seconds_leased: int
    started_ticks: BootMs
    seen_ticks: BootMs | None


class Calls(Table):
    def insert(self, call: Call) -> None:
        self._sql.insert_call(self._db, **call_to_row(call))

    def update(self, call: Call) -> None:
        """Of one that is up."""
        self._sql.update_call(self._db, **call_to_row(call))

    def end(self, call_id: CallId, state: CallState, *, charged: int, now: EpochMs) -> None:
        self._sql.end_call(self._db, call_id=call_id, state=state, seconds_charged=charged, ended_at=now)

    def by_id(self, call_id: CallId) -> Call | None:
        row = self._sql.call_by_id(self._db, call_id=call_id)
        return call_from_row(row) if row else None

    def up_on(self, booking_id: BookingId) -> list[Call]:
        return [call_from_row(row) for row in self._sql.calls_up_on_booking(self._db, booking_id=booking_id)]

    def to_hang_up(self, at_most: int) -> list[Call]:
        """Calls that are up on gone bookings, and to numbers that were erased meanwhile."""
        return [call_from_row(row) for row in self._sql.calls_to_hang_up(self._db, at_most=at_most)]

    def up_briefly(self) -> list[UpCall]:
        """Every call that holds a lease."""
        return [UpCall(**row | {"state": CallState(row["state"])}) for row in self._sql.calls_up_briefly(self._db)]

    def all_seen(self, ticks: BootMs) -> None:
        """Asterisk says that all that talk are up."""
        self._sql.all_calls_seen(self._db, ticks=ticks)

    def last_seen(self, calls: Sequence[UpCall]) -> None:
        """They were seen when they say, and not since."""
        if calls:
            self._sql.calls_last_seen(self._db, [{"call_id": c.call_id, "seen_ticks": c.seen_ticks} for c in calls])

    def has_ended(self, call_id: CallId) -> bool:
        """Not of one that is unknown."""
        return bool(self._sql.call_has_ended(self._db, call_id=call_id))

    def bookings_with_talk(self) -> list[BookingId]:
        return [row["booking_id"] for row in self._sql.bookings_with_talk(self._db)]

    def bookings_overrun(self, ticks: BootMs) -> list[BookingId]:
        """Bookings with a talking call whose lease was used up by then."""
        return [row["booking_id"] for row in self._sql.bookings_overrun(self._db, ticks=ticks)]

    def of_caller(self, booking_id: BookingId, source: str, after: EpochMs) -> int:
        """How many calls of that caller were let through after that instant (epoch milliseconds)."""
        return int(self._sql.calls_of_caller(self._db, booking_id=booking_id, source=source, after=after))

    def overdue(self, ticks: BootMs, *, ring_ms: int, margin_ms: int, at_most: int) -> list[Call]:
        """Calls that must have ended at least `margin_ms` ago."""
        rows = self._sql.calls_overdue(self._db, ticks=ticks, ring_ms=ring_ms, margin_ms=margin_ms, at_most=at_most)
        return [call_from_row(row) for row in rows]


def call_from_row(row: Row) -> Call:
    values = dict(row)
    at, ticks = values.pop("answered_at"), values.pop("answered_ticks")
    return Call(**values | {"state": CallState(row["state"]), "answered": None if at is None else Timestamp(at, ticks)})


def call_to_row(call: Call) -> dict[str, Any]:
    row = fields_of(call)
    answered: Timestamp | None = row.pop("answered")
    row["answered_at"], row["answered_ticks"] = (answered.wall_ms, answered.boot_ms) if answered else (None, None)
    return row
