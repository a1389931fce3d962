"""Callbacks about calls to an expired booking, limited to a few in each window of time.

The transaction that routes a call also counts it. Calls above the limit cause no callback; they are suppressed and
counted. After the window the next callback reports the count: the callback about the next call or, if none comes, one
that the sweep posts about the last suppressed call. So the customer also learns of a flood that has stopped.
"""

from engine.callbacks.outbox import post
from engine.callbacks.twilio_webhooks import post_out_of_session, session_of
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.notifications import ExpiredCalls, count_in_window
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


def count_expired_call(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs, policy: Policy) -> None:
    """Posts a callback about a call, or counts the call as suppressed."""
    counted = count_in_window(tx.notifications.expired_calls(booking.id), cdr.id, now, policy.notifications)
    tx.notifications.set_expired_calls(booking.id, counted.window)
    if counted.not_reported is not None:
        notify_expired_call(tx, booking, cdr, now, not_reported=counted.not_reported)


def notify_closed_windows(
    tx: Transaction, now: EpochMs, policy: Policy, account_id: AccountId | None, limit: int
) -> int:
    """Reports suppressed calls whose window is over.

    Args:
        tx: The transaction.
        now: The present time; of a sandbox, by the sandbox's clock.
        policy: The operator's rules.
        account_id: Only this account; None for all customers' own accounts.
        limit: The most bookings to handle.

    Returns:
        How many bookings it handled.
    """
    over = tx.notifications.with_calls_not_told(
        EpochMs(now - policy.notifications.expired_window_ms), account_id, limit
    )
    for booking_id in over:
        booking = tx.bookings.by_id(booking_id)
        if booking is not None:
            notify_suppressed(tx, booking, now)
    return len(over)


def notify_suppressed(tx: Transaction, booking: Booking, now: EpochMs) -> None:
    """Posts a callback about the last suppressed call, if there is one, with the count of those before it."""
    window = tx.notifications.expired_calls(booking.id)
    if window is None or window.last_cdr_id is None:
        return
    tx.notifications.set_expired_calls(booking.id, ExpiredCalls(now, 1, 0, None))
    cdr = tx.notifications.call_record(booking.account_id, window.last_cdr_id)
    if cdr is not None:  # retention may have deleted it, if it is shorter than the window
        notify_expired_call(tx, booking, cdr, now, not_reported=window.not_told - 1)


def notify_expired_call(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs, *, not_reported: int) -> None:
    """Posts the callback about a call to an expired booking.

    Args:
        tx: The transaction.
        booking: The expired booking.
        cdr: The call's record.
        now: The present time by the account's clock.
        not_reported: How many calls were suppressed since the last callback.
    """
    session = session_of(tx, booking)
    if session is not None:
        post_out_of_session(tx, booking, session, cdr, now, not_reported=not_reported)
        return
    body = events.expired_call_body(
        called_at=cdr.started_at,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
        not_reported=not_reported,
        direction=cdr.direction,
    )
    post(tx, booking, body, now, call_id=cdr.call_id)
