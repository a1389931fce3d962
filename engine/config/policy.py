"""What the rules need of the settings."""

from typing import TYPE_CHECKING

from engine.config.types import milliseconds
from engine.domain.destinations import AllowedDestinations
from engine.domain.limits import Limits
from engine.domain.notifications import NoticeRules
from engine.domain.plans import Allowance, UsagePlan
from engine.domain.policy import Policy

if TYPE_CHECKING:
    from engine.config.settings import Settings


def policy_of(settings: "Settings") -> Policy:
    plans = settings.plans
    return Policy(
        plans={
            plan: Allowance(chosen.seconds, chosen.calls, milliseconds(chosen.valid_for))
            for plan, chosen in (
                (UsagePlan.SMALL, plans.small),
                (UsagePlan.MEDIUM, plans.medium),
                (UsagePlan.LARGE, plans.large),
            )
        },
        grace_ms=milliseconds(settings.grace),
        quarantine_ms=milliseconds(settings.quarantine),
        longest_call_seconds=int(settings.longest_call.total_seconds()),
        ring_seconds=int(settings.ring_timeout.total_seconds()),
        lost_call_margin_ms=milliseconds(settings.lost_call_margin),
        horizon_ms=milliseconds(settings.renewal_horizon),
        max_bookings=settings.max_bookings_per_account,
        default_limits=Limits(settings.max_concurrent_calls, settings.max_calls_per_caller_per_hour),
        destinations=AllowedDestinations(
            countries=None if settings.destination_countries is None else frozenset(settings.destination_countries),
            types=frozenset(settings.destination_types),
            denied_prefixes=tuple(settings.destination_denied_prefixes),
        ),
        notices=NoticeRules(
            expired_callbacks=settings.expired_callbacks,
            expired_window_ms=milliseconds(settings.expired_callbacks_window),
            expiring_soon_ms=milliseconds(settings.expiring_soon),
            low_seconds=int(settings.low_seconds.total_seconds()),
        ),
    )
