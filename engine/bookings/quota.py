"""How many numbers an account may take: at a time, and within a day.

A number that an account gave back counts as one of its bookings until its quarantine is over. Otherwise an account
could empty the pool without holding anything: each booking that it cancels keeps a number from everybody for a month.
A pair that is gone counts in the same way until both of its people have left their quarantine on the shared number:
until then, no other pair with one of them gets this number.

Both counts come from the tables of bookings and numbers, in the transaction that books. So no restart forgets them, and
no two requests at the same time pass them together.
"""

import math

from engine.accounts.stored_data import check_stored
from engine.domain.errors import QuotaReached, TooManyNewBookings
from engine.domain.ids import AccountId
from engine.domain.policy import Policy
from engine.domain.times import DAY_MS, EpochMs, rfc3339
from engine.domain.wording import counted
from engine.storage.transaction import Transaction


def check_quota(tx: Transaction, account_id: AccountId, now: EpochMs, policy: Policy) -> None:
    """Checks that an account may make one more booking.

    Simulated numbers are in no quarantine, and there are always enough of them: a sandbox may make any number of
    bookings within a day.

    Args:
        tx: The transaction.
        account_id: The account.
        now: The present time by the account's clock.
        policy: The operator's rules.

    Raises:
        QuotaReached: Its bookings and its numbers in quarantine are as many as it may hold.
        TooMuchStored: It is a sandbox and has stored as much as it may.
        TooManyNewBookings: It has made as many bookings within 24 hours as it may.
    """
    limits = tx.accounts.limits(account_id, policy.account_limits)
    _check_numbers(tx, account_id, limits.max_bookings, now)
    if tx.sandboxes.of(account_id) is None:
        _check_new_bookings(tx, account_id, limits.new_bookings_a_day, now)
    else:
        check_stored(tx, account_id, policy.account_limits)


def _check_numbers(tx: Transaction, account_id: AccountId, limit: int, now: EpochMs) -> None:
    held = tx.bookings.held_by(account_id, limit)
    if held < limit and tx.numbers.in_quarantine_of(account_id, now, limit - held) < limit - held:
        return
    reason = f"the account has reached its limit of {counted(limit, 'booking')}"
    # The limit may have been lowered, so that several numbers must come back first.
    in_quarantine = tx.numbers.in_quarantine_of(account_id, now, 2 * limit)
    if in_quarantine:
        numbers = (
            f"{in_quarantine} numbers that it gave back are" if in_quarantine > 1 else "a number that it gave back is"
        )
        reason += f": it holds {held}, and {numbers} in quarantine"
        frees_at = tx.numbers.nth_return_to(account_id, now, held + in_quarantine - limit + 1)
        if frees_at is not None:
            reason += f"; the next booking is possible at {rfc3339(frees_at)}"
    raise QuotaReached(reason)


def _check_new_bookings(tx: Transaction, account_id: AccountId, limit: int, now: EpochMs) -> None:
    oldest = tx.bookings.nth_newest(account_id, limit, EpochMs(now - DAY_MS))
    if oldest is not None:
        frees_at = EpochMs(oldest + DAY_MS)
        raise TooManyNewBookings(
            f"the account has reached its limit of {limit} new bookings within 24 hours; the next booking is possible "
            f"at {rfc3339(frees_at)}",
            retry_after=math.ceil((frees_at - now) / 1_000),
        )
