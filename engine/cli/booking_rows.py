"""Bookings as the commands find and show them. The hidden number is never among what is shown."""

from typing import Any

from engine.accounts.accounts import account_of
from engine.cli.options import DEMO_PROFILE
from engine.config.policy import callback_rules_of
from engine.config.settings import Settings
from engine.domain.booking import Booking, status_at
from engine.domain.errors import CallbackNotAcceptable, NotFound
from engine.domain.ids import AccountId, BookingId
from engine.domain.masking import masked_text
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp, rfc3339
from engine.storage.bookings import Grant
from engine.storage.overview import OwnedBooking
from engine.storage.transaction import Transaction


def check_callback(url: str, settings: Settings) -> None:
    """Refuses a callback URL that the API would refuse.

    Raises:
        CallbackNotAcceptable: With the reason, and with the demo profile's variable where that would allow it.
    """
    from engine.callbacks.ssrf import check_callback  # noqa: PLC0415  its imports are slow, and few commands need it

    try:
        check_callback(url, callback_rules_of(settings))
    except CallbackNotAcceptable as refused:
        if settings.allow_private_callbacks:
            raise
        raise CallbackNotAcceptable(
            f"{refused}\na callback on this machine is for the demo profile only ({DEMO_PROFILE})"
        ) from None


def owned_booking(tx: Transaction, booking_id: str) -> OwnedBooking:
    """Returns a booking of any account, with the account's name.

    Raises:
        NotFound: There is no such booking.
    """
    booking = tx.bookings.by_id(BookingId(booking_id))
    if booking is None:
        raise NotFound("there is no such booking")
    return OwnedBooking(account_of(tx, booking.account_id).name, booking)


def now_of(tx: Transaction, account_id: AccountId | None, at: Timestamp) -> EpochMs:
    """Returns the time by the account's clock, which a sandbox may have set forward; None: the machine's clock."""
    return at.wall_ms if account_id is None else tx.sandboxes.timestamp(account_id, at).wall_ms


def row_of(tx: Transaction, owned: OwnedBooking, at: Timestamp, policy: Policy) -> dict[str, Any]:
    """Returns one line of a list of bookings."""
    booking = owned.booking
    return {
        "id": booking.id,
        "account": owned.account,
        "service": booking.service,
        "status": status_at(booking, now_of(tx, booking.account_id, at), policy).value,
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "secondsRemaining": booking.seconds.remaining,
        "callsRemaining": booking.calls.remaining,
        "callsUp": booking.calls.leased,
        "paused": booking.paused,
        "label": masked_text(booking.label) or None,
    }


def record_of(booking: Booking, account: str, now: EpochMs, policy: Policy) -> dict[str, Any]:
    """Returns everything about one booking but its hidden number.

    Numbers in the owner's notes are masked, as the hidden one may be among them.
    """
    return {
        "id": booking.id,
        "account": account,
        "accountId": booking.account_id,
        "service": booking.service,
        "status": status_at(booking, now, policy).value,
        "endTime": rfc3339(booking.end_at),
        "usagePlan": booking.usage_plan.value,
        "createdAt": rfc3339(booking.created_at),
        "callback": masked_text(booking.callback),
        "paused": booking.paused,
        "label": masked_text(booking.label) or None,
        "metadata": {masked_text(key): masked_text(value) for key, value in booking.metadata.items()},
        "callerId": booking.caller_id.value,
        "refuseAnonymous": booking.refuse_anonymous,
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
        "reason": grant.reason,
    }
