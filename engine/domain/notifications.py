"""When a customer is told of a booking's course, and of how many calls to an expired one."""

from dataclasses import dataclass, replace

from engine.domain.metering import Credit
from engine.domain.times import HOUR_MS, EpochMs


@dataclass(frozen=True, slots=True)
class NotificationRules:
    """The operator's choices. `expired_callbacks`: that many within `expired_window_ms` a booking."""

    expired_callbacks: int = 10
    expired_window_ms: int = HOUR_MS
    expiring_soon_ms: int = 24 * HOUR_MS
    low_seconds: int = 60


DEFAULT_NOTIFICATION_RULES = NotificationRules()


@dataclass(frozen=True, slots=True)
class ExpiredCalls:
    """A window of calls to an expired booking: `told` of them were told of, `not_told` were not since, the last of
    those being the one with the record `last_cdr_id`."""

    began_at: EpochMs
    told: int
    not_told: int
    last_cdr_id: str | None


@dataclass(frozen=True, slots=True)
class CountedCall:
    """The window with a call in it. `not_reported`: how many calls before this one were not told of, if this one is;
    None: it is not."""

    window: ExpiredCalls
    not_reported: int | None


def count_in_window(window: ExpiredCalls | None, cdr_id: str, now: EpochMs, rules: NotificationRules) -> CountedCall:
    """Whether a call to an expired booking is told of. A clock that was set back begins a new window."""
    if window is None or is_over(window, now, rules):
        return CountedCall(ExpiredCalls(now, 1, 0, None), window.not_told if window else 0)
    if window.told < rules.expired_callbacks:
        return CountedCall(replace(window, told=window.told + 1), 0)
    return CountedCall(replace(window, not_told=window.not_told + 1, last_cdr_id=cdr_id), None)


def is_over(window: ExpiredCalls, now: EpochMs, rules: NotificationRules) -> bool:
    return not window.began_at <= now < window.began_at + rules.expired_window_ms


def is_low(seconds: Credit, rules: NotificationRules) -> bool:
    """Whether few are left, but some; what calls that are up hold, they may still use."""
    return 0 < seconds.unspent < rules.low_seconds
