"""The operator's choices that the rules depend on, built once from the settings when the engine starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.domain.account_limits import DEFAULT_ACCOUNT_LIMITS, AccountLimits
from engine.domain.destinations import DEFAULT_DESTINATIONS, AllowedDestinations
from engine.domain.money import Money
from engine.domain.numbers import ANONYMOUS
from engine.domain.pacing import DEFAULT_PACES, PaceRules
from engine.domain.prompts import Language
from engine.domain.times import DAY_MS, HOUR_MS
from engine.domain.trunks import Trunk

# The largest limits that a customer may set on a booking.
MAX_CONCURRENT_CALLS = 1_000
MAX_CALLS_PER_CALLER_PER_HOUR = 10_000
MAX_CALL_SECONDS = 24 * 3_600
# The callers without a number may have as many calls ringing on a booking as this many callers with one.
ANONYMOUS_CALLERS = 3


@dataclass(frozen=True, slots=True)
class BookingLimits:
    """Limits of one booking; None means no such limit.

    Attributes:
        max_concurrent_calls: Calls that ring or talk at the same time.
        max_calls_per_caller_per_hour: Calls of one caller that are put through, answered or not.
        max_call_seconds: The longest call.
    """

    max_concurrent_calls: int | None = None
    max_calls_per_caller_per_hour: int | None = None
    max_call_seconds: int | None = None

    def or_else(self, default: "BookingLimits") -> "BookingLimits":
        """Returns these limits, completed with those of `default` where one is None."""
        return BookingLimits(
            _first(self.max_concurrent_calls, default.max_concurrent_calls),
            _first(self.max_calls_per_caller_per_hour, default.max_calls_per_caller_per_hour),
            _first(self.max_call_seconds, default.max_call_seconds),
        )


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own


NO_BOOKING_LIMITS = BookingLimits()


class UsagePlan(StrEnum):
    """The plans that a booking or a renewal can choose; `Policy.plans` says what each one gives."""

    SMALL = "SMALL"
    MEDIUM = "MEDIUM"
    LARGE = "LARGE"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one plan adds to a booking.

    Attributes:
        seconds: Whole seconds of answered time.
        calls: Answered calls.
        valid_for_ms: Validity, in milliseconds.
        price: What it costs; None if the operator says nothing. The engine shows it and charges nobody.
    """

    seconds: int
    calls: int
    valid_for_ms: int
    price: Money | None = None


Plans = Mapping[UsagePlan, Allowance]


@dataclass(frozen=True, slots=True)
class NotificationRules:
    """When customers are notified.

    Attributes:
        expired_callbacks: Callbacks about calls to one expired booking within one window.
        expired_window_ms: Length of that window, in milliseconds.
        expiring_soon_ms: How long before a booking's end `booking.expiring_soon` is sent, in milliseconds.
        low_seconds: Below this many seconds left, `booking.low_seconds` is sent.
    """

    expired_callbacks: int = 10
    expired_window_ms: int = HOUR_MS
    expiring_soon_ms: int = 24 * HOUR_MS
    low_seconds: int = 60


DEFAULT_NOTIFICATION_RULES = NotificationRules()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules for bookings and calls need. Durations are milliseconds unless the name says seconds.

    Attributes:
        plans: What each usage plan gives.
        grace_ms: How long an expired booking can still be renewed.
        quarantine_ms: How long the number of a gone booking stays out of the pool.
        longest_call_seconds: The longest call on any booking.
        ring_seconds: How long the destination rings.
        lost_call_margin_ms: Grace period after a call's latest possible end before it is settled without an end report.
        horizon_ms: The furthest that a renewal may move a booking's end into the future.
        default_limits: Limits of bookings that do not set their own.
        account_limits: Limits of accounts that have none of their own, so that each leaves enough for others.
        max_ringing_calls_per_caller: Calls of one caller that may ring on one booking at the same time; None for no
            limit.
        local_numbers: Whether a booking without a wish gets a number of its destination's country where one is free.
        destinations: Which numbers a booking may hide.
        notifications: When customers are notified.
        trunks: The trunks, in the order in which they are tried.
        may_assert_callers: Whether some calls may come with a caller whom their carrier asserts; reverse calls need it.
        speaks: Whether something is spoken in calls: refused callers hear why, and callees what a booking wants.
        language: The language of what they hear, where the booking has none of its own.
        quarantine_silence_ms: How long nobody must have called a number in quarantine before that ends.
        session_plan: The usage plan of sessions that come through Twilio Proxy's API.
        pepper: The secret with which digests of callers are made.
    """

    plans: Plans
    grace_ms: int
    quarantine_ms: int
    longest_call_seconds: int
    ring_seconds: int
    lost_call_margin_ms: int
    horizon_ms: int
    default_limits: BookingLimits = NO_BOOKING_LIMITS
    account_limits: AccountLimits = DEFAULT_ACCOUNT_LIMITS
    max_ringing_calls_per_caller: int | None = None
    local_numbers: bool = True
    destinations: AllowedDestinations = DEFAULT_DESTINATIONS
    notifications: NotificationRules = DEFAULT_NOTIFICATION_RULES
    trunks: tuple[Trunk, ...] = (Trunk("main"),)
    may_assert_callers: bool = False
    speaks: bool = False
    language: Language = Language.EN
    quarantine_silence_ms: int = 14 * DAY_MS
    session_plan: UsagePlan = UsagePlan.LARGE
    pepper: str = field(default="", repr=False)

    def calls_at_once(self, own: int | None) -> int:
        """Returns how many calls an account may have at once, whose own limit is `own`, if it has one."""
        return self.account_limits.calls_at_once if own is None else own

    def most_ringing(self, source: str) -> int | None:
        """Returns how many calls of a caller may ring on one booking; None for no limit.

        All callers without a number count as one. So that one of them does not shut the others out, they may have more.
        """
        most = self.max_ringing_calls_per_caller
        return most * ANONYMOUS_CALLERS if most is not None and source == ANONYMOUS else most


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long data is kept, in milliseconds.

    Attributes:
        records_ms: Call records, counted from when the call came in.
        callbacks_ms: Callbacks, counted from when they were delivered, given up or held.
        bookings_ms: Bookings, counted from when they were gone.
    """

    records_ms: int
    callbacks_ms: int
    bookings_ms: int


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """To which addresses callbacks may go.

    Attributes:
        ports: The allowed ports.
        this_machine: Whether loopback addresses, plain HTTP and every port are allowed as well.
        own_ports: Ports on which this system itself listens. Callbacks never go there, whatever else is allowed.
    """

    ports: frozenset[int]
    this_machine: bool = False
    own_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class DeliveryRules:
    """How callbacks are delivered. Durations are milliseconds.

    Attributes:
        workers: Attempts of each standing that run at the same time, see engine/callbacks/slots.py.
        timeout_ms: The longest attempt.
        waits_ms: Waits between the attempts; there is one attempt more than waits.
        rules: To which addresses callbacks may go.
        disable_after_ms: An endpoint that fails for this long without a success is disabled.
        margin_ms: How long after an attempt's timeout its outcome may still be recorded before the row is taken again.
        hold_ms: How long a queued row stays reserved for this worker. Up to the same time is added at random, so that
            rows do not move in step.
        drain_ms: How long a stopping worker waits for running attempts.
        paces: How often callbacks may be sent to a receiver.
    """

    workers: int
    timeout_ms: int
    waits_ms: tuple[int, ...]
    rules: CallbackRules
    disable_after_ms: int = 5 * DAY_MS
    margin_ms: int = 10_000
    hold_ms: int = 20_000
    drain_ms: int = 5_000
    paces: PaceRules = DEFAULT_PACES
