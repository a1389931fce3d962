"""Test events: a signed callback to a URL of the customer's choice, to try out a receiver.

It takes the way of every callback: the guard against forbidden addresses, the signature, the paces of receivers and the
log. It has one attempt, it neither disables its endpoint nor counts for it, and it is not about a booking.
"""

from engine.callbacks.redelivery import check_backlog
from engine.domain.events import as_json, callback_test_body
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.runtime.ids import new_id
from engine.storage.transaction import Transaction


def post_test(tx: Transaction, account_id: AccountId, url: str, now: EpochMs) -> str:
    """Adds a test event to the outbox. The worker is woken after the commit.

    Args:
        tx: The transaction.
        account_id: Whose secret signs it.
        url: Where it goes; `check_callback` has accepted it.
        now: The present time by the machine's clock.

    Returns:
        The callback's id.

    Raises:
        TooManyRedeliveries: Many callbacks of the account wait to be sent.
    """
    check_backlog(tx, account_id, now)
    by_account = tx.sandboxes.now(account_id, now)
    callback_id = new_id("evt")
    tx.outbox.insert(
        event_id=callback_id,
        account_id=account_id,
        booking_id=None,
        url=url,
        body=as_json(callback_test_body(by_account)),
        now=by_account,
    )
    tx.posted_for |= {account_id}
    return callback_id
