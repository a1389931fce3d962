"""The table of answers kept for repeated requests (Idempotency-Key)."""

from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.table import Table, fields_of


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a request was answered, as HTTP has it: `location` the header's value, if it had one."""

    status: int
    location: str | None
    body: str


@dataclass(frozen=True, slots=True)
class KeptAnswerOf:
    """An answer that is kept: to which request, and since when."""

    fingerprint: str
    answer: KeptAnswer
    kept_at: EpochMs


class KeptAnswers(Table):
    def kept(self, account_id: AccountId, key: str) -> KeptAnswerOf | None:
        row = self._sql.kept_answer(self._db, account_id=account_id, idempotency_key=key)
        if row is None:
            return None
        answer = KeptAnswer(row["status"], row["location"], row["body"])
        return KeptAnswerOf(row["fingerprint"], answer, row["kept_at"])

    def keep(self, account_id: AccountId, key: str, fingerprint: str, answer: KeptAnswer, now: EpochMs) -> None:
        """In the place of one that was kept long enough."""
        self._sql.keep_answer(
            self._db,
            account_id=account_id,
            idempotency_key=key,
            fingerprint=fingerprint,
            **fields_of(answer),
            kept_at=now,
        )
