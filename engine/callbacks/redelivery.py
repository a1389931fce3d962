"""Redelivery of callbacks, and the enabling of disabled endpoints. Each is a plain function over a transaction.

They add to `tx.posted_for`, so the storage wakes the worker after the commit.

A callback that was sent again can be sent again after a cooldown only, and goes out at a bounded pace (see
engine/domain/pacing.py). Otherwise requests that cost nothing could flood a host whose owner has agreed to nothing.
"""

from dataclasses import dataclass

from engine.domain.errors import NotFound, RedeliveredTooSoon, TooManyRedeliveries
from engine.domain.ids import AccountId
from engine.domain.pacing import REDELIVERY_COOLDOWN_MS
from engine.domain.retry import CallbackState
from engine.domain.times import MINUTE_MS, EpochMs
from engine.storage.endpoints import Endpoint
from engine.storage.outbox import CallbackPosition, CallbackRecord
from engine.storage.transaction import Transaction

# Callbacks that one request sends again, so that no call waits long for the database.
BATCH = 200
# Nothing more is sent again while so many of the account's callbacks are due within a minute. The worker looks at what
# is due again and again until its turn comes, so a backlog without bounds would keep calls waiting.
MOST_DUE = 2_000
DUE_WITHIN_MS = MINUTE_MS


@dataclass(frozen=True, slots=True)
class Redelivered:
    """The result of one request.

    Attributes:
        count: How many callbacks will be sent again.
        last: The position after which the next request continues; None if no callback is left. One request scans a
            limited number of callbacks, so it may send none again although there are more.
    """

    count: int
    last: CallbackPosition | None


def redeliver(tx: Transaction, account_id: AccountId, callback_id: str, now: EpochMs) -> tuple[CallbackRecord, bool]:
    """Sends a callback again, under the same id, from the beginning of the schedule.

    A callback whose endpoint is disabled is held. A callback that a worker is delivering just now stays unchanged.

    Returns:
        The callback, and whether it was changed.

    Raises:
        NotFound: The account has no such callback.
        RedeliveredTooSoon: It was sent again moments ago.
        TooManyRedeliveries: Many callbacks of the account wait to be sent.
    """
    check_backlog(tx, account_id, now)
    found = _callback(tx, account_id, callback_id)
    changed = tx.outbox.redeliver(callback_id, now, unless_since=_cooled_since(now))
    if changed:
        tx.outbox.hold_if_disabled(account_id, found.url, [callback_id], now)
    if not changed and not found.claimed:
        redelivered_at = tx.outbox.redelivered_at(callback_id) or now
        wait_ms = redelivered_at + REDELIVERY_COOLDOWN_MS - now
        raise RedeliveredTooSoon("the callback was sent again moments ago", retry_after=max(1, -(-wait_ms // 1000)))
    tx.posted_for |= {account_id}
    return _callback(tx, account_id, callback_id), changed


def redeliver_all(
    tx: Transaction,
    account_id: AccountId,
    state: CallbackState,
    after: CallbackPosition,
    until: EpochMs,
    now: EpochMs,
    limit: int = BATCH,
) -> Redelivered:
    """Sends callbacks in a state again, oldest first. It skips those that were sent again moments ago.

    Args:
        tx: The transaction.
        account_id: The callbacks' account.
        state: Only callbacks in this state.
        after: Only callbacks after this position.
        until: Only callbacks created before this instant.
        now: The present time.
        limit: The most callbacks to send again.

    Raises:
        TooManyRedeliveries: Many callbacks of the account wait to be sent.
    """
    check_backlog(tx, account_id, now)
    found = tx.outbox.to_redeliver(account_id, state, after, until, limit + 1)
    chosen = found.records[:limit]
    # The worker holds those whose endpoint is disabled.
    count = sum(tx.outbox.redeliver(position.id, now, unless_since=_cooled_since(now)) for position in chosen)
    if count:
        tx.posted_for |= {account_id}
    return Redelivered(count, chosen[-1] if len(found.records) > limit else found.goes_on_after)


def enable(tx: Transaction, account_id: AccountId, endpoint_id: str) -> Endpoint:
    """Enables a disabled endpoint. The worker then delivers the callbacks that were held for it.

    Raises:
        NotFound: The account has no such endpoint.
    """
    endpoint = _endpoint(tx, account_id, endpoint_id)
    if endpoint.disabled_at is not None:
        tx.endpoints.enable(endpoint_id)
        tx.posted_for |= {account_id}
    return _endpoint(tx, account_id, endpoint_id)


def check_backlog(tx: Transaction, account_id: AccountId, now: EpochMs) -> None:
    """Raises TooManyRedeliveries if many callbacks of the account wait to be sent. `now` is by the machine's clock."""
    if tx.outbox.due_count(account_id, EpochMs(now + DUE_WITHIN_MS), MOST_DUE) == MOST_DUE:
        raise TooManyRedeliveries("many callbacks of the account wait to be sent")


def _cooled_since(now: EpochMs) -> EpochMs:
    return EpochMs(now - REDELIVERY_COOLDOWN_MS)


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
