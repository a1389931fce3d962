"""Translates the settings into the plain values that the rules depend on, so that these need no Settings."""

from engine.config.settings import Settings
from engine.config.tuning import CALLBACK_WORKERS, RENEWAL_HORIZON_MS
from engine.config.types import PlanSettings, Profile, milliseconds
from engine.domain.destinations import AllowedDestinations
from engine.domain.money import Money
from engine.domain.pacing import DEFAULT_PACES
from engine.domain.policy import (
    Allowance,
    BookingLimits,
    CallbackRules,
    DeliveryRules,
    NotificationRules,
    Policy,
    RetentionPeriods,
    UsagePlan,
)


def policy_of(settings: Settings, pepper: str = "") -> Policy:
    """Returns the rules for bookings and calls.

    Args:
        settings: The operator's choices.
        pepper: The secret with which digests of callers are made. Commands that judge no call need none.
    """
    plans = settings.plans
    return Policy(
        plans={
            plan: _allowance(chosen, settings.currency)
            for plan, chosen in (
                (UsagePlan.SMALL, plans.small),
                (UsagePlan.MEDIUM, plans.medium),
                (UsagePlan.LARGE, plans.large),
            )
        },
        grace_ms=milliseconds(settings.grace),
        quarantine_ms=milliseconds(settings.quarantine),
        quarantine_silence_ms=milliseconds(settings.quarantine_silence),
        longest_call_seconds=int(settings.longest_call.total_seconds()),
        ring_seconds=int(settings.ring_timeout.total_seconds()),
        lost_call_margin_ms=_ms(settings.tuning.lost_call_margin),
        horizon_ms=RENEWAL_HORIZON_MS,
        account_limits=settings.account_limits,
        max_ringing_calls_per_caller=settings.max_ringing_calls_per_caller,
        local_numbers=settings.local_numbers,
        default_limits=BookingLimits(settings.max_concurrent_calls, settings.max_calls_per_caller_per_hour),
        destinations=AllowedDestinations(
            countries=None if settings.destination_countries is None else frozenset(settings.destination_countries),
            types=frozenset(settings.destination_types),
            denied_prefixes=tuple(settings.destination_denied_prefixes),
        ),
        notifications=NotificationRules(
            expired_window_ms=_ms(settings.tuning.expired_callbacks_window),
            expiring_soon_ms=milliseconds(settings.expiring_soon),
            low_seconds=int(settings.low_seconds.total_seconds()),
        ),
        trunks=tuple(trunk.as_routed() for trunk in settings.trunks_in_use),
        may_assert_callers=_may_assert_callers(settings),
        speaks=settings.speaks,
        language=settings.language,
        session_plan=settings.session_plan,
        pepper=pepper,
    )


def _may_assert_callers(settings: Settings) -> bool:
    """Returns whether some calls may come with a caller whom their carrier asserts.

    The demo's telephones do, by their passwords. An Asterisk that we do not configure may have endpoints of its own
    that do (docs/asterisk.md, "Whose word counts").
    """
    is_known_to_us = settings.manage_asterisk and settings.profile is not Profile.DEMO
    return not is_known_to_us or any(trunk.asserts_identity for trunk in settings.trunks_in_use)


def _allowance(plan: PlanSettings, currency: str) -> Allowance:
    price = None if plan.price is None else Money(plan.price, currency)
    return Allowance(plan.seconds, plan.calls, milliseconds(plan.valid_for), price)


def retention_of(settings: Settings) -> RetentionPeriods:
    """Returns how long call records, callbacks and gone bookings are kept."""
    return RetentionPeriods(
        records_ms=milliseconds(settings.cdr_retention),
        callbacks_ms=milliseconds(settings.callback_retention),
        # An owner can look up a gone booking for as long as its number is in quarantine.
        bookings_ms=milliseconds(settings.quarantine),
    )


def callback_rules_of(settings: Settings) -> CallbackRules:
    """Returns to which addresses and ports callbacks may go."""
    return CallbackRules(
        ports=frozenset(settings.callback_ports),
        this_machine=settings.allow_private_callbacks,
        own_ports=frozenset(
            {
                settings.http_port,
                settings.fastagi_port,
                settings.ami_port,
                settings.sip_port,
                *(settings.metrics_listener or ())[1:],
            }
        ),
    )


def delivery_rules_of(settings: Settings) -> DeliveryRules:
    """Returns how callbacks are delivered and retried."""
    return DeliveryRules(
        workers=CALLBACK_WORKERS,
        timeout_ms=_ms(settings.tuning.callback_timeout),
        waits_ms=tuple(_ms(wait) for wait in settings.tuning.callback_retries),
        rules=callback_rules_of(settings),
        paces=DEFAULT_PACES.times(settings.tuning.callback_pace),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1_000)
