"""The operator's choices that the rules depend on. Built from the settings, once, at start."""

from dataclasses import dataclass

from engine.domain.destinations import ORDINARY_DESTINATIONS, AllowedDestinations
from engine.domain.limits import NO_LIMITS, Limits
from engine.domain.notifications import ORDINARY_NOTICES, NoticeRules
from engine.domain.plans import Plans


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
    default_limits: Limits = NO_LIMITS
    # That an account may hold, so that none can empty the pool for all.
    max_bookings: int = 1_000
    destinations: AllowedDestinations = ORDINARY_DESTINATIONS
    notices: NoticeRules = ORDINARY_NOTICES
