"""What calls do to the credit of their booking: each leases seconds and a call, and gives back what it did not use."""

from engine.domain.booking import Booking, expired_if_spent
from engine.domain.metering import Credit
from engine.domain.times import EpochMs


def lease(booking: Booking, seconds: int) -> Booking:
    """Moves `seconds` and one call from what remains into a lease.

    Raises:
        InvariantBroken: Not enough remains.
    """
    return _with_credit(booking, booking.seconds.lease(seconds), booking.calls.lease(1))


def move_leases(booking: Booking, seconds: int) -> Booking:
    """Leases `seconds` more, or fewer if negative, to calls that are up already.

    Raises:
        InvariantBroken: Not enough remains, or is leased.
    """
    return _with_credit(booking, booking.seconds.lease(seconds), booking.calls)


def settle(booking: Booking, leased: int, used: int, *, answered: bool, now: EpochMs) -> Booking:
    """Ends a call's lease, and expires the booking if no second or no call is left.

    Args:
        booking: The booking that was called.
        leased: The call's lease, in seconds.
        used: The seconds to charge.
        answered: Whether the call counts as one of the booking's calls.
        now: Epoch milliseconds.
    """
    seconds, calls = booking.seconds.settle(leased, used), booking.calls.settle(1, 1 if answered else 0)
    return expired_if_spent(_with_credit(booking, seconds, calls), now)


def _with_credit(booking: Booking, seconds: Credit, calls: Credit) -> Booking:
    """Returns the booking with another credit. Every call does this twice; `replace` would take three times as long."""
    return Booking(
        booking.id,
        booking.account_id,
        booking.service,
        booking.destination,
        booking.usage_plan,
        booking.callback,
        booking.created_at,
        booking.end_at,
        booking.exhausted_at,
        booking.gone_at,
        seconds,
        calls,
        booking.limits,
        booking.caller_id,
        booking.refuse_anonymous,
        booking.paused,
        booking.label,
        booking.metadata,
        booking.language,
        booking.start_at,
        booking.whisper,
        booking.screening,
        booking.hours,
        booking.reverse,
        booking.greeting,
        booking.partner,
        booking.destination_label,
        booking.partner_label,
        booking.accept_former_callers,
        booking.destination_pin,
        booking.partner_pin,
        booking.beep,
    )
