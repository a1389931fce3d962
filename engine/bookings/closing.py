"""Closes accounts for good: keys are revoked, bookings ended. Records and callbacks stay, and callbacks still go out.

The first transaction closes the account, so that nothing is booked or called any more. Its bookings end afterwards, a
few in each transaction, so that no call waits long for the database. If that is cut short, the sweep ends the rest.
"""

from dataclasses import dataclass

from engine.accounts.lifecycle import own_account
from engine.bookings.endings import UNBLOCK_LIMIT, end_for_good
from engine.callbacks import notifications
from engine.domain.account_state import AccountEvent, AccountState, next_state
from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId, BookingId
from engine.domain.policy import Policy
from engine.domain.times import EpochMs
from engine.storage.accounts import Account
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction

# Bookings that one transaction ends.
BATCH = 100


@dataclass(frozen=True, slots=True)
class Closed:
    """An account that was closed just now or before.

    Attributes:
        keys_revoked: API keys that this close has revoked, its sandbox's included.
        live: The bookings of its live calls, once for each call.
    """

    account: Account
    keys_revoked: int
    live: list[BookingId]


def close(tx: Transaction, account: str, now: EpochMs, *, with_live_calls: bool = False) -> Closed:
    """Closes an account and its sandbox, and revokes their keys. `end_bookings_of_closed` ends their bookings.

    Args:
        tx: The transaction.
        account: Id or name of the account.
        now: The present time.
        with_live_calls: Close it even if calls are live, which then end.

    Raises:
        InvalidInput: There is no such account, it is a sandbox, or it has live calls.
    """
    found = own_account(tx, account)
    next_state(found.state, AccountEvent.CLOSE)
    live = tx.overview.live_bookings_of(found.id)
    if live and found.state is not AccountState.CLOSED and not with_live_calls:
        calls = f"{len(live)} calls of it are live" if len(live) > 1 else "a call of it is live"
        raise InvalidInput([f"{calls}: suspend the account and wait for the end, or end it with --force"])
    if found.state is not AccountState.CLOSED:
        tx.accounts.close(found.id, now)
        tx.withdraw(Kind.CLOSED, found.id)
    closed = tx.accounts.by_id(found.id)
    return Closed(closed or found, revoke_all_keys(tx, found.id, now), live)


def revoke_all_keys(tx: Transaction, account_id: AccountId, now: EpochMs) -> int:
    """Revokes the keys of an account and of its sandbox. Returns how many were valid."""
    sandbox_id = tx.sandboxes.beside(account_id)
    accounts = [account_id] if sandbox_id is None else [account_id, sandbox_id]
    valid = [key["id"] for each in accounts for key in tx.accounts.keys_of(each) if key["revoked_at"] is None]
    for key_id in valid:
        tx.accounts.revoke_key(key_id, now)
        tx.withdraw(Kind.KEY, key_id)
    return len(valid)


def end_bookings_of_closed(tx: Transaction, now: EpochMs, policy: Policy) -> int:
    """Ends up to BATCH bookings of closed accounts, and quarantines their numbers. Returns how many; 0: none is left.

    It stops early after it has deleted `UNBLOCK_LIMIT` blocked callers; the next transaction handles the rest.

    Args:
        tx: The transaction.
        now: The present time, by the machine's clock.
        policy: The operator's rules.
    """
    ended, unblocked = 0, 0
    for booking in tx.bookings.of_closed_accounts(BATCH):
        if unblocked >= UNBLOCK_LIMIT:
            break
        at = tx.sandboxes.now(booking.account_id, now)
        gone, why = end_for_good(tx, booking, at, policy)
        tx.bookings.update(gone)
        notifications.notify_booking_gone(tx, gone, why, at)
        unblocked += tx.blocked.delete_all(booking.id)
        ended += 1
    return ended
