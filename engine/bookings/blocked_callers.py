"""A booking's blocked callers, whose calls are refused. The list is deleted with the booking."""

from engine.bookings.lifecycle import owned
from engine.domain.errors import InvalidCaller, NotFound, TooManyBlockedCallers
from engine.domain.ids import AccountId, BookingId
from engine.domain.number_plan import caller_of
from engine.domain.numbers import is_e164
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.blocked_callers import BlockedCaller
from engine.storage.transaction import Transaction

MAX_BLOCKED_CALLERS = 1_000


def block(
    tx: Transaction, account_id: AccountId, booking_id: BookingId, caller: str, now: EpochMs, policy: Policy
) -> tuple[BlockedCaller, bool]:
    """Refuses the caller's calls from now on, however the number is written in them.

    Returns:
        The entry, and whether it is new. A caller who is blocked already keeps the earlier entry.

    Raises:
        InvalidCaller: The caller is not an E.164 number.
        TooManyBlockedCallers: The booking's list is full.
        NotFound: The account has no such booking.
        BookingGone: The booking is gone.
    """
    if not is_e164(caller):
        raise InvalidCaller("caller must be an E.164 number, such as +3225551234")
    caller = caller_of(caller)
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    known = tx.blocked.by_number(booking.id, caller)
    if known is not None:
        return known, False
    if tx.blocked.count(booking.id) >= MAX_BLOCKED_CALLERS:
        raise TooManyBlockedCallers(f"a booking can block {MAX_BLOCKED_CALLERS} callers")
    blocked = BlockedCaller(caller, now)
    tx.blocked.insert(booking.id, blocked)
    return blocked, True


def unblock(
    tx: Transaction, account_id: AccountId, booking_id: BookingId, caller: str, now: EpochMs, policy: Policy
) -> None:
    """Accepts the caller's calls again.

    Raises:
        NotFound: The account has no such booking, or the caller is not blocked.
        BookingGone: The booking is gone.
    """
    booking = owned(tx.bookings.by_id(booking_id), account_id, now, policy)
    if not is_e164(caller) or not tx.blocked.delete(booking.id, caller_of(caller)):
        raise NotFound("this caller is not blocked")
