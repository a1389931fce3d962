"""How bookings end other than by their customers: graces, the sweep, and whatever else ends one for good."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.callbacks import notifications
from engine.calls.reconciliation import settle_overdue
from engine.domain import booking as life
from engine.domain.booking import Booking, BookingStatus
from engine.domain.events import WhyGone
from engine.domain.ids import CallId
from engine.domain.numbers import is_simulated
from engine.domain.policy import Policy
from engine.domain.times import EpochMs, Timestamp
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

# Rows that one sweep handles, so that no call waits long for the database.
SWEEP_LIMIT = 200
UNBLOCK_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep did.

    Attributes:
        bookings_gone: Bookings whose grace ended.
        numbers_freed: Numbers whose quarantine ended, and callers of shared numbers whose own did.
        calls_lost: Calls that were settled without an end report.
        channels: Callers' channels that must be hung up, because their booking or destination is gone.
    """

    bookings_gone: int
    numbers_freed: int
    calls_lost: int
    channels: list[CallId]


def sweep(
    tx: Transaction,
    at: Timestamp,
    policy: Policy,
    *,
    settle_lost: bool = True,
    free_numbers: bool = True,
    asterisk: str = "",
) -> SweepResult:
    """Ends graces, frees quarantined numbers and settles calls whose end was never reported.

    Routing does not depend on the sweep: it compares a booking's times with the clock. Only the supply of free numbers
    depends on it.

    Args:
        tx: The transaction.
        at: Now.
        policy: The operator's rules.
        settle_lost: Whether to settle calls by time alone; False while Asterisk may still list those that are up.
        free_numbers: Whether numbers may leave their quarantine; False while it is not noted who has reached them.
        asterisk: The Asterisk whose calls are settled and hung up.
    """
    now = at.wall_ms
    tx.pins.forget(now)  # first: a call with a PIN locks the count of wrong ones before it locks its booking
    gone = end_graces(tx, tx.bookings.expired_before(EpochMs(now - policy.grace_ms), SWEEP_LIMIT), now, policy)
    freed = tx.numbers.free_quarantined(now) + tx.pairs.forget_quarantined(now) if free_numbers else 0
    lost = settle_overdue(tx, at, policy, SWEEP_LIMIT, asterisk) if settle_lost else []
    channels = [call.call_id for call in tx.calls.to_hang_up(asterisk, SWEEP_LIMIT)]
    return SweepResult(gone, freed, len(lost), channels)


def end_graces(tx: Transaction, over: Iterable[Booking], now: EpochMs, policy: Policy) -> int:
    """Ends bookings whose grace is over, and quarantines their numbers.

    It stops early after it has deleted `UNBLOCK_LIMIT` blocked callers; the next sweep handles the rest.

    Returns:
        How many bookings it ended.
    """
    ended, unblocked = 0, 0
    for booking in over:
        if unblocked >= UNBLOCK_LIMIT:
            break
        gone = life.end_grace(booking, now, policy)
        tx.bookings.update(gone)
        withdraw_booking(tx, gone)
        notifications.notify_booking_gone(tx, gone, WhyGone.GRACE_OVER, now)
        quarantine_number(tx, gone, now, policy)
        unblocked += tx.blocked.delete_all(booking.id)
        ended += 1
    return ended


def withdraw_booking(tx: Transaction, gone: Booking) -> None:
    """Notes that a booking is gone for good, unless it is a sandbox's: its number is never given away."""
    if not is_simulated(gone.service):
        tx.withdraw(Kind.BOOKING, gone.id)


def end_for_good(tx: Transaction, booking: Booking, now: EpochMs, policy: Policy) -> tuple[Booking, WhyGone]:
    """Ends a booking that is not gone, whatever its status, and quarantines its number. Its row is not written.

    Returns:
        The booking, gone, and why.
    """
    quarantine_number(tx, booking, now, policy)
    withdraw_booking(tx, booking)
    if life.status_at(booking, now, policy) is BookingStatus.GONE:
        return life.end_grace(booking, now, policy), WhyGone.GRACE_OVER
    return life.delete(booking, now, policy), WhyGone.DELETED


def quarantine_number(tx: Transaction, gone: Booking, now: EpochMs, policy: Policy) -> None:
    """Begins the quarantine of the number of a booking that has ended; of a pair, that of its callers on the number."""
    until = EpochMs(now + policy.quarantine_ms)
    if gone.is_pair and is_simulated(gone.service):
        tx.pins.drop(gone.id)
        tx.pins.forget_tries_at(gone.service)  # the sandbox's clock may be years ahead of the sweep's
        tx.pairs.drop(gone.id)  # sandboxes share the simulated numbers, and no telephone calls one by mistake
    elif gone.is_pair:
        tx.pairs.release(gone.id, gone.account_id, until)
        tx.pins.release(gone.id, until)
    else:
        tx.numbers.quarantine(gone.service, gone.account_id, now, until)
