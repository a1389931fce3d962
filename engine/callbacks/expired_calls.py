"""Calls to an expired booking: its owner is told of so many within a window, and of how many there were beside.

Counted by the transaction that decides on the call. What was not told when the window is over, the next callback says:
of the next call, or of the last one that was not told of, by the sweep, so that a flood that ends is told of too.
"""

from engine.cdr.write import tell_expired
from engine.domain.booking import Booking
from engine.domain.notifications import ExpiredCalls, count_expired_call
from engine.domain.policy import Policy
from engine.storage.rows import Cdr
from engine.storage.transaction import Transaction


def count_call(tx: Transaction, booking: Booking, cdr: Cdr, now: int, policy: Policy) -> None:
    """Tell of a call, or count it as one that was not told of."""
    counted = count_expired_call(tx.notices.expired_calls(booking.id), cdr.id, now, policy.notices)
    tx.notices.set_expired_calls(booking.id, counted.window)
    if counted.not_reported is not None:
        tell_expired(tx, booking, cdr, now, not_reported=counted.not_reported)


def tell_unreported(tx: Transaction, now: int, policy: Policy, account_id: str, at_most: int) -> int:
    """Of windows that are over, of one account or (empty) of all. How many bookings there were."""
    over = tx.notices.with_calls_not_told(now - policy.notices.expired_window_ms, account_id, at_most)
    for booking_id in over:
        booking = tx.bookings.by_id(booking_id)
        if booking is not None:
            tell_of_rest(tx, booking, now)
    return len(over)


def tell_of_rest(tx: Transaction, booking: Booking, now: int) -> None:
    """Of the last call that was not told of, if there is one, with how many there were before it."""
    window = tx.notices.expired_calls(booking.id)
    if window is None or window.last_cdr_id is None:
        return
    tx.notices.set_expired_calls(booking.id, ExpiredCalls(now, 1, 0, None))
    cdr = tx.notices.call_record(booking.account_id, window.last_cdr_id)
    if cdr is not None:  # else it was kept for a shorter time than the window
        tell_expired(tx, booking, cdr, now, not_reported=window.not_told - 1)
