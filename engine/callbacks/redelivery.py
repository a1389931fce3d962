"""What an owner does with callbacks that were put down: has them sent again, and their endpoints tried again.

Plain functions over a transaction. Whoever commits them wakes the worker.
"""

from dataclasses import dataclass

from engine.domain.errors import NotFound
from engine.domain.ids import AccountId
from engine.domain.retry import CallbackState
from engine.domain.times import EpochMs
from engine.storage.endpoints import Endpoint
from engine.storage.outbox import CallbackPosition, CallbackRecord
from engine.storage.transaction import Transaction

# What one request puts into line, so that no call ever waits long behind it.
BATCH = 200

Position = tuple[int, str]
"""When a callback was put down (epoch milliseconds), and its id."""


@dataclass(frozen=True, slots=True)
class Redelivered:
    """`count`: how many were put into line. `last`: where the next request begins; None: nothing is left."""

    count: int
    last: Position | None


def redeliver(tx: Transaction, account_id: AccountId, callback_id: str, now: EpochMs) -> tuple[CallbackRecord, bool]:
    """Send it again, under its id, from the beginning of the schedule; and whether anything was to be done for that:
    one that is being tried right now is left alone. Held, where its endpoint is disabled. Raises NotFound.
    """
    found = _callback(tx, account_id, callback_id)
    endpoint = tx.endpoints.of_url(account_id, found.url)
    held = endpoint is not None and endpoint.disabled_at is not None
    begun = tx.outbox.redeliver(callback_id, now, held=held)
    tx.posted = True
    return _callback(tx, account_id, callback_id), begun


def redeliver_all(
    tx: Transaction,
    account_id: AccountId,
    state: str,
    after: Position,
    until: EpochMs,
    now: EpochMs,
    at_most: int = BATCH,
) -> Redelivered:
    """All in that state that were put down after that place and before `until`, the oldest `at_most` of them."""
    found = tx.outbox.to_redeliver(account_id, CallbackState(state), CallbackPosition(*after), until, at_most + 1)
    chosen = found[:at_most]
    for _, callback_id in chosen:
        # The worker holds those whose endpoint is disabled.
        tx.outbox.redeliver(callback_id, now, held=False)
        tx.posted = True
    return Redelivered(len(chosen), chosen[-1] if len(found) > at_most else None)


def enable(tx: Transaction, account_id: AccountId, endpoint_id: str) -> Endpoint:
    """Have the worker try it again, beginning with what was held for it. Nothing for one that is not disabled.

    Raises NotFound.
    """
    endpoint = _endpoint(tx, account_id, endpoint_id)
    if endpoint.disabled_at is not None:
        tx.endpoints.enable(endpoint_id)
        tx.posted = True
    return _endpoint(tx, account_id, endpoint_id)


def _callback(tx: Transaction, account_id: AccountId, callback_id: str) -> CallbackRecord:
    found = tx.outbox.of_account(account_id, callback_id)
    if found is None:
        raise NotFound("there is no such callback")
    return found


def _endpoint(tx: Transaction, account_id: AccountId, endpoint_id: str) -> Endpoint:
    found = tx.endpoints.of_account(account_id, endpoint_id)
    if found is None:
        raise NotFound("there is no such endpoint")
    return found
