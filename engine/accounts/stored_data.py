"""How much an account may store by its requests.

Each request with an `Idempotency-Key` keeps its answer, and each request to a sandbox may store a booking, a record and
a callback, with 40 kB of the customer's own notes in each. Within its quota of requests an account could fill the disk.

Triggers of the database keep the sum (migration 0018), in the transaction that writes or deletes a row. So no statement
forgets it, and reading it is a look-up by key. A request is checked before it stores: the last one may pass the limit.
"""

from engine.domain.account_limits import AccountLimits
from engine.domain.errors import TooMuchStored
from engine.domain.ids import AccountId
from engine.storage.transaction import Transaction

MEGABYTE = 1_000_000


def check_stored(tx: Transaction, account_id: AccountId, default: AccountLimits) -> None:
    """Checks that an account may store more. A sandbox has the limit of its customer, and a sum of its own.

    Args:
        tx: The transaction.
        account_id: The account.
        default: The limits of an account that has none of its own.

    Raises:
        TooMuchStored: It has stored as much as it may.
    """
    limit = tx.accounts.limits(account_id, default).stored_megabytes
    if tx.accounts.stored_bytes(account_id) >= limit * MEGABYTE:
        raise TooMuchStored(
            f"the account has stored {limit} MB, as much as it may; kept answers are deleted after a day, a sandbox's "
            "callbacks after three days, its records after 30 days"
        )
