"""The optional events, which calls to an expired booking cause a callback, and when a booking is low on seconds.

Calls to an expired booking are counted in windows. The first calls of a window cause a callback each, up to a
fixed limit; the rest are only counted. The next callback after that carries their count.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from engine.domain.metering import Credit
from engine.domain.policy import NotificationRules
from engine.domain.times import EpochMs


@dataclass(frozen=True, slots=True)
class ExpiredCalls:
    """One window of calls to an expired booking.

    Attributes:
        began_at: Start of the window, in epoch milliseconds.
        told: Calls in this window that caused a callback.
        not_told: Calls suppressed since the last callback.
        last_cdr_id: Call record of the latest suppressed call; None if there is none.
    """

    began_at: EpochMs
    told: int
    not_told: int
    last_cdr_id: str | None


@dataclass(frozen=True, slots=True)
class CountedCall:
    """The result of counting one call.

    Attributes:
        window: The window that includes the call.
        not_reported: Calls suppressed before this one, if this one causes a callback; None if it does not.
    """

    window: ExpiredCalls
    not_reported: int | None


def count_in_window(window: ExpiredCalls | None, cdr_id: str, now: EpochMs, rules: NotificationRules) -> CountedCall:
    """Counts a call to an expired booking and decides whether it causes a callback.

    A clock that was set back begins a new window.

    Args:
        window: The booking's latest window; None before its first call.
        cdr_id: The record of this call.
        now: Epoch milliseconds.
        rules: The length of a window, and how many callbacks it allows.
    """
    if window is None or is_over(window, now, rules):
        return CountedCall(ExpiredCalls(now, 1, 0, None), window.not_told if window else 0)
    if window.told < rules.expired_callbacks:
        return CountedCall(replace(window, told=window.told + 1), 0)
    return CountedCall(replace(window, not_told=window.not_told + 1, last_cdr_id=cdr_id), None)


def is_over(window: ExpiredCalls, now: EpochMs, rules: NotificationRules) -> bool:
    """Returns whether `now` is outside the window."""
    return not window.began_at <= now < window.began_at + rules.expired_window_ms


def is_low(seconds: Credit, rules: NotificationRules) -> bool:
    """Returns whether few seconds are left, but at least one. Seconds leased to live calls count as left."""
    return 0 < seconds.unspent < rules.low_seconds


class EventType(StrEnum):
    """The optional events, which an account can choose. The two events that every account receives have no type."""

    CALL_STARTED = "call.started"
    CALL_MISSED = "call.missed"
    BOOKING_EXPIRING_SOON = "booking.expiring_soon"
    BOOKING_LOW_SECONDS = "booking.low_seconds"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_NUMBER_SWAPPED = "booking.number_swapped"
    BOOKING_GONE = "booking.gone"
