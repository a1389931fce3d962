"""Rows of the operator's lists, as the command line and the console show them. Hidden numbers are not in them."""

from typing import Any

from engine.bookings.pool_forecast import PACE_DAYS, PoolForecast
from engine.domain.booking import Booking, status_at
from engine.domain.masking import masked_text
from engine.domain.policy import Policy
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs, rfc3339
from engine.storage.bookings import Grant
from engine.storage.endpoints import Endpoint
from engine.storage.numbers import Number
from engine.storage.outbox import AttemptRecord, CallbackRecord
from engine.storage.overview import OwnedBooking

# Of the forecast.
SHOWN_DAYS = (1, 2, 7, 14, 30, 60, 90)


def booking_row(owned: OwnedBooking, now: EpochMs, policy: Policy) -> dict[str, Any]:
    """Returns one line of a list of bookings. `now`: by the clock of the booking's account."""
    booking = owned.booking
    return {
        "id": booking.id,
        "account": owned.account,
        "service": booking.service,
        "status": status_at(booking, now, policy).value,
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "secondsRemaining": booking.seconds.remaining,
        "callsRemaining": booking.calls.remaining,
        "callsUp": booking.calls.leased,
        "paused": booking.paused,
        "label": masked_text(booking.label) or None,
    }


def booking_record(owned: OwnedBooking, now: EpochMs, policy: Policy) -> dict[str, Any]:
    """Returns everything about one booking except its hidden number.

    Numbers in the owner's notes are masked, as the hidden one may be among them.
    """
    booking = owned.booking
    return {
        "id": booking.id,
        "account": owned.account,
        "accountId": booking.account_id,
        "service": booking.service,
        "status": status_at(booking, now, policy).value,
        "startTime": rfc3339(booking.begins_at),
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "createdAt": rfc3339(booking.created_at),
        "callback": masked_text(booking.callback),
        "paused": booking.paused,
        "hours": booking.hours and str(booking.hours),
        "label": masked_text(booking.label) or None,
        "metadata": {masked_text(key): masked_text(value) for key, value in booking.metadata.items()},
        "callerId": booking.caller_id.value,
        "refuseAnonymous": booking.refuse_anonymous,
        "language": booking.language or policy.language,
        "whisper": booking.whisper,
        "screening": booking.screening.value,
        "reverse": booking.reverse,
        "pair": booking.is_pair,
        "greeting": booking.greeting,
        "acceptFormerCallers": booking.accept_former_callers,
        "beep": booking.beep,
        "maxConcurrentCalls": booking.limits.max_concurrent_calls,
        "maxCallsPerCallerPerHour": booking.limits.max_calls_per_caller_per_hour,
        "maxCallSeconds": booking.limits.max_call_seconds,
        **credit_of(booking),
    }


def credit_of(booking: Booking) -> dict[str, int]:
    """Returns what the booking was granted, has left, holds for calls that are up, and has spent."""
    shown: dict[str, int] = {}
    for unit, credit in (("seconds", booking.seconds), ("calls", booking.calls)):
        shown |= {
            f"{unit}Granted": credit.granted,
            f"{unit}Remaining": credit.remaining,
            f"{unit}Held": credit.leased,
            f"{unit}Spent": credit.settled,
        }
    return shown


def grant_row(grant: Grant) -> dict[str, Any]:
    """Returns one line of a booking's grants and adjustments."""
    return {
        "grant": grant.id,
        "grantedAt": rfc3339(grant.granted_at),
        "usagePlan": grant.usage_plan and grant.usage_plan.value,
        "seconds": grant.seconds,
        "calls": grant.calls,
        "cost": None if grant.cost is None else str(grant.cost),
        "reason": grant.reason,
    }


def callback_row(record: CallbackRecord) -> dict[str, Any]:
    """Returns one line of a list of callbacks."""
    waits = record.state is CallbackState.PENDING and not record.claimed
    return {
        "id": record.id,
        "bookingId": record.booking_id,
        "state": record.state.value,
        "attemptCount": record.attempts,
        "lastOutcome": record.last_outcome,
        "createdAt": rfc3339(record.created_at),
        "nextAttemptAt": rfc3339(record.due_at) if waits else None,
        "url": masked_text(record.url),
    }


def attempt_row(record: AttemptRecord) -> dict[str, Any]:
    """Returns one line of a callback's log."""
    return {
        "attempt": record.attempt,
        "beganAt": rfc3339(record.began_at),
        "tookMs": record.took_ms,
        "status": record.status,
        "trouble": record.trouble,
        "response": masked_text(record.response),
    }


def endpoint_row(endpoint: Endpoint) -> dict[str, Any]:
    """Returns one line of a list of endpoints."""
    return {
        "id": endpoint.id,
        "state": "ENABLED" if endpoint.disabled_at is None else "DISABLED",
        "reason": None if endpoint.reason is None else endpoint.reason.value,
        "failingSince": None if endpoint.failing_since is None else rfc3339(endpoint.failing_since),
        "disabledAt": None if endpoint.disabled_at is None else rfc3339(endpoint.disabled_at),
        "url": masked_text(endpoint.url),
    }


def number_row(number: Number) -> dict[str, Any]:
    """Returns one line of a list of numbers."""
    return {
        "number": number.e164,
        "state": number.state,
        "country": number.country,
        "idleSince": rfc3339(number.idle_since),
        "quarantinedUntil": rfc3339(number.quarantined_until) if number.quarantined_until else None,
        "quarantinedBy": number.quarantined_by,
    }


def forecast_rows(expected: PoolForecast) -> list[dict[str, Any]]:
    """Returns how many numbers are free now and after some days, up to the length of a quarantine."""
    known = len(expected.returning)
    return [
        {
            "inDays": days,
            "free": expected.free_after(days),
            "returned": sum(expected.returning[:days]),
            "booked": expected.taken * days // PACE_DAYS,
            "inQuarantine": expected.in_quarantine if days == 0 else None,
        }
        for days in sorted({0, known, *(each for each in SHOWN_DAYS if each < known)})
    ]
