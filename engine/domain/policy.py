"""The operator's choices that the rules depend on. Built from the settings, once, at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.destinations import DEFAULT_DESTINATIONS, AllowedDestinations
from engine.domain.notifications import DEFAULT_NOTIFICATION_RULES, NotificationRules

MAX_CONCURRENT_CALLS = 1_000

MAX_CALLS_PER_CALLER_PER_HOUR = 10_000

MAX_CALL_SECONDS = 24 * 3_600


@dataclass(frozen=True, slots=True)
class BookingLimits:
    """None: none of that kind. A caller's calls are those that were let through, answered or not."""

    max_concurrent_calls: int | None = None
    max_calls_per_caller_per_hour: int | None = None
    max_call_seconds: int | None = None

    def or_else(self, default: "BookingLimits") -> "BookingLimits":
        """These limits, and `default` where there is none."""
        return BookingLimits(
            _first(self.max_concurrent_calls, default.max_concurrent_calls),
            _first(self.max_calls_per_caller_per_hour, default.max_calls_per_caller_per_hour),
            _first(self.max_call_seconds, default.max_call_seconds),
        )


NO_BOOKING_LIMITS = BookingLimits()


class UsagePlan(StrEnum):
    SMALL = "SMALL"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one plan gives: whole `seconds` of answered time, `calls`, and `valid_for_ms` of validity."""

    seconds: int
    calls: int
    valid_for_ms: int


Plans = Mapping[UsagePlan, Allowance]


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations are milliseconds unless their name says seconds."""

    plans: Plans
    grace_ms: int
    quarantine_ms: int
    longest_call_seconds: int
    ring_seconds: int
    # How long after its latest possible end a call may stay unreported before its lease is settled without a report.
    lost_call_margin_ms: int
    # A booking can be renewed again and again; its end never lies further ahead than this.
    horizon_ms: int
    # Of bookings that set none of their own. No call is ever longer than `longest_call_seconds`.
    default_limits: BookingLimits = NO_BOOKING_LIMITS
    # That an account may hold, so that none can empty the pool for all.
    max_bookings: int = 1_000
    destinations: AllowedDestinations = DEFAULT_DESTINATIONS
    notices: NotificationRules = DEFAULT_NOTIFICATION_RULES


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long things are kept, in milliseconds. A call record counts from when the call came in, a callback from when
    it was delivered, given up or held, a booking from when it was gone."""

    records_ms: int
    callbacks_ms: int
    bookings_ms: int


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """What the operator lets customers do. `this_machine`: loopback, plain HTTP and any port will do as well.

    `own_ports`: where this system itself listens; there no callback goes, whatever else is allowed.
    """

    ports: frozenset[int]
    this_machine: bool = False
    own_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """Durations in milliseconds. `waits_ms`: between the attempts; one attempt more than it has entries."""

    workers: int
    timeout_ms: int
    waits_ms: tuple[int, ...]
    rules: CallbackRules
    # An endpoint that has failed for so long without a success is disabled.
    disable_after_ms: int = 5 * 24 * 3_600_000
    # How long after an attempt's timeout its outcome may still be recorded before the row is taken again.
    margin_ms: int = 10_000
    # How long a lined-up row stays with this worker, plus up to as much again so that rows do not move in step.
    hold_ms: int = 20_000
    # How long a stopping worker waits for attempts under way.
    drain_ms: int = 5_000
