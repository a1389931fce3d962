"""What customers do with bookings: book, renew, change, cancel. Each is a plain function over a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.accounts.lifecycle import check_active
from engine.bookings.endings import quarantine_number, withdraw_booking
from engine.bookings.quota import check_quota
from engine.bookings.shared_numbers import hold_for, number_for, with_new_pins
from engine.callbacks import notifications
from engine.domain import booking as life
from engine.domain.booking import Booking, BookingStatus, CallerId
from engine.domain.destinations import allowed_destination
from engine.domain.errors import BookingGone, DestinationIsOurs, InvalidDestination, NotForPairs, NotFound, Refusal
from engine.domain.events import WhyGone
from engine.domain.hours import ANY_TIME, WeeklyHours
from engine.domain.ids import AccountId, BookingId, CallId
from engine.domain.metering import Credit
from engine.domain.notes import Metadata
from engine.domain.number_choice import NO_WISH, NumberRequest
from engine.domain.numbers import E164, is_simulated
from engine.domain.pairs import Participants
from engine.domain.policy import NO_BOOKING_LIMITS, Allowance, BookingLimits, Policy, UsagePlan
from engine.domain.prompts import Language
from engine.domain.reverse import check_callers_are_asserted
from engine.domain.schedule import first_span, moved
from engine.domain.screening import Screening, check_can_speak
from engine.domain.times import EpochMs, Span
from engine.runtime.ids import new_id
from engine.storage.bookings import Grant
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

# Fields of a patch that are copied to the booking without a check.
SPOKEN_FIELDS = ("language", "whisper", "screening", "greeting", "beep")
CALLER_FIELDS = ("refuse_anonymous", "paused", "reverse", "accept_former_callers")
COPIED_FIELDS = ("callback", "caller_id", "label", "metadata", *CALLER_FIELDS, *SPOKEN_FIELDS)


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """What a customer asks for. The API has validated it, except for the rules that need the database.

    Attributes:
        destination: The number to hide; None for a pair.
        wanted: The number that the booking should get.
        start_at: When the booking should begin; None, or an instant that has passed: now.
        participants: The two who reach each other, in place of a destination.
        pins: Whether each participant gets a PIN, with which a caller from any telephone stands for that participant.
    """

    account_id: AccountId
    destination: E164 | None
    usage_plan: UsagePlan
    callback: str
    limits: BookingLimits = NO_BOOKING_LIMITS
    caller_id: CallerId = CallerId.CALLER
    refuse_anonymous: bool = False
    paused: bool = False
    label: str = ""
    metadata: Metadata = field(default_factory=dict)
    wanted: NumberRequest = NO_WISH
    language: Language | None = None
    start_at: EpochMs | None = None
    whisper: bool = False
    screening: Screening = Screening.NONE
    hours: WeeklyHours | None = None
    reverse: bool = False
    greeting: bool = False
    participants: Participants | None = None
    accept_former_callers: bool = False
    pins: bool = False
    beep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingPatch:
    """Changes to a booking. A field that is None stays unchanged.

    Attributes:
        limits: The limits that change, by their names in `BookingLimits`. None resets a limit to the operator's.
        hours: The times of the week at which it takes calls; ANY_TIME for any time.
        start_at: When it begins, if it has not begun; an instant that has passed: now. Its end moves along.
    """

    destination: E164 | None = None
    callback: str | None = None
    limits: Mapping[str, int | None] = field(default_factory=dict)
    caller_id: CallerId | None = None
    refuse_anonymous: bool | None = None
    paused: bool | None = None
    label: str | None = None
    metadata: Metadata | None = None
    language: Language | None = None
    whisper: bool | None = None
    screening: Screening | None = None
    hours: WeeklyHours | None = None
    reverse: bool | None = None
    greeting: bool | None = None
    accept_former_callers: bool | None = None
    beep: bool | None = None
    start_at: EpochMs | None = None


@dataclass(frozen=True, slots=True)
class Renewal(BookingPatch):
    """A usage plan to add to a booking, with changes to apply at the same time."""

    usage_plan: UsagePlan


def book(tx: Transaction, request: BookingRequest, now: EpochMs, policy: Policy) -> Booking:
    """Creates a booking and gives it a free number, which it holds from now on, also if it begins later.

    Raises:
        InvalidDestination: A number to hide is not a telephone number.
        DestinationNotAllowed: The operator does not allow a number to hide.
        DestinationIsOurs: A number to hide is a rented number.
        NotForPairs: A pair is to call back, or to show other numbers than the rented one.
        VoiceIsOff: Something is to be spoken in calls, and the operator has switched that off.
        ReverseUnavailable: A hidden number is to call, and no trunk asserts who calls.
        AccountSuspended: The account is suspended or closed.
        QuotaReached: The account has as many bookings and numbers in quarantine as it may have.
        TooManyNewBookings: The account has made as many bookings within 24 hours as it may.
        BookingTooLong: The booking would begin or end too far ahead.
        NumberNotFree: The number that the customer asked for is not free.
        NoNumberFree: No number that matches the request is free.
    """
    tx.accounts.lock(request.account_id)  # two bookings at once must not pass the quota together
    check_active(tx, request.account_id)  # a request may have begun before the account was suspended
    destination = _checked_numbers(tx, request, policy)[0]
    check_can_speak(policy, speaks=request.whisper or request.greeting or request.pins, screening=request.screening)
    check_quota(tx, request.account_id, now, policy)
    allowance = policy.plans[request.usage_plan]
    start_at, end_at = first_span(allowance, request.start_at, now, policy)
    booking = Booking(
        id=BookingId(new_id("bkg")),
        account_id=request.account_id,
        service=number_for(tx, request.wanted, request.account_id, destination, request.participants, now, policy),
        destination=destination,
        usage_plan=request.usage_plan,
        callback=request.callback,
        created_at=now,
        end_at=end_at,
        exhausted_at=None,
        gone_at=None,
        seconds=Credit.new(allowance.seconds),
        calls=Credit.new(allowance.calls),
        limits=request.limits,
        caller_id=request.caller_id,
        refuse_anonymous=request.refuse_anonymous,
        paused=request.paused,
        label=request.label,
        metadata=request.metadata,
        language=request.language,
        start_at=start_at,
        whisper=request.whisper,
        screening=request.screening,
        hours=request.hours,
        reverse=request.reverse,
        greeting=request.greeting,
        **_partner_fields(request.participants),
        accept_former_callers=request.accept_former_callers,
        beep=request.beep,
    )
    if request.pins and booking.is_pair:
        booking = with_new_pins(tx, booking)
    elif booking.reverse or booking.is_pair:
        check_callers_are_asserted(booking.service, policy, "participants" if booking.is_pair else None)
    tx.bookings.insert(booking)
    hold_for(tx, booking, now)
    _grant(tx, booking, allowance, now)
    return booking


def renew(
    tx: Transaction, account_id: AccountId, booking_id: BookingId, renewal: Renewal, now: EpochMs, policy: Policy
) -> Booking:
    """Adds a plan to a booking that is active or in its grace, and applies the changes.

    Raises:
        BookingTooLong: The booking would end more than `policy.horizon_ms` ahead.
        Refusal: For the reasons for which `change` raises.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    renewed = _changed(tx, life.renew(booking, renewal.usage_plan, now, policy), renewal, now, policy)
    tx.bookings.update(renewed)
    notifications.allow_all_again(tx, renewed)
    _grant(tx, renewed, policy.plans[renewal.usage_plan], now)
    return renewed


def change(
    tx: Transaction, account_id: AccountId, booking_id: BookingId, changes: BookingPatch, now: EpochMs, policy: Policy
) -> Booking:
    """Changes a booking that is active or in its grace. Its credit stays the same, and its end unless its start moves.

    Raises:
        NotFound: The account has no such booking.
        BookingGone: The booking is gone.
        NotForPairs: The booking is a pair, whose two numbers and their caller ID do not change.
        InvalidDestination: The destination is not a telephone number.
        DestinationNotAllowed: The operator does not allow the destination.
        DestinationIsOurs: The destination is a rented number.
        VoiceIsOff: Something is to be spoken in calls, and the operator has switched that off.
        ReverseUnavailable: A hidden number is to call, and no trunk asserts who calls.
        BookingBegun: The start is to change, and the booking has begun.
        BookingTooLong: The booking would begin or end too far ahead.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    changed = _changed(tx, booking, changes, now, policy)
    tx.bookings.update(changed)
    if changed.end_at > booking.end_at:
        notifications.allow_all_again(tx, changed)
    return changed


def _changed(tx: Transaction, booking: Booking, changes: BookingPatch, now: EpochMs, policy: Policy) -> Booking:
    check_can_speak(policy, speaks=changes.whisper or changes.greeting, screening=changes.screening)
    if booking.is_pair:
        _check_fits_pair(changes.destination, changes.caller_id or CallerId.SERVICE, reverse=bool(changes.reverse))
    fields = {name: getattr(changes, name) for name in COPIED_FIELDS}
    if changes.destination is not None:
        fields["destination"] = _checked_destination(tx, changes.destination, policy)
        if fields["destination"] != booking.destination and not is_simulated(booking.service):
            tx.withdraw(Kind.DESTINATION, booking.id)
    changed = {name: value for name, value in fields.items() if value is not None}
    if changes.hours is not None:
        changed["hours"] = None if changes.hours == ANY_TIME else changes.hours
    if changes.reverse and not booking.reverse:
        check_callers_are_asserted(booking.service, policy)
    patched = replace(booking, limits=replace(booking.limits, **changes.limits), **changed)
    return patched if changes.start_at is None else _started(patched, changes.start_at, now, policy)


def _started(booking: Booking, start_at: EpochMs, now: EpochMs, policy: Policy) -> Booking:
    """Returns the booking with another start, and its end moved along."""
    span = moved(Span(booking.begins_at, booking.end_at), start_at, now, policy)
    begins_later = span.since > booking.created_at
    return replace(booking, start_at=span.since if begins_later else None, end_at=span.until)


def cancel(tx: Transaction, account_id: AccountId, booking_id: BookingId, now: EpochMs, policy: Policy) -> list[CallId]:
    """Ends a booking for good and quarantines its number.

    Returns:
        The callers' channels that must be hung up now.

    Raises:
        NotFound: The account has no such booking.
        BookingGone: The booking is gone already.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    deleted = life.delete(booking, now, policy)
    tx.bookings.update(deleted)
    withdraw_booking(tx, deleted)
    notifications.notify_booking_gone(tx, deleted, WhyGone.DELETED, now)
    quarantine_number(tx, deleted, now, policy)
    tx.blocked.delete_all(booking.id)
    return [call.call_id for call in tx.calls.up_on(booking.id)]


def owned(booking: Booking | None, account_id: AccountId, now: EpochMs, policy: Policy) -> Booking:
    """Returns the booking if it belongs to the account and is not gone.

    Raises:
        NotFound: There is no such booking, or another account has it. The two cases must look the same to a customer.
        BookingGone: The booking is gone.
    """
    if booking is None or booking.account_id != account_id:
        raise NotFound("there is no such booking")
    if life.status_at(booking, now, policy) is BookingStatus.GONE:
        raise BookingGone("this booking is gone for good")
    return booking


def _grant(tx: Transaction, booking: Booking, allowance: Allowance, now: EpochMs) -> None:
    """Records the credit that the plan gives to the booking, and the price that it has now."""
    grant = Grant(new_id("grt"), booking.id, booking.usage_plan, allowance.seconds, allowance.calls, now)
    if allowance.price is not None:
        amount, currency = allowance.price.amount, allowance.price.currency
        grant = replace(grant, account_id=booking.account_id, service=booking.service, price=amount, currency=currency)
    tx.bookings.insert_grant(grant)


def _checked_numbers(tx: Transaction, request: BookingRequest, policy: Policy) -> list[E164]:
    """Returns the numbers that a new booking hides, of which a pair has two."""
    if request.participants is None:
        return [_checked_destination(tx, request.destination or E164(""), policy)]
    _check_fits_pair(request.destination, request.caller_id, reverse=request.reverse)
    numbers = [_checked_participant(tx, place, each.number, policy) for place, each in enumerate(request.participants)]
    if numbers[0] == numbers[1]:
        raise InvalidDestination("the two participants have the same number")
    return numbers


def _checked_participant(tx: Transaction, place: int, number: E164, policy: Policy) -> E164:
    try:
        return _checked_destination(tx, number, policy)
    except Refusal as refusal:
        refusal.field, refusal.place = "participants", (place, "number")
        raise


def _check_fits_pair(destination: E164 | None, caller_id: CallerId, *, reverse: bool) -> None:
    """Refuses what a pair cannot have. Both of its numbers are hidden, so each sees the rented number."""
    if destination is not None or caller_id is not CallerId.SERVICE or reverse:
        raise NotForPairs("a pair has participants that do not change, shows the rented number and needs no reverse")


def _partner_fields(pair: Participants | None) -> dict[str, Any]:
    """Returns the fields that a booking has only as a pair."""
    if pair is None:
        return {}
    first, second = pair
    return {"partner": second.number, "destination_label": first.label, "partner_label": second.label}


def _checked_destination(tx: Transaction, destination: E164, policy: Policy) -> E164:
    """Refuses a rented number as destination: neither Asterisk nor a carrier counts hops, so a loop never ends."""
    checked = allowed_destination(destination, policy.destinations)
    if tx.numbers.is_ours(checked):
        raise DestinationIsOurs("destination is itself a rented number")
    return checked
