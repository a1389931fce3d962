"""What a customer is told of a booking's course, where the account has chosen it: each once, by the transaction that
does what it tells of. What time alone brings about is found by the sweep, `notify_due`.

Marks say what was told since the last renewal. The sweep keeps its place in the order in which bookings end: what lies
behind that is looked at no more, however many bookings there are, and an account that chooses an event is told of what
comes from then on.
"""

from collections.abc import Collection
from dataclasses import dataclass

from engine.callbacks import expired_calls
from engine.callbacks.outbox import post
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.events import EventBody, EventType, WhyGone
from engine.domain.ids import AccountId, BookingId
from engine.domain.notifications import is_low
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.calls import Call
from engine.storage.cdrs import Cdr
from engine.storage.filters import LAST_ID
from engine.storage.notifications import EndingPosition
from engine.storage.sqlite import SqliteStorage
from engine.storage.transaction import Transaction

# What one transaction of the sweep looks at of each kind, so that no call ever waits long behind it.
BATCH = 200
# What one sweep does.
MAX_BATCHES = 50


@dataclass(frozen=True, slots=True)
class NotifiedBatch:
    """`looked_at`: bookings, whether anything was told of them or not. `is_full`: there may be more."""

    looked_at: int
    is_full: bool


def choose_events(tx: Transaction, account_id: AccountId, wanted: Collection[EventType]) -> list[EventType]:
    """Have the account told of these from now on, and of no other. Returns them in their order."""
    chosen = [kind for kind in EventType if kind in wanted]
    tx.notices.choose(account_id, chosen)
    return chosen


def notify_call_started(tx: Transaction, booking: Booking, call: Call, answered_at: EpochMs, now: EpochMs) -> None:
    """Of the one report by which a call becomes known as answered."""
    if EventType.CALL_STARTED in tx.notices.chosen(booking.account_id):
        body = events.call_started_body(
            started_at=call.started_at,
            answered_at=answered_at,
            source=call.source,
            destination=call.destination,
            booking_id=booking.id,
            service=booking.service,
        )
        post(tx, booking, body, now)


def notify_call_missed(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs) -> None:
    """Of a call that was let through and has ended without an answer."""
    if EventType.CALL_MISSED in tx.notices.chosen(booking.account_id):
        body = events.call_missed_body(
            cdr_id=cdr.id,
            started_at=cdr.started_at,
            disposition=cdr.disposition,
            source=cdr.source,
            destination=cdr.destination,
            booking_id=booking.id,
            service=booking.service,
        )
        post(tx, booking, body, now)


def notify_credit_changed(tx: Transaction, before: Booking, booking: Booking, now: EpochMs, policy: Policy) -> None:
    """After a booking's credit has changed: that it is spent, or that few seconds are left."""
    if booking.gone_at is not None:
        return
    is_spent = before.exhausted_at is None and booking.exhausted_at is not None
    if is_spent and EventType.BOOKING_EXPIRED in tx.notices.chosen(booking.account_id):
        post(tx, booking, events.booking_expired_body(booking, policy.grace_ms), now)
    low = now < booking.expires_at and is_low(booking.seconds, policy.notices)
    if low and EventType.BOOKING_LOW_SECONDS in tx.notices.chosen(booking.account_id):
        _tell_once(tx, booking, EventType.BOOKING_LOW_SECONDS, events.low_seconds_body(booking, now), now)
    is_revived = before.exhausted_at is not None and booking.exhausted_at is None
    if is_revived and now < booking.end_at <= now + policy.notices.expiring_soon_ms:
        _tell_expiring_soon(tx, booking, now)


def _tell_expiring_soon(tx: Transaction, booking: Booking, now: EpochMs) -> None:
    """Of one that was spent when the sweep went by it."""
    if EventType.BOOKING_EXPIRING_SOON in tx.notices.chosen(booking.account_id):
        _tell_once(tx, booking, EventType.BOOKING_EXPIRING_SOON, events.expiring_soon_body(booking, now), now)


def notify_booking_gone(tx: Transaction, booking: Booking, why: WhyGone, now: EpochMs) -> None:
    """The last that is told of it, but for calls that are up; what was noted of it is removed."""
    expired_calls.notify_suppressed(tx, booking, now)
    if EventType.BOOKING_GONE in tx.notices.chosen(booking.account_id):
        post(tx, booking, events.booking_gone_body(booking, why, now), now)
    tx.notices.forget(booking.id)


def allow_all_again(tx: Transaction, booking: Booking) -> None:
    """Everything can be told of it again."""
    tx.notices.unmark_all(booking.id)


def allow_low_seconds_again(tx: Transaction, booking: Booking) -> None:
    """That few are left can be told of it again."""
    tx.notices.unmark(booking.id, EventType.BOOKING_LOW_SECONDS)


async def notify_all_due(storage: SqliteStorage, now: EpochMs, policy: Policy) -> int:
    """Of all accounts, or as much as one sweep should. Calls get their turn after each transaction.

    Returns how many bookings were looked at. Raises StorageError; what was told until then stays told.
    """
    looked_at = 0
    for _ in range(MAX_BATCHES):
        told = await storage.run(notify_due, now, policy)
        looked_at += told.looked_at
        if not told.is_full:
            break
    return looked_at


def notify_due(tx: Transaction, now: EpochMs, policy: Policy, account_id: AccountId | None = None) -> NotifiedBatch:
    """Tell of bookings that have expired by time or soon will, and of calls to expired ones that nobody was told of.

    `account_id`: of this account only, whatever time it has elsewhere. At most BATCH of each kind.
    """
    counts = [
        _tell_ending(tx, EventType.BOOKING_EXPIRED, EndingSpan(0, now), now, policy, account_id),
        _tell_ending(
            tx,
            EventType.BOOKING_EXPIRING_SOON,
            EndingSpan(now, EpochMs(now + policy.notices.expiring_soon_ms)),
            now,
            policy,
            account_id,
        ),
        expired_calls.notify_closed_windows(tx, now, policy, account_id, BATCH),
    ]
    return NotifiedBatch(sum(counts), BATCH in counts)


@dataclass(frozen=True, slots=True)
class EndingSpan:
    """Bookings that end after `after`, up to `until`."""

    after: int
    until: EpochMs


def _tell_ending(
    tx: Transaction, kind: EventType, span: EndingSpan, now: EpochMs, policy: Policy, account_id: AccountId | None
) -> int:
    """How many it has looked at."""
    if account_id is None:
        bookings = _next_ending(tx, kind, span)
    elif kind in tx.notices.chosen(account_id):
        bookings = _ending_of(tx, account_id, kind, span)
    else:
        return 0
    for booking in bookings.to_tell:
        if kind is EventType.BOOKING_EXPIRED:
            body = events.booking_expired_body(booking, policy.grace_ms)
        else:
            body = events.expiring_soon_body(booking, now)
        _tell_once(tx, booking, kind, body, now)
    return bookings.looked_at


@dataclass(frozen=True, slots=True)
class EndingBookings:
    to_tell: list[Booking]
    looked_at: int


def _ending_of(tx: Transaction, account_id: AccountId, kind: EventType, span: EndingSpan) -> EndingBookings:
    found = tx.notices.ending_of(account_id, kind, after=span.after, until=span.until, limit=BATCH)
    return EndingBookings(found, len(found))


def _next_ending(tx: Transaction, kind: EventType, span: EndingSpan) -> EndingBookings:
    """From where the last sweep has come to; the first one begins where it ends. After a clock was set back some are
    looked at again: what was told of them is marked."""
    place = tx.notices.swept_to(kind)
    if place is None or not tx.notices.anybody_chose():
        tx.notices.set_swept(kind, EndingPosition(span.until, BookingId(LAST_ID)))
        return EndingBookings([], 0)
    if place.ends_at < span.after:
        place = EndingPosition(EpochMs(span.after), BookingId(LAST_ID))
    found = tx.notices.ending(place, span.until, BATCH)
    last = found[-1].booking if len(found) == BATCH else None
    tx.notices.set_swept(
        kind, EndingPosition(last.end_at, last.id) if last else EndingPosition(span.until, BookingId(LAST_ID))
    )
    return EndingBookings([each.booking for each in found if kind in each.chosen], len(found))


def _tell_once(tx: Transaction, booking: Booking, kind: EventType, body: EventBody, now: EpochMs) -> None:
    if tx.notices.mark(booking.id, kind, now):
        post(tx, booking, body, now)


def notify_call_ended(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs) -> None:
    """Put the callback about an answered call into the outbox."""
    body = events.call_ended_body(
        cdr_id=cdr.id,
        started_at=cdr.started_at,
        duration=cdr.duration,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
    )
    post(tx, booking, body, now)
