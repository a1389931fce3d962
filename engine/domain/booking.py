"""The life of a booking, ACTIVE → EXPIRED → GONE. What its calls do to its credit is in call_credit.py.

Theory of operation: the status is not stored. `status_at` derives it from stored facts and the time, so the call path
rejects a booking past its end even if no sweep ever ran.

- ACTIVE: calls are put through. The booking expires when its end is reached or its last second or call is spent.
- EXPIRED: calls are rejected. During the grace period the customer can renew the booking, which makes it ACTIVE.
- GONE: nothing brings the booking back. It is GONE when the customer deletes it or when the grace period is over; the
  sweep then records that and quarantines the number.

TRANSITIONS lists what may happen in which status.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine.domain.errors import BookingGone, IllegalTransition
from engine.domain.hours import WeeklyHours
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import Credit, seconds_to_lease
from engine.domain.notes import Metadata
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.pairs import Participant, Participants
from engine.domain.policy import NO_BOOKING_LIMITS, Allowance, BookingLimits, Policy, UsagePlan
from engine.domain.prompts import Language
from engine.domain.schedule import within_horizon
from engine.domain.screening import Screening
from engine.domain.times import EpochMs


class BookingStatus(StrEnum):
    """Status of a booking: `EXPIRED` bookings can be renewed in their grace period, `GONE` ones cannot."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    GONE = "GONE"


class BookingEvent(StrEnum):
    """What the customer (RENEWED, DELETED), the operator (ADJUSTED) or the sweep (GRACE_OVER) does to a booking."""

    RENEWED = "RENEWED"
    ADJUSTED = "ADJUSTED"
    DELETED = "DELETED"
    GRACE_OVER = "GRACE_OVER"


TRANSITIONS: dict[tuple[BookingStatus, BookingEvent], BookingStatus] = {
    (BookingStatus.ACTIVE, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    # Taking the last credit expires the booking, giving some can revive it: the credit decides, not this table.
    (BookingStatus.ACTIVE, BookingEvent.ADJUSTED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.ADJUSTED): BookingStatus.EXPIRED,
    (BookingStatus.ACTIVE, BookingEvent.DELETED): BookingStatus.GONE,
    (BookingStatus.EXPIRED, BookingEvent.DELETED): BookingStatus.GONE,
    # A booking is GONE by its times alone once its grace period is over; the sweep records that.
    (BookingStatus.GONE, BookingEvent.GRACE_OVER): BookingStatus.GONE,
}


class CallerId(StrEnum):
    """What the destination sees of a caller: the caller's number, the dialled service number, or no number."""

    CALLER = "caller"
    SERVICE = "service"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Booking:
    """A service number with its hidden destination, or with the two of a pair. Instants are epoch milliseconds.

    Attributes:
        id: The booking's id.
        account_id: The account that owns it.
        service: The rented number.
        destination: The hidden number.
        usage_plan: The plan of the booking or of its last renewal.
        callback: The URL to which callbacks are sent.
        created_at: When it was booked.
        end_at: When its validity ends.
        exhausted_at: When the last second or call was spent, if that was before `end_at`.
        gone_at: When it was deleted, or when the sweep recorded that its grace period is over.
        seconds: Credit in whole seconds.
        calls: Credit in calls. Every call that is up holds one.
        limits: The booking's own limits; `limits_in_force` adds the operator's.
        caller_id: What the destination sees of callers.
        refuse_anonymous: Whether calls without a caller's number are rejected.
        paused: Whether calls are rejected for now. This is not a status: the booking is ACTIVE or EXPIRED all the same,
            and its time goes on.
        label: The customer's label; empty if there is none.
        metadata: The customer's metadata.
        language: The language of the sentences that are spoken in its calls; None for the operator's.
        start_at: When it begins to take calls; None if that is when it was booked.
        whisper: Whether the hidden number's side hears, before the two are connected, that the call comes through the
            rented number.
        screening: What the hidden number's side must do before the two are connected.
        hours: The times of the week at which it takes calls; None for any time.
        reverse: Whether the hidden number may call the service number, and reaches who called last.
        greeting: Whether the caller hears a greeting while it rings.
        partner: The second hidden number of a pair, whose first one is `destination`; None if it is no pair.
        destination_label: The customer's name for the person behind the first number of a pair.
        partner_label: That for the person behind the second one.
        accept_former_callers: Whether callers get through who reached the service number when another booking had it.
        destination_pin: The PIN with which a caller stands for the first participant of a pair; None without PINs.
        partner_pin: The same for the second participant.
        beep: Whether both sides of a call hear a beep when a minute of it is left.
    """

    id: BookingId
    account_id: AccountId
    service: E164
    destination: E164
    usage_plan: UsagePlan
    callback: str
    created_at: EpochMs
    end_at: EpochMs
    exhausted_at: EpochMs | None
    gone_at: EpochMs | None
    seconds: Credit
    calls: Credit
    limits: BookingLimits = NO_BOOKING_LIMITS
    caller_id: CallerId = CallerId.CALLER
    refuse_anonymous: bool = False
    paused: bool = False
    label: str = ""
    metadata: Metadata = field(default_factory=dict, hash=False)
    language: Language | None = None
    start_at: EpochMs | None = None
    whisper: bool = False
    screening: Screening = Screening.NONE
    hours: WeeklyHours | None = None
    reverse: bool = False
    greeting: bool = False
    partner: E164 | None = None
    destination_label: str = ""
    partner_label: str = ""
    accept_former_callers: bool = False
    destination_pin: str | None = None
    partner_pin: str | None = None
    beep: bool = False

    @property
    def is_pair(self) -> bool:
        """Whether two hidden numbers reach each other."""
        return self.partner is not None

    @property
    def participants(self) -> Participants | None:
        """The two participants of a pair; None if it is no pair."""
        if self.partner is None:
            return None
        return (
            Participant(self.destination, self.destination_label, self.destination_pin),
            Participant(self.partner, self.partner_label, self.partner_pin),
        )

    @property
    def has_pins(self) -> bool:
        """Whether callers from any telephone are asked for a PIN."""
        return self.destination_pin is not None

    def stands_for(self, pin: str | None) -> E164 | None:
        """Returns the participant for whom a caller with this PIN stands; None if it is no PIN of this pair."""
        pair = self.participants
        return None if pair is None or pin is None else next((each.number for each in pair if each.pin == pin), None)

    def reached_by(self, caller: str) -> E164 | None:
        """Returns the hidden number that a caller reaches: in a pair, the other participant's.

        None: the caller is no participant.
        """
        if self.partner is None:
            return self.destination
        return {self.destination: self.partner, self.partner: self.destination}.get(E164(caller))

    @property
    def begins_at(self) -> EpochMs:
        """When the booking begins, or began, to take calls."""
        return self.created_at if self.start_at is None else self.start_at

    @property
    def expires_at(self) -> EpochMs:
        """When the booking expires or has expired: its end, or the moment in which its credit was spent."""
        return self.end_at if self.exhausted_at is None else self.exhausted_at


def status_at(booking: Booking, now: EpochMs, policy: Policy) -> BookingStatus:
    """Returns the status of the booking at `now`."""
    if booking.gone_at is not None or now >= booking.expires_at + policy.grace_ms:
        return BookingStatus.GONE
    return BookingStatus.EXPIRED if now >= booking.expires_at else BookingStatus.ACTIVE


def limits_in_force(booking: Booking, policy: Policy) -> BookingLimits:
    """Returns the booking's own limits, completed with the operator's defaults."""
    return booking.limits.or_else(policy.default_limits)


def longest_call(booking: Booking, policy: Policy) -> int:
    """Returns the most seconds that one call on this booking may last."""
    own = limits_in_force(booking, policy).max_call_seconds
    return policy.longest_call_seconds if own is None else min(own, policy.longest_call_seconds)


def room_for_call(booking: Booking, now: EpochMs, policy: Policy) -> int:
    """Returns how many seconds a call answered now could last if the booking's seconds were unlimited."""
    most = longest_call(booking, policy)
    return seconds_to_lease(most, booking.end_at - now, most)


def _check(booking: Booking, event: BookingEvent, now: EpochMs, policy: Policy) -> None:
    status = status_at(booking, now, policy)
    if (status, event) in TRANSITIONS:
        return
    if status is BookingStatus.GONE:
        raise BookingGone(f"booking {booking.id} is gone for good")
    raise IllegalTransition(f"a {status} booking cannot take {event}")


def renew(booking: Booking, plan: UsagePlan, now: EpochMs, policy: Policy) -> Booking:
    """Adds the plan's seconds, calls and validity to what is left.

    Raises:
        BookingGone: The booking is GONE.
        BookingTooLong: The new end would lie more than `policy.horizon_ms` ahead.
    """
    _check(booking, BookingEvent.RENEWED, now, policy)
    allowance: Allowance = policy.plans[plan]
    end_at = within_horizon(max(now, booking.end_at) + allowance.valid_for_ms, now, policy)
    return replace(
        booking,
        usage_plan=plan,
        end_at=end_at,
        exhausted_at=None,
        seconds=booking.seconds.top_up(allowance.seconds),
        calls=booking.calls.top_up(allowance.calls),
    )


def delete(booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    """Makes the booking GONE.

    Raises:
        BookingGone: It is GONE already.
    """
    _check(booking, BookingEvent.DELETED, now, policy)
    return _without_pins(replace(booking, gone_at=now))


def end_grace(booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    """Records that the grace period is over.

    Raises:
        IllegalTransition: It is not over.
    """
    _check(booking, BookingEvent.GRACE_OVER, now, policy)
    return _without_pins(replace(booking, gone_at=now))


def _without_pins(booking: Booking) -> Booking:
    return replace(booking, destination_pin=None, partner_pin=None) if booking.has_pins else booking


def adjust(booking: Booking, seconds: int, calls: int, now: EpochMs, policy: Policy) -> Booking:
    """Gives the booking seconds and calls, or takes them away if negative.

    Takes no more than what remains; leases stay as they are. A booking that had spent its credit is ACTIVE again when
    it gets some, unless its end is reached.

    Raises:
        BookingGone: The booking is GONE.
    """
    _check(booking, BookingEvent.ADJUSTED, now, policy)
    adjusted = replace(
        booking,
        seconds=booking.seconds.top_up(max(seconds, -booking.seconds.remaining)),
        calls=booking.calls.top_up(max(calls, -booking.calls.remaining)),
    )
    if _is_spent(booking) and not _is_spent(adjusted):
        return replace(adjusted, exhausted_at=None)
    return expired_if_spent(adjusted, now)


def expired_if_spent(booking: Booking, now: EpochMs) -> Booking:
    """Returns the booking, expired if no second or no call is left."""
    if _is_spent(booking) and booking.exhausted_at is None and now < booking.end_at:
        return replace(booking, exhausted_at=now)
    return booking


def _is_spent(booking: Booking) -> bool:
    return booking.seconds.unspent < 1 or booking.calls.unspent < 1


def shown_caller(choice: CallerId, source: str, service: E164) -> str:
    """Returns the number that the destination sees, or ANONYMOUS.

    Args:
        choice: The booking's choice.
        source: The caller; ANONYMOUS for a withheld number, which therefore is never shown.
        service: The dialled number.
    """
    shown = {CallerId.CALLER: source, CallerId.SERVICE: service, CallerId.ANONYMOUS: ANONYMOUS}
    return shown[choice]
