"""What the steps of a call read, each with one statement: its route, its answer and its end."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.domain.booking import Booking
from engine.domain.ids import BookingId, CallId
from engine.domain.notifications import EventType
from engine.domain.numbers import ANONYMOUS, E164, ERASED
from engine.domain.times import EpochMs, Timestamp
from engine.storage.accounts import chosen_events_from_column
from engine.storage.bookings import booking_from_row
from engine.storage.calls import Call, call_from_row
from engine.storage.columns import COLUMNS
from engine.storage.table import Table

_BOOKING = len(COLUMNS["bookings"])
_CALL = _BOOKING + len(COLUMNS["calls"])


@dataclass(frozen=True, slots=True)
class Asked:
    """A booking whose number is dialled, and what the database knows about this call and its caller.

    Attributes:
        booking: The booking that holds the number.
        destination_is_ours: Whether a hidden number is in the pool, so that bridging would make a loop.
        caller_blocked: Whether the booking blocks the caller.
        caller_calls: Calls of this caller that were put through on the booking since an instant.
        account_calls: Calls that are up on all bookings of the account.
        own_calls_at_once: The account's own limit of them; None: the operator's applies.
        call_is_known: Whether a call with this id was put through before, on any booking.
        call_has_record: Whether a call with this id has its record, because it has ended or was rejected,
            or was counted on the record of another one.
        account_suspended: Whether the booking's account is suspended or closed.
        is_former_caller: Whether the caller reached another booking that had the number.
    """

    booking: Booking
    destination_is_ours: bool
    caller_blocked: bool
    caller_calls: int
    account_calls: int
    own_calls_at_once: int | None
    call_is_known: bool
    call_has_record: bool
    account_suspended: bool
    is_former_caller: bool


@dataclass(frozen=True, slots=True)
class FormerCaller:
    """How a caller is recognised who has reached the number before.

    Attributes:
        digest: The digest of the caller and the number; empty if the caller cannot be recognised.
        since: How long ago that counts.
    """

    digest: str
    since: EpochMs


@dataclass(frozen=True, slots=True)
class Called:
    """A call that was put through.

    Attributes:
        booking: The booking that was called.
        call: The call.
        callbacks_posted: How many callbacks about the booking were posted so far.
        chosen: The optional events that the booking's account has chosen.
    """

    booking: Booking
    call: Call
    callbacks_posted: int
    chosen: frozenset[str]


class CallPath(Table):
    """Reads over several tables for the steps of a call."""

    def asked(
        self,
        service: E164,
        source: str,
        call_id: CallId,
        since: EpochMs,
        *,
        former: FormerCaller,
        asserted: E164 | None = None,
        pin: str | None = None,
    ) -> Asked | None:
        """Returns the booking that is called, of pairs the caller's own, with facts about a call from `source`.

        No other transaction changes the booking or its calls now.

        Args:
            service: The dialled number.
            source: The caller.
            call_id: The call.
            since: From when on the caller's calls are counted.
            former: How the caller is recognised who reached the number when another booking had it.
            asserted: The caller's number as its carrier asserts it, by which pairs are told apart.
            pin: The PIN that the caller has keyed in. It decides if the asserted number is not a participant's.
        """
        called = {"service": service, "asserted": asserted, "pin": pin}
        locked = self._sql.lock_booking_holding(self._db, **called)
        recognised = {"digest": former.digest, "reached_since": former.since}
        row = self._sql.asked(self._db, **called, **recognised, source=source, call_id=call_id, since=since)
        if row is None:
            return None
        if not locked:  # the number was booked since: that booking is not locked yet
            return self.asked(service, source, call_id, since, former=former, asserted=asserted, pin=pin)
        ours, blocked, calls, account_calls, own_limit, known, recorded, suspended, is_former = row[_BOOKING:]
        return Asked(
            booking_from_row(row),
            bool(ours),
            bool(blocked),
            calls,
            account_calls,
            own_limit,
            bool(known),
            bool(recorded),
            bool(suspended),
            bool(is_former),
        )

    def lock_called(self, service: E164, asserted: E164 | None, pins: Sequence[str]) -> None:
        """Lets no other transaction change the booking that is called, nor its calls.

        Args:
            service: The dialled number.
            asserted: The caller's number as its carrier asserts it.
            pins: What the caller keys in, one after the other; the first that leads to a booking counts.
        """
        for pin in pins or (None,):
            if self._sql.lock_booking_holding(self._db, service=service, asserted=asserted, pin=pin):
                return

    def last_caller(self, booking_id: BookingId) -> str | None:
        """Returns who called last on a booking, E.164 or as sent; None if there is nobody who can be called back.

        There is none if the last caller withheld the number, was erased since or is blocked by now: to reach an
        earlier caller instead would be a surprise.
        """
        row = self._sql.last_caller(self._db, booking_id=booking_id)
        if row is None or row[1] or row[0] in {ANONYMOUS, ERASED}:
            return None
        return str(row[0])

    def begin_expected_talk(
        self,
        call_id: CallId,
        callee_channel: str,
        limit: int,
        *,
        answered: Timestamp,
        not_before: EpochMs,
        callee_sip_call_id: str | None,
    ) -> bool:
        """Makes a ringing call LIVE, if nothing but that follows from its answer.

        Args:
            call_id: The call.
            callee_channel: Asterisk's unique id of the callee's channel.
            limit: The limit that Asterisk has set, in seconds.
            answered: When the call was answered.
            not_before: Until when its booking must last at least.
            callee_sip_call_id: The SIP Call-ID of the callee's leg, if it is known.

        Returns:
            False if nothing was done: the call does not ring, must have another limit or has no destination any more,
            other calls are up on its booking, or its account has chosen the event `call.started`. Else a command that
            has written nothing before must not do anything after it: on PostgreSQL it is committed.
        """
        # A simulated call has written its route before: that must not be kept without the rest.
        may_commit = not self._sql.has_one_writer and not self._db.has_written
        self._sql.lock_booking_of_call(self._db, call_id=call_id)
        changed = self._sql.begin_expected_talk(
            self._db,
            call_id=call_id,
            callee_channel=callee_channel,
            limit=limit,
            answered_at=answered.wall_ms,
            answered_ticks=answered.boot_ms,
            not_before=not_before,
            callee_sip_call_id=callee_sip_call_id,
            event=EventType.CALL_STARTED.value,
        )
        return bool(self._db.commit_if(changed)) if may_commit else bool(changed)

    def called(self, call_id: CallId) -> Called | None:
        """Returns a call, whether it is up or has ended, and whether its booking is gone or not.

        No other transaction changes the booking or its calls now.
        """
        row = self._sql.called(self._db, call_id=call_id)
        if row is None:
            return None
        posted, events = row[_CALL:]
        call = call_from_row(row[_BOOKING:_CALL])
        return Called(booking_from_row(row), call, posted, chosen_events_from_column(events))
