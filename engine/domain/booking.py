"""The life of a booking: ACTIVE → EXPIRED → gone, with one literal table of what may happen when.

The status is not stored, it follows from facts and the time (`status_at`). So a booking past its end is refused
by the call path even if no clean-up ever ran.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine.domain.errors import BookingGone, BookingTooLong, IllegalTransition
from engine.domain.ids import AccountId, BookingId
from engine.domain.metering import Credit
from engine.domain.notes import Metadata
from engine.domain.numbers import ANONYMOUS, E164
from engine.domain.policy import NO_BOOKING_LIMITS, Allowance, BookingLimits, Policy, UsagePlan
from engine.domain.times import EpochMs


class BookingStatus(StrEnum):
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    GONE = "GONE"


class BookingEvent(StrEnum):
    RENEWED = "RENEWED"
    ADJUSTED = "ADJUSTED"
    DELETED = "DELETED"
    GRACE_OVER = "GRACE_OVER"


TRANSITIONS: dict[tuple[BookingStatus, BookingEvent], BookingStatus] = {
    (BookingStatus.ACTIVE, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.RENEWED): BookingStatus.ACTIVE,
    # It may end a booking by taking the last of its credit, and revive it by bringing some: the credit decides.
    (BookingStatus.ACTIVE, BookingEvent.ADJUSTED): BookingStatus.ACTIVE,
    (BookingStatus.EXPIRED, BookingEvent.ADJUSTED): BookingStatus.EXPIRED,
    (BookingStatus.ACTIVE, BookingEvent.DELETED): BookingStatus.GONE,
    (BookingStatus.EXPIRED, BookingEvent.DELETED): BookingStatus.GONE,
    # A booking whose grace is over counts as GONE by its times alone; the sweeper then writes it down.
    (BookingStatus.GONE, BookingEvent.GRACE_OVER): BookingStatus.GONE,
}


class CallerId(StrEnum):
    """The choice of a booking: the caller's own number, the rented one that was dialled, or none."""

    CALLER = "caller"
    SERVICE = "service"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Booking:
    """One rented number with its hidden destination. Instants are epoch milliseconds, numbers E.164."""

    id: BookingId
    account_id: AccountId
    service: E164
    destination: E164
    usage_plan: UsagePlan
    callback: str
    created_at: EpochMs
    end_at: EpochMs
    # When the last second or the last call was spent, if that was before `end_at`.
    exhausted_at: EpochMs | None
    # When it was deleted, or when the sweeper wrote down that its grace is over.
    gone_at: EpochMs | None
    seconds: Credit
    calls: Credit
    # Its own; `limits_in_force` has the operator's for those that it does not set.
    limits: BookingLimits = NO_BOOKING_LIMITS
    # What the destination sees of who calls.
    caller_id: CallerId = CallerId.CALLER
    refuse_anonymous: bool = False
    # Calls are refused for now; its time goes on. Not a status: it is ACTIVE or EXPIRED all the same.
    paused: bool = False
    # Its owner's own; empty: none.
    label: str = ""
    metadata: Metadata = field(default_factory=dict, hash=False)

    @property
    def expires_at(self) -> EpochMs:
        return self.end_at if self.exhausted_at is None else self.exhausted_at


def status_at(booking: Booking, now: EpochMs, policy: Policy) -> BookingStatus:
    if booking.gone_at is not None or now >= booking.expires_at + policy.grace_ms:
        return BookingStatus.GONE
    return BookingStatus.EXPIRED if now >= booking.expires_at else BookingStatus.ACTIVE


def limits_in_force(booking: Booking, policy: Policy) -> BookingLimits:
    return booking.limits.or_else(policy.default_limits)


def longest_call(booking: Booking, policy: Policy) -> int:
    """The most seconds that one call on this booking may last."""
    own = limits_in_force(booking, policy).max_call_seconds
    return policy.longest_call_seconds if own is None else min(own, policy.longest_call_seconds)


def _check(booking: Booking, event: BookingEvent, now: EpochMs, policy: Policy) -> None:
    status = status_at(booking, now, policy)
    if (status, event) in TRANSITIONS:
        return
    if status is BookingStatus.GONE:
        raise BookingGone(f"booking {booking.id} is gone for good")
    raise IllegalTransition(f"a {status} booking cannot take {event}")


def renew(booking: Booking, plan: UsagePlan, now: EpochMs, policy: Policy) -> Booking:
    """Add the plan's seconds, calls and validity to what is left. Raises BookingGone, BookingTooLong."""
    _check(booking, BookingEvent.RENEWED, now, policy)
    allowance: Allowance = policy.plans[plan]
    end_at = max(now, booking.end_at) + allowance.valid_for_ms
    if end_at > now + policy.horizon_ms:
        raise BookingTooLong("a booking cannot be renewed further ahead than the operator's horizon")
    return replace(
        booking,
        usage_plan=plan,
        end_at=EpochMs(end_at),
        exhausted_at=None,
        seconds=booking.seconds.top_up(allowance.seconds),
        calls=booking.calls.top_up(allowance.calls),
    )


def delete(booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    """Gone at once and for good. Raises BookingGone."""
    _check(booking, BookingEvent.DELETED, now, policy)
    return replace(booking, gone_at=now)


def end_grace(booking: Booking, now: EpochMs, policy: Policy) -> Booking:
    """Write down that the grace is over. Raises IllegalTransition when it is not."""
    _check(booking, BookingEvent.GRACE_OVER, now, policy)
    return replace(booking, gone_at=now)


def lease(booking: Booking, seconds: int) -> Booking:
    """Take `seconds` and one call out of what remains. Raises InvariantBroken when there is not enough."""
    return replace(booking, seconds=booking.seconds.lease(seconds), calls=booking.calls.lease(1))


def move_leases(booking: Booking, seconds: int) -> Booking:
    """Lease so many seconds more, or less when negative, to calls that are up already. Raises InvariantBroken."""
    return replace(booking, seconds=booking.seconds.lease(seconds))


def settle(booking: Booking, leased: int, used: int, *, answered: bool, now: EpochMs) -> Booking:
    """Give back what a call leased and did not use, and expire the booking if nothing is left to use."""
    settled = replace(
        booking,
        seconds=booking.seconds.settle(leased, used),
        calls=booking.calls.settle(1, 1 if answered else 0),
    )
    return _expired_if_spent(settled, now)


def adjust(booking: Booking, seconds: int, calls: int, now: EpochMs, policy: Policy) -> Booking:
    """Give so many more, or take them away when negative: of what nobody holds, and no more than that.

    A booking that is given what it had spent is active again, unless its end was reached. Raises BookingGone.
    """
    _check(booking, BookingEvent.ADJUSTED, now, policy)
    adjusted = replace(
        booking,
        seconds=booking.seconds.top_up(max(seconds, -booking.seconds.remaining)),
        calls=booking.calls.top_up(max(calls, -booking.calls.remaining)),
    )
    if _is_spent(booking) and not _is_spent(adjusted):
        return replace(adjusted, exhausted_at=None)
    return _expired_if_spent(adjusted, now)


def _expired_if_spent(booking: Booking, now: EpochMs) -> Booking:
    if _is_spent(booking) and booking.exhausted_at is None and now < booking.end_at:
        return replace(booking, exhausted_at=now)
    return booking


def _is_spent(booking: Booking) -> bool:
    return booking.seconds.unspent < 1 or booking.calls.unspent < 1


def shown_caller(choice: CallerId, source: str, service: E164) -> str:
    """The number to show, or ANONYMOUS. Callers who withhold their number are never shown by it."""
    shown = {CallerId.CALLER: source, CallerId.SERVICE: service, CallerId.ANONYMOUS: ANONYMOUS}
    return shown[choice]
