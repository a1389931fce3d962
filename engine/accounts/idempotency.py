"""A request under an idempotency key is carried out once: sent again, it gets the first answer again.

The answer is kept in the transaction that carries the request out. So a crash leaves both or neither, and of many at
once under one key the first is carried out and the others get its answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.domain.errors import IdempotencyKeyReused
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.kept_answers import KeptAnswer
from engine.storage.transaction import Transaction

# As long as an answer is kept, its key means that request.
KEPT_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """`fingerprint`: the same for the same request, and for no other."""

    account_id: AccountId
    key: str
    fingerprint: str


def once(
    tx: Transaction, keyed: KeyedRequest, now: EpochMs, carry_out: Callable[[Transaction], KeptAnswer]
) -> tuple[KeptAnswer, bool]:
    """The answer, and whether it is one that was given before.

    Only what was carried out is kept: `carry_out` raises a refusal, and the same request may fare better later.
    Raises IdempotencyKeyReused, and what `carry_out` raises.
    """
    kept = tx.answers.kept(keyed.account_id, keyed.key)
    if kept is not None and kept.kept_at > now - KEPT_MS:
        if kept.fingerprint != keyed.fingerprint:
            raise IdempotencyKeyReused("the key was used for another request within the last 24 hours")
        return kept.answer, True
    answer = carry_out(tx)
    tx.answers.keep(keyed.account_id, keyed.key, keyed.fingerprint, answer, now)
    return answer, False
