"""The use cases of a booking: book, renew, cancel, sweep. Plain functions over a transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.domain import booking as life
from engine.domain.booking import Booking, Status
from engine.domain.caller_id import CallerId
from engine.domain.destinations import allowed_destination
from engine.domain.errors import BookingGone, DestinationIsOurs, NoNumberFree, NotFound, QuotaReached
from engine.domain.limits import NO_LIMITS, Limits
from engine.domain.metering import Credit
from engine.domain.plans import Allowance, UsagePlan
from engine.domain.policy import Policy
from engine.domain.times import Moment
from engine.ids import new_id
from engine.presence import settle_overdue
from engine.simulated_numbers import free_simulated_number
from engine.storage.rows import Grant
from engine.storage.transaction import Transaction

# How much one clean-up takes on, so that no call ever waits long behind it.
SWEEP_LIMIT = 200
UNBLOCK_LIMIT = 10_000
# Fields of a renewal that need no more than to be taken over.
CHANGED_AS_THEY_ARE = ("callback", "caller_id", "refuse_anonymous")


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """Checked at the edge already, but for what only the database knows."""

    account_id: str
    destination: str
    usage_plan: UsagePlan
    callback: str
    limits: Limits = NO_LIMITS
    caller_id: CallerId = CallerId.CALLER
    refuse_anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is None stays as it was. `limits`: by their names in `Limits`, those that change; one that becomes None is
    no longer the booking's own, the operator's counts again."""

    usage_plan: UsagePlan
    destination: str | None = None
    callback: str | None = None
    limits: Mapping[str, int | None] = field(default_factory=dict)
    caller_id: CallerId | None = None
    refuse_anonymous: bool | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a clean-up did. `channels`: callers whose booking or destination is gone, still to be hung up."""

    bookings_gone: int
    numbers_freed: int
    calls_lost: int
    channels: list[str]


def book(tx: Transaction, request: BookingRequest, now: int, policy: Policy) -> Booking:
    """Give a free number to a new booking.

    Raises InvalidDestination, DestinationNotAllowed, DestinationIsOurs, QuotaReached, NoNumberFree.
    """
    destination = _checked_destination(tx, request.destination, policy)
    if tx.bookings.held_by(request.account_id, policy.max_bookings) >= policy.max_bookings:
        raise QuotaReached(f"the account holds {policy.max_bookings} bookings, as many as it may")
    allowance = policy.plans[request.usage_plan]
    booking = Booking(
        id=new_id("bkg"),
        account_id=request.account_id,
        service=_take_number(tx, request.account_id, now),
        destination=destination,
        usage_plan=request.usage_plan,
        callback=request.callback,
        created_at=now,
        end_at=now + allowance.valid_for_ms,
        exhausted_at=None,
        gone_at=None,
        seconds=Credit.new(allowance.seconds),
        calls=Credit.new(allowance.calls),
        limits=request.limits,
        caller_id=request.caller_id,
        refuse_anonymous=request.refuse_anonymous,
    )
    tx.bookings.insert(booking)
    _grant(tx, booking, allowance, now)
    return booking


def renew(tx: Transaction, account_id: str, booking_id: str, renewal: Renewal, now: int, policy: Policy) -> Booking:
    """Add a plan to a booking, also one in its grace. Raises NotFound, BookingGone, and what `book` raises."""
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    renewed = life.renew(booking, renewal.usage_plan, now, policy)
    if renewal.destination is not None:
        renewed = replace(renewed, destination=_checked_destination(tx, renewal.destination, policy))
    changes = {name: getattr(renewal, name) for name in CHANGED_AS_THEY_ARE}
    renewed = replace(
        renewed,
        limits=replace(renewed.limits, **renewal.limits),
        **{name: value for name, value in changes.items() if value is not None},
    )
    tx.bookings.update(renewed)
    allowance = policy.plans[renewal.usage_plan]
    _grant(tx, renewed, allowance, now)
    return renewed


def cancel(tx: Transaction, account_id: str, booking_id: str, now: int, policy: Policy) -> list[str]:
    """End a booking for good. Returns the callers' channels that must be hung up now.

    Raises NotFound, BookingGone.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    tx.bookings.update(life.delete(booking, now, policy))
    tx.numbers.quarantine(booking.service, now, now + policy.quarantine_ms)
    tx.blocked.delete_all(booking.id)
    return [call.call_id for call in tx.calls.up_on(booking.id)]


def sweep(tx: Transaction, at: Moment, policy: Policy) -> Swept:
    """Clean up: end graces, free quarantined numbers, settle calls whose end was never reported.

    Only the supply of numbers depends on it: what a booking's times forbid is refused without it.
    """
    now = at.now
    gone = end_graces(tx, tx.bookings.expired_before(now - policy.grace_ms, SWEEP_LIMIT), now, policy)
    freed = tx.numbers.free_quarantined(now)
    lost = settle_overdue(tx, at, policy, SWEEP_LIMIT)
    channels = [call.call_id for call in tx.calls.to_hang_up(SWEEP_LIMIT)]
    return Swept(gone, freed, len(lost), channels)


def end_graces(tx: Transaction, over: Iterable[Booking], now: int, policy: Policy) -> int:
    """How many bookings are gone now. Long lists of blocked callers leave the rest to the next clean-up."""
    ended, unblocked = 0, 0
    for booking in over:
        if unblocked >= UNBLOCK_LIMIT:
            break
        tx.bookings.update(life.end_grace(booking, now, policy))
        tx.numbers.quarantine(booking.service, now, now + policy.quarantine_ms)
        unblocked += tx.blocked.delete_all(booking.id)
        ended += 1
    return ended


def owned(booking: Booking | None, account_id: str, now: int, policy: Policy) -> Booking:
    """The booking, if it is the account's and not gone. Another account's answers like an unknown one.

    Raises NotFound, BookingGone.
    """
    if booking is None or booking.account_id != account_id:
        raise NotFound("there is no such booking")
    if life.status_at(booking, now, policy) is Status.GONE:
        raise BookingGone("this booking is gone for good")
    return booking


def _grant(tx: Transaction, booking: Booking, allowance: Allowance, now: int) -> None:
    """Note what its plan has given to the booking."""
    tx.bookings.insert_grant(
        Grant(new_id("grt"), booking.id, booking.usage_plan, allowance.seconds, allowance.calls, now)
    )


def _checked_destination(tx: Transaction, destination: str, policy: Policy) -> str:
    """A loop would bill for ever: neither Asterisk nor a carrier counts hops."""
    checked = allowed_destination(destination, policy.destinations)
    if tx.numbers.exists(checked):
        raise DestinationIsOurs("destination is itself a rented number")
    return checked


def _take_number(tx: Transaction, account_id: str, now: int) -> str:
    if tx.worlds.of(account_id) is not None:
        return free_simulated_number(tx)
    number = tx.numbers.book_least_recently_used()
    if number is None and tx.numbers.free_quarantined(now):
        number = tx.numbers.book_least_recently_used()
    if number is None:
        raise NoNumberFree("every number is booked or in quarantine")
    return number
