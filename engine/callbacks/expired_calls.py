"""Calls to an expired booking: its owner is told of so many within a window, and of how many there were beside.

Counted by the transaction that decides on the call. What was not told when the window is over, the next callback says:
of the next call, or of the last one that was not told of, by the sweep, so that a flood that ends is told of too.
"""

from engine.callbacks.outbox import post
from engine.domain import events
from engine.domain.booking import Booking
from engine.domain.ids import AccountId
from engine.domain.notifications import ExpiredCalls, count_in_window
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.cdrs import Cdr
from engine.storage.transaction import Transaction


def count_expired_call(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs, policy: Policy) -> None:
    """Tell of a call, or count it as one that was not told of."""
    counted = count_in_window(tx.notices.expired_calls(booking.id), cdr.id, now, policy.notices)
    tx.notices.set_expired_calls(booking.id, counted.window)
    if counted.not_reported is not None:
        notify_expired_call(tx, booking, cdr, now, not_reported=counted.not_reported)


def notify_closed_windows(
    tx: Transaction, now: EpochMs, policy: Policy, account_id: AccountId | None, at_most: int
) -> int:
    """Of windows that are over, of one account or (empty) of all. How many bookings there were."""
    over = tx.notices.with_calls_not_told(EpochMs(now - policy.notices.expired_window_ms), account_id, at_most)
    for booking_id in over:
        booking = tx.bookings.by_id(booking_id)
        if booking is not None:
            notify_suppressed(tx, booking, now)
    return len(over)


def notify_suppressed(tx: Transaction, booking: Booking, now: EpochMs) -> None:
    """Of the last call that was not told of, if there is one, with how many there were before it."""
    window = tx.notices.expired_calls(booking.id)
    if window is None or window.last_cdr_id is None:
        return
    tx.notices.set_expired_calls(booking.id, ExpiredCalls(now, 1, 0, None))
    cdr = tx.notices.call_record(booking.account_id, window.last_cdr_id)
    if cdr is not None:  # else it was kept for a shorter time than the window
        notify_expired_call(tx, booking, cdr, now, not_reported=window.not_told - 1)


def notify_expired_call(tx: Transaction, booking: Booking, cdr: Cdr, now: EpochMs, *, not_reported: int) -> None:
    """Put the callback about a call to an expired booking into the outbox. `not_reported`: calls that were not told of
    since the last one that was."""
    body = events.expired_call_body(
        called_at=cdr.started_at,
        source=cdr.source,
        destination=cdr.destination,
        booking_id=booking.id,
        service=cdr.service,
        not_reported=not_reported,
    )
    post(tx, booking, body, now)
