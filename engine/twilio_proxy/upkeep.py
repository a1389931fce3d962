"""What time does to sessions: calls move the end of those with a time to live; incomplete ones are deleted."""

from dataclasses import replace

from engine.domain.booking import BookingStatus, status_at
from engine.domain.ids import AccountId, BookingId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.transaction import Transaction
from engine.twilio_proxy.sessions import end_of

# Sessions of one transaction, so that no call waits long for the database.
BATCH = 100
# A call during the last moments of a session moves its end in time, although a sweep comes every ten seconds.
AHEAD_MS = 60_000


def sweep_sessions(tx: Transaction, now: EpochMs, policy: Policy) -> list[BookingId]:
    """Does what is due by the machine's clock. Returns as `move_ends` does."""
    _delete_unjoined(tx, now, policy)
    return move_ends(tx, now, policy)


def move_ends(tx: Transaction, now: EpochMs, policy: Policy, account_id: AccountId | None = None) -> list[BookingId]:
    """Moves the ends of sessions whose time to live is nearly over and which had calls in the meantime.

    Args:
        tx: The transaction.
        now: The present time; of a sandbox, by the sandbox's clock.
        policy: The operator's rules.
        account_id: Only this account, a sandbox; None for all customers' own accounts.

    Returns:
        The bookings whose live calls may last longer now.
    """
    moved = []
    for idle in tx.twilio_proxy.idle(now, EpochMs(now + AHEAD_MS), account_id, BATCH):
        booking = None if idle.booking_id is None else tx.bookings.by_id(idle.booking_id)
        # Every change of a session that is a pair locks its booking first, so it is read again under the lock.
        session = tx.twilio_proxy.session(idle.service_id, idle.id)
        if session is None or session.idle_until is None:
            continue
        if booking is None or session.paid_until is None or status_at(booking, now, policy) is BookingStatus.GONE:
            tx.twilio_proxy.set_idle_until(session.id, None)
            continue
        ends_at = end_of(tx, session, session.created_at, session.paid_until, now)
        if ends_at > booking.end_at:
            tx.bookings.update(replace(booking, end_at=ends_at))
            moved.append(booking.id)
        left = ends_at if now < ends_at < session.paid_until else None
        if left != session.idle_until:
            tx.twilio_proxy.set_idle_until(session.id, left)
    return moved


def _delete_unjoined(tx: Transaction, now: EpochMs, policy: Policy) -> None:
    """Deletes sessions that have waited for a participant as long as an expired booking can be renewed."""
    for session_id in tx.twilio_proxy.waiting_since(EpochMs(now - policy.grace_ms), BATCH):
        tx.twilio_proxy.delete_session(session_id)
