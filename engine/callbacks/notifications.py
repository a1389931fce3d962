"""Notifications: the optional events that an account can choose, such as `booking.expired`. Each is sent once.

The transaction that changes a booking also posts the notification. A booking that expires by time alone is found by
the sweep, `notify_due`.

Marks in the database record which notifications a booking has had since its last renewal. The sweep stores its position
in the order in which bookings end, and never scans behind it. Its cost therefore does not grow with the number of
bookings, and an account that chooses an event gets it for later bookings only.

The callback about the end of an answered call is posted here too. It is not optional.
"""

from collections.abc import Collection
from dataclasses import dataclass

from engine.callbacks import expired_calls
from engine.callbacks.outbox import post
from engine.callbacks.twilio_webhooks import post_interaction, session_of
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.events import EventBody, WhyGone
from engine.domain.ids import AccountId, BookingId
from engine.domain.notifications import EventType, is_low
from engine.domain.numbers import E164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.call_path import Called
from engine.storage.cdrs import Cdr
from engine.storage.filters import LAST_ID
from engine.storage.interface import Storage
from engine.storage.notifications import EndingPosition
from engine.storage.transaction import Transaction

# Bookings of each kind that one transaction of the sweep scans, so that no call waits long for the database.
BATCH = 200
# Transactions of one sweep.
MAX_BATCHES = 50


@dataclass(frozen=True, slots=True)
class NotifiedBatch:
    """The result of one transaction of the sweep.

    Attributes:
        scanned: How many bookings it scanned, with or without a notification.
        is_full: There may be more to do.
    """

    scanned: int
    is_full: bool


def choose_events(tx: Transaction, account_id: AccountId, wanted: Collection[EventType]) -> list[EventType]:
    """Sets the events that the account gets from now on. Returns them in the order of `EventType`."""
    chosen = [kind for kind in EventType if kind in wanted]
    tx.notifications.choose(account_id, chosen)
    return chosen


def notify_call_started(tx: Transaction, called: Called, answered_at: EpochMs, now: EpochMs) -> None:
    """Posts `call.started`, if the account has chosen it. Only the first report of an answer may call this."""
    if EventType.CALL_STARTED in called.chosen:
        booking, call = called.booking, called.call
        body = events.call_started_body(
            started_at=call.started_at,
            answered_at=answered_at,
            source=call.source,
            destination=call.destination,
            booking_id=booking.id,
            service=call.service(booking),
            direction=call.direction,
        )
        post(tx, booking, body, now, call_id=call.call_id)


def notify_call_missed(tx: Transaction, called: Called, cdr: Cdr, now: EpochMs) -> None:
    """Posts `call.missed`, if the account has chosen it, for a call that rang and ended without an answer.

    A session's webhooks report such calls without a choice.
    """
    session = session_of(tx, called.booking)
    if session is not None:
        post_interaction(tx, called.booking, session, cdr, now)
        return
    if EventType.CALL_MISSED in called.chosen:
        booking = called.booking
        body = events.call_missed_body(
            cdr_id=cdr.id,
            started_at=cdr.started_at,
            disposition=cdr.disposition,
            source=cdr.source,
            destination=cdr.destination,
            booking_id=booking.id,
            service=cdr.service,
            end=cdr.end,
            direction=cdr.direction,
        )
        post(tx, booking, body, now, call_id=cdr.call_id)


def notify_credit_changed(
    tx: Transaction, before: Booking, booking: Booking, chosen: Collection[str], now: EpochMs, policy: Policy
) -> None:
    """Posts the notifications that follow from a change of credit, as far as the account has chosen them.

    Args:
        tx: The transaction.
        before: The booking before the change.
        booking: The booking after the change.
        chosen: The optional events that the account has chosen.
        now: The present time by the account's clock.
        policy: The operator's rules.
    """
    if booking.gone_at is not None:
        return
    is_spent = before.exhausted_at is None and booking.exhausted_at is not None
    if is_spent and EventType.BOOKING_EXPIRED in chosen:
        post(tx, booking, events.booking_expired_body(booking, policy.grace_ms), now)
    low = now < booking.expires_at and is_low(booking.seconds, policy.notifications)
    if low and EventType.BOOKING_LOW_SECONDS in chosen:
        _notify_once(tx, booking, EventType.BOOKING_LOW_SECONDS, events.low_seconds_body(booking, now), now)
    is_revived = before.exhausted_at is not None and booking.exhausted_at is None
    ends_soon = now < booking.end_at <= now + policy.notifications.expiring_soon_ms
    if is_revived and ends_soon and EventType.BOOKING_EXPIRING_SOON in chosen:
        # The sweep skipped it while its credit was spent.
        _notify_once(tx, booking, EventType.BOOKING_EXPIRING_SOON, events.expiring_soon_body(booking, now), now)


def notify_number_swapped(tx: Transaction, booking: Booking, previous: E164, now: EpochMs) -> None:
    """Posts `booking.number_swapped`, if the account has chosen it."""
    if EventType.BOOKING_NUMBER_SWAPPED in tx.notifications.chosen(booking.account_id):
        post(tx, booking, events.number_swapped_body(booking, previous, now), now)


def notify_booking_gone(tx: Transaction, booking: Booking, why: WhyGone, now: EpochMs) -> None:
    """Posts `booking.gone` and deletes the booking's marks. Only live calls can cause further callbacks."""
    expired_calls.notify_suppressed(tx, booking, now)
    if EventType.BOOKING_GONE in tx.notifications.chosen(booking.account_id):
        post(tx, booking, events.booking_gone_body(booking, why, now), now)
    tx.notifications.forget(booking.id)
    tx.refused_calls.forget(booking.id)


def allow_all_again(tx: Transaction, booking: Booking) -> None:
    """Deletes all marks of a renewed booking, so that every notification can be sent again."""
    tx.notifications.unmark_all(booking.id)


def allow_low_seconds_again(tx: Transaction, booking: Booking) -> None:
    """Deletes the mark for `booking.low_seconds`, so that it can be sent again."""
    tx.notifications.unmark(booking.id, EventType.BOOKING_LOW_SECONDS)


async def notify_all_due(storage: Storage, now: EpochMs, policy: Policy) -> int:
    """Sends the due notifications of all accounts, up to `MAX_BATCHES` transactions. Calls can run in between.

    Returns:
        How many bookings it scanned.

    Raises:
        StorageError: The database failed. What was committed before stays done.
    """
    scanned = 0
    for _ in range(MAX_BATCHES):
        batch = await storage.run(notify_due, now, policy)
        scanned += batch.scanned
        if not batch.is_full:
            break
    return scanned


def notify_due(tx: Transaction, now: EpochMs, policy: Policy, account_id: AccountId | None = None) -> NotifiedBatch:
    """Posts callbacks that fall due by time: bookings that expired or soon will, and suppressed calls to expired ones.

    Args:
        tx: The transaction. It scans up to `BATCH` bookings of each kind.
        now: The present time; of a sandbox, by the sandbox's clock.
        policy: The operator's rules.
        account_id: Only this account, a sandbox; None for all customers' own accounts.
    """
    counts = [
        _notify_ending(tx, EventType.BOOKING_EXPIRED, EndingSpan(EpochMs(0), now), now, policy, account_id),
        _notify_ending(
            tx,
            EventType.BOOKING_EXPIRING_SOON,
            EndingSpan(now, EpochMs(now + policy.notifications.expiring_soon_ms)),
            now,
            policy,
            account_id,
        ),
        expired_calls.notify_closed_windows(tx, now, policy, account_id, BATCH),
    ]
    return NotifiedBatch(sum(counts), BATCH in counts)


@dataclass(frozen=True, slots=True)
class EndingSpan:
    """The bookings that end after `after` and not later than `until`."""

    after: EpochMs
    until: EpochMs


def _notify_ending(
    tx: Transaction, kind: EventType, span: EndingSpan, now: EpochMs, policy: Policy, account_id: AccountId | None
) -> int:
    """Sends one kind of notification about the bookings that end within the span. Returns how many it scanned."""
    if account_id is None:
        bookings = _next_ending(tx, kind, span)
    elif kind in tx.notifications.chosen(account_id):
        bookings = _ending_of(tx, account_id, kind, span)
    else:
        return 0
    for found in bookings.to_notify:
        booking = tx.bookings.by_id(found.id)
        if booking is None or (booking.end_at, booking.expires_at) != (found.end_at, found.expires_at):
            continue  # it was renewed or is gone since
        if kind is EventType.BOOKING_EXPIRED:
            body = events.booking_expired_body(booking, policy.grace_ms)
        else:
            body = events.expiring_soon_body(booking, now)
        _notify_once(tx, booking, kind, body, now)
    return bookings.scanned


@dataclass(frozen=True, slots=True)
class EndingBookings:
    """Bookings to notify about, and how many were scanned to find them."""

    to_notify: list[Booking]
    scanned: int


def _ending_of(tx: Transaction, account_id: AccountId, kind: EventType, span: EndingSpan) -> EndingBookings:
    found = tx.notifications.ending_of(account_id, kind, after=span.after, until=span.until, limit=BATCH)
    return EndingBookings(found, len(found))


def _next_ending(tx: Transaction, kind: EventType, span: EndingSpan) -> EndingBookings:
    """Continues where the last sweep stopped. The very first sweep only stores its position.

    After the clock was set back, some bookings are scanned again; their marks prevent a second notification.
    """
    position = tx.notifications.swept_to(kind)
    if position is None or not tx.notifications.anybody_chose():
        tx.notifications.set_swept(kind, EndingPosition(span.until, BookingId(LAST_ID)))
        return EndingBookings([], 0)
    if position.ends_at < span.after:
        position = EndingPosition(span.after, BookingId(LAST_ID))
    found = tx.notifications.ending(position, span.until, BATCH)
    last = found[-1].booking if len(found) == BATCH else None
    tx.notifications.set_swept(
        kind, EndingPosition(last.end_at, last.id) if last else EndingPosition(span.until, BookingId(LAST_ID))
    )
    return EndingBookings([each.booking for each in found if kind in each.chosen], len(found))


def _notify_once(tx: Transaction, booking: Booking, kind: EventType, body: EventBody, now: EpochMs) -> None:
    if tx.notifications.mark(booking.id, kind, now):
        post(tx, booking, body, now)


def notify_call_ended(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs, sequence: int | None) -> None:
    """Posts the callback about an answered call. `sequence`: as `post` takes it."""
    session = session_of(tx, booking)
    if session is not None:
        post_interaction(tx, booking, session, cdr, now, sequence)
        return
    body = events.call_ended_body(
        cdr_id=cdr.id,
        started_at=cdr.started_at,
        duration=cdr.duration,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
        end=cdr.end,
        direction=cdr.direction,
    )
    post(tx, booking, body, now, call_id=cdr.call_id, sequence=sequence)
