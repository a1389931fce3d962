"""The table of answers that are kept for repeated requests (Idempotency-Key)."""

from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.table import Table, fields_of

# The status of a claim, which is never committed (queries/postgresql/locks.sql).
CLAIMED = 0


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An HTTP answer: its status, its Location header if it has one, and its body."""

    status: int
    location: str | None
    body: str


@dataclass(frozen=True, slots=True)
class KeptAnswerOf:
    """A kept answer, the fingerprint of the request that it answered, and when it was kept."""

    fingerprint: str
    answer: KeptAnswer
    kept_at: EpochMs


class KeptAnswers(Table):
    """Kept answers, by account and idempotency key."""

    def claim(self, account_id: AccountId, key: str, now: EpochMs) -> KeptAnswerOf | None:
        """Returns the answer that is kept under the key; None: this transaction alone may carry out the request now."""
        self._sql.lock_answer(self._db, account_id=account_id, idempotency_key=key, now=now)
        row = self._sql.kept_answer(self._db, account_id=account_id, idempotency_key=key)
        if row is None or row["status"] == CLAIMED:
            return None
        answer = KeptAnswer(row["status"], row["location"], row["body"])
        return KeptAnswerOf(row["fingerprint"], answer, row["kept_at"])

    def keep(self, account_id: AccountId, key: str, fingerprint: str, answer: KeptAnswer, now: EpochMs) -> None:
        """Keeps an answer under the key, and replaces an older one there."""
        self._sql.keep_answer(
            self._db,
            account_id=account_id,
            idempotency_key=key,
            fingerprint=fingerprint,
            **fields_of(answer),
            kept_at=now,
        )
