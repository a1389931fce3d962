"""When bookings begin and end."""

from engine.domain.errors import BookingBegun, BookingTooLong
from engine.domain.policy import Allowance, Policy
from engine.domain.times import DAY_MS, EpochMs, Span

# A booking that begins later holds its number until then, so it cannot begin at any time.
MAX_START_AHEAD_MS = 365 * DAY_MS


def first_span(
    allowance: Allowance, wanted_start: EpochMs | None, now: EpochMs, policy: Policy
) -> tuple[EpochMs | None, EpochMs]:
    """Returns when a booking that is made now begins and ends; None for a start: it begins now.

    Args:
        allowance: What its plan gives. Its validity counts from the start.
        wanted_start: When it should begin; None, or an instant that has passed: now.
        now: The present time by the account's clock.
        policy: The operator's rules.

    Raises:
        BookingTooLong: It would begin more than `MAX_START_AHEAD_MS` ahead, or end more than `policy.horizon_ms`.
    """
    if wanted_start is None or wanted_start <= now:
        return None, within_horizon(now + allowance.valid_for_ms, now, policy)
    _check_start(wanted_start, now)
    return wanted_start, within_horizon(wanted_start + allowance.valid_for_ms, now, policy)


def moved(span: Span, wanted_start: EpochMs, now: EpochMs, policy: Policy) -> Span:
    """Returns the time of a booking whose start moves. Its end moves along: the days that were booked stay.

    Args:
        span: From when until when it takes calls.
        wanted_start: When it should begin; an instant that has passed: now.
        now: The present time by the account's clock.
        policy: The operator's rules.

    Raises:
        BookingBegun: It has begun. The start that it has is no change, so that a whole booking may be sent back.
        BookingTooLong: As for a new booking.
    """
    if wanted_start == span.since:
        return span
    if span.since <= now:
        raise BookingBegun("the booking has begun, so startTime cannot change any more")
    _check_start(wanted_start, now)
    start_at = max(wanted_start, now)
    return Span(start_at, within_horizon(start_at + span.until - span.since, now, policy))


def _check_start(start_at: EpochMs, now: EpochMs) -> None:
    if start_at > now + MAX_START_AHEAD_MS:
        raise BookingTooLong(f"a booking cannot begin more than {MAX_START_AHEAD_MS // DAY_MS} days from now")


def within_horizon(end_at: int, now: EpochMs, policy: Policy) -> EpochMs:
    """Returns the end of a booking, unless that lies too far ahead.

    Raises:
        BookingTooLong: It lies more than `policy.horizon_ms` ahead.
    """
    if end_at > now + policy.horizon_ms:
        raise BookingTooLong(f"a booking cannot end more than {policy.horizon_ms // DAY_MS} days from now")
    return EpochMs(end_at)
