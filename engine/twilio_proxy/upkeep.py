"""What time does to sessions: calls move the end of those with a time to live; incomplete ones are deleted."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.domain.booking import BookingStatus, status_at
from engine.domain.ids import AccountId, BookingId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.interface import Storage
from engine.storage.transaction import Transaction
from engine.storage.twilio_proxy import SessionPlace
from engine.twilio_proxy.sessions import end_of

# Sessions of one transaction, so that no call waits long for the database.
BATCH = 100
# Sessions of one sweep, of all accounts together; each account gets the same share of them. They keep SQLite busy for a
# second, a tenth of the time until the next sweep.
A_SWEEP = 1_000
# A call during the last moments of a session moves its end in time, although a sweep comes every ten seconds.
AHEAD_MS = 60_000


async def sweep_sessions(storage: Storage, now: EpochMs, policy: Policy, renewed: Callable[[BookingId], None]) -> None:
    """Does what is due by the machine's clock. Calls can use the database in between.

    Args:
        storage: The database.
        now: The present time.
        policy: The operator's rules.
        renewed: Called with a booking whose live calls may last longer now.

    Raises:
        StorageError: The database failed. What was committed before stays done.
    """
    await storage.run(delete_unjoined, now, policy)
    due = await storage.run(due_sessions, now, None, A_SWEEP)
    for first in range(0, len(due), BATCH):
        for booking_id in await storage.run(move_ends, due[first : first + BATCH], now, policy):
            renewed(booking_id)


def due_sessions(tx: Transaction, now: EpochMs, account_id: AccountId | None, limit: int) -> list[SessionPlace]:
    """Returns sessions whose time to live is over, or nearly over although they had calls; of each account its share.

    Args:
        tx: The transaction.
        now: The present time; of a sandbox, by the sandbox's clock.
        account_id: Only this account, a sandbox; None for all customers' own accounts.
        limit: The most sessions to return.
    """
    return tx.twilio_proxy.idle(now, EpochMs(now + AHEAD_MS), account_id, limit)


def move_ends(tx: Transaction, places: Sequence[SessionPlace], now: EpochMs, policy: Policy) -> list[BookingId]:
    """Moves the ends of sessions that are due.

    Args:
        tx: The transaction.
        places: The sessions, as `due_sessions` found them.
        now: The present time; of a sandbox, by the sandbox's clock.
        policy: The operator's rules.

    Returns:
        The bookings whose live calls may last longer now.
    """
    moved = []
    for place in places:
        booking = None if place.booking_id is None else tx.bookings.by_id(place.booking_id)
        # Every change of a session that is a pair locks its booking first, so it is read under the lock.
        session = tx.twilio_proxy.session(place.service_id, place.id)
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


def delete_unjoined(tx: Transaction, now: EpochMs, policy: Policy) -> None:
    """Deletes sessions that have waited for a participant as long as an expired booking can be renewed.

    A request that adds a participant locks the service. Sessions of services that are locked now are left to the next
    sweep; a request that comes later finds the session gone.
    """
    for place in tx.twilio_proxy.waiting_since(EpochMs(now - policy.grace_ms), BATCH):
        # It is read again: somebody may have joined it before its service was free.
        session = tx.twilio_proxy.session(place.service_id, place.id)
        if session is not None and session.booking_id is None:
            tx.twilio_proxy.delete_session(session.id)
