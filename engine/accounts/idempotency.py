"""Idempotency keys: a request is carried out once, and every repetition gets the first answer.

The transaction that carries out the request also stores its answer. A crash therefore leaves both or neither, and of
several simultaneous requests with one key the first is carried out and the others get its answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.accounts.stored_data import check_stored
from engine.domain.account_limits import AccountLimits
from engine.domain.errors import IdempotencyKeyReused
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction

# Until then a key stands for one request; afterwards it can be used for another.
KEPT_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with an idempotency key.

    Attributes:
        account_id: The account that sent the request. Keys of different accounts are independent.
        key: The `Idempotency-Key` header.
        fingerprint: A digest of the request. Two requests have the same one only if they are equal.
    """

    account_id: AccountId
    key: str
    fingerprint: str


def once(
    tx: Transaction,
    keyed: KeyedRequest,
    now: EpochMs,
    carry_out: Callable[[Transaction], KeptAnswer],
    limits: AccountLimits,
) -> tuple[KeptAnswer, bool]:
    """Carries out a request, unless it was carried out before.

    A refusal is not stored, because the same request may succeed later: `carry_out` raises it.

    Args:
        tx: The transaction.
        keyed: The request.
        now: The present time by the machine's clock.
        carry_out: The command; returns the answer to keep.
        limits: The limits of an account that has none of its own.

    Returns:
        The answer, and whether it is a repetition of an earlier one.

    Raises:
        TooMuchStored: The account has stored as much as it may.
        IdempotencyKeyReused: The key was used for another request.
        Refusal: `carry_out` refused the request.
    """
    kept = tx.kept_answers.claim(keyed.account_id, keyed.key, now)
    if kept is not None and kept.kept_at > now - KEPT_MS:
        if kept.fingerprint != keyed.fingerprint:
            raise IdempotencyKeyReused("the key was used for another request within the last 24 hours")
        return kept.answer, True
    check_stored(tx, keyed.account_id, limits)
    answer = carry_out(tx)
    tx.kept_answers.keep(keyed.account_id, keyed.key, keyed.fingerprint, answer, now)
    return answer, False
