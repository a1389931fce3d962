"""The table of calls that hold or held a lease."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.domain.beep import BeepingCall
from engine.domain.booking import Booking
from engine.domain.directions import Direction
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.metering import CallState
from engine.domain.numbers import E164
from engine.domain.ringing import RingingCall
from engine.domain.times import BootMs, EpochMs, Timestamp
from engine.storage.columns import direction_columns, direction_from
from engine.storage.table import Table

# Looking a member up by its value in an enumeration itself takes several times as long.
_STATES = {state.value: state for state in CallState}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was granted a lease.

    Names that end in `_at` are epoch milliseconds; names that end in `_ticks` are milliseconds of a clock that is never
    set (see Timestamp).

    Attributes:
        call_id: Unique id of the caller's channel in Asterisk.
        callee_channel: Unique id of the callee's channel, which carries the limit.
        answered: When the call was answered. Its wall clock is Asterisk's, where that is known.
        seen_ticks: When Asterisk last listed the call as up.
        sip_call_id: The SIP Call-ID of the caller's leg; None if it is not known.
        callee_sip_call_id: The SIP Call-ID of the callee's leg; None before its answer is reported.
        incoming_trunk: The trunk over which the call came in; None if it came from something else.
        dialled: The rented number that was dialled, if the booking has got another one since. None: the booking's.
        asterisk: The name of the Asterisk that has the call; empty where one engine works alone on the database.
        direction: The direction of the call: `source` and `destination` are the two, whatever the direction.
        returnable: Whether the hidden number may call back who called.
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
    sip_call_id: str | None = None
    callee_sip_call_id: str | None = None
    incoming_trunk: str | None = None
    dialled: E164 | None = None
    asterisk: str = ""

    def service(self, booking: Booking) -> E164:
        """Returns the rented number that was dialled to reach the booking."""
        return self.dialled or booking.service

    direction: Direction = Direction.FORWARD
    returnable: bool = False


@dataclass(frozen=True, slots=True)
class UpCall:
    """What the reconciliation with Asterisk needs of a call that holds a lease. There may be ten thousand of them."""

    call_id: CallId
    state: CallState
    seconds_leased: int
    started_ticks: BootMs
    seen_ticks: BootMs | None


class Calls(Table):
    """Calls. A call is up from the grant of its lease until it is settled, voided or expired."""

    def insert(self, call: Call) -> None:
        """Adds a call."""
        self._sql.insert_call(
            self._db,
            call_id=call.call_id,
            booking_id=call.booking_id,
            state=str(call.state),  # SQLite would look for an adapter of the enumeration
            source=call.source,
            destination=call.destination,
            callee_channel=call.callee_channel,
            seconds_leased=call.seconds_leased,
            seconds_charged=call.seconds_charged,
            started_at=call.started_at,
            ended_at=call.ended_at,
            started_ticks=call.started_ticks,
            answered_at=call.answered and call.answered.wall_ms,
            answered_ticks=call.answered and call.answered.boot_ms,
            seen_ticks=call.seen_ticks,
            sip_call_id=call.sip_call_id,
            callee_sip_call_id=call.callee_sip_call_id,
            incoming_trunk=call.incoming_trunk,
            dialled=call.dialled,
            asterisk=call.asterisk,
            **direction_columns(call.direction),
            returnable=int(call.returnable),
        )

    def update(self, call: Call) -> None:
        """Stores what can change while a call is up."""
        self._sql.update_call(
            self._db,
            call_id=call.call_id,
            booking_id=call.booking_id,
            state=str(call.state),  # SQLite would look for an adapter of the enumeration
            callee_channel=call.callee_channel,
            seconds_leased=call.seconds_leased,
            answered_at=call.answered and call.answered.wall_ms,
            answered_ticks=call.answered and call.answered.boot_ms,
            seen_ticks=call.seen_ticks,
            callee_sip_call_id=call.callee_sip_call_id,
        )

    def start_again(self, call: Call, at: Timestamp) -> None:
        """Stores that a call that rings was asked about again, if no later time is stored."""
        self._sql.start_call_again(
            self._db,
            call_id=call.call_id,
            booking_id=call.booking_id,
            started_at=at.wall_ms,
            started_ticks=at.boot_ms,
        )

    def end(self, call: Call, state: CallState, *, charged: int, now: EpochMs) -> None:
        """Stores the end of a call and the seconds that it is charged."""
        self._sql.end_call(
            self._db,
            call_id=call.call_id,
            booking_id=call.booking_id,
            state=str(state),
            seconds_charged=charged,
            ended_at=now,
        )

    def by_id(self, call_id: CallId) -> Call | None:
        """Returns the call with that id, whether it is up or has ended."""
        row = self._sql.call_by_id(self._db, call_id=call_id)
        return call_from_row(row) if row else None

    def has_ended(self, call_id: CallId) -> bool:
        """Returns whether the call has ended; False for an unknown call."""
        return bool(self._sql.call_has_ended(self._db, call_id=call_id))

    def note_dialled(self, booking: Booking) -> None:
        """Notes which number the calls that are up on a booking have dialled, before it gets another one."""
        self._sql.note_dialled(self._db, booking_id=booking.id, service=booking.service)

    def forget_last_callers(self, booking_id: BookingId) -> None:
        """Lets nobody who called a booking so far be called back."""
        self._sql.forget_last_callers(self._db, booking_id=booking_id)

    def up_on(self, booking_id: BookingId) -> list[Call]:
        """Returns the calls that are up on a booking."""
        return [call_from_row(row) for row in self._sql.calls_up_on_booking(self._db, booking_id=booking_id)]

    def up(self) -> list[Call]:
        """Returns every call that is up."""
        return [call_from_row(row) for row in self._sql.calls_up(self._db)]

    def ringing_of(self, account_id: AccountId) -> list[RingingCall]:
        """Returns the ringing calls on all bookings of an account."""
        rows = self._sql.ringing_calls_of_account(self._db, account_id=account_id)
        return [RingingCall(call_id, started_ticks) for call_id, started_ticks in rows]

    def up_briefly(self, asterisk: str) -> list[UpCall]:
        """Returns every call that is up in an Asterisk, with few columns."""
        return [
            UpCall(call_id, _STATES[state], seconds_leased, started_ticks, seen_ticks)
            for call_id, state, seconds_leased, started_ticks, seen_ticks in self._sql.calls_up_briefly(
                self._db, asterisk=asterisk
            )
        ]

    def to_hang_up(self, asterisk: str, limit: int) -> list[Call]:
        """Returns an Asterisk's calls that must end: on gone bookings, or to a number that was erased meanwhile."""
        return [call_from_row(row) for row in self._sql.calls_to_hang_up(self._db, asterisk=asterisk, at_most=limit)]

    def overdue(self, ticks: BootMs, asterisk: str, *, ring_ms: int, margin_ms: int, limit: int) -> list[Call]:
        """Returns an Asterisk's calls that must have ended at least `margin_ms` before `ticks`.

        Args:
            ticks: The present, in milliseconds since boot.
            asterisk: The Asterisk.
            ring_ms: The longest time that a call rings.
            margin_ms: Grace period after the latest possible end.
            limit: The most calls to return.
        """
        rows = self._sql.calls_overdue(
            self._db, ticks=ticks, asterisk=asterisk, ring_ms=ring_ms, margin_ms=margin_ms, at_most=limit
        )
        return [call_from_row(row) for row in rows]

    def all_seen(self, asterisk: str, ticks: BootMs) -> None:
        """Notes that an Asterisk listed all its answered calls at `ticks`."""
        self._sql.all_calls_seen(self._db, asterisk=asterisk, ticks=ticks)

    def last_seen(self, calls: Sequence[UpCall]) -> None:
        """Restores when each of these calls was last seen, after `all_seen` has overwritten it."""
        if calls:
            self._sql.calls_last_seen(self._db, [{"call_id": c.call_id, "seen_ticks": c.seen_ticks} for c in calls])

    def bookings_with_talk(self, asterisk: str) -> list[BookingId]:
        """Returns the bookings that have answered calls in an Asterisk."""
        return [row["booking_id"] for row in self._sql.bookings_with_talk(self._db, asterisk=asterisk)]

    def bookings_overrun(self, asterisk: str, ticks: BootMs) -> list[BookingId]:
        """Returns the bookings with an answered call in an Asterisk whose lease was used up at `ticks`."""
        return [row["booking_id"] for row in self._sql.bookings_overrun(self._db, asterisk=asterisk, ticks=ticks)]

    def to_beep(self, asterisk: str, ticks: BootMs, now: EpochMs, limit: int) -> list[BeepingCall]:
        """Returns an Asterisk's talking calls, on bookings with the beep, that end soon.

        Args:
            asterisk: The Asterisk.
            ticks: The latest end of their leases, in milliseconds since boot.
            now: The latest end of their bookings.
            limit: The most calls to return.
        """
        rows = self._sql.calls_to_beep(self._db, asterisk=asterisk, ticks=ticks, now=now, at_most=limit)
        return [BeepingCall(*row) for row in rows]

    def up_in(self, asterisk: str, limit: int) -> list[Call]:
        """Returns up to `limit` calls that are up in an Asterisk."""
        rows = self._sql.calls_up_in_asterisk(self._db, asterisk=asterisk, at_most=limit)
        return [call_from_row(row) for row in rows]

    def adopt(self, asterisk: str) -> None:
        """Gives an Asterisk the calls from before several engines worked on the database."""
        self._sql.adopt_calls(self._db, asterisk=asterisk)


def call_from_row(row: Iterable[Any]) -> Call:
    """Builds a call from the columns `{calls}`."""
    (
        call_id,
        booking_id,
        state,
        source,
        destination,
        callee_channel,
        seconds_leased,
        seconds_charged,
        started_at,
        ended_at,
        started_ticks,
        answered_at,
        answered_ticks,
        seen_ticks,
        sip_call_id,
        callee_sip_call_id,
        incoming_trunk,
        dialled,
        asterisk,
        direction,
        returnable,
        of_pair,
    ) = row
    return Call(
        call_id,
        booking_id,
        _STATES[state],
        source,
        destination,
        callee_channel,
        seconds_leased,
        seconds_charged,
        started_at,
        ended_at,
        started_ticks,
        None if answered_at is None else Timestamp(answered_at, answered_ticks),
        seen_ticks,
        sip_call_id,
        callee_sip_call_id,
        incoming_trunk,
        dialled,
        asterisk,
        direction_from(direction, of_pair),
        bool(returnable),
    )
