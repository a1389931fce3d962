"""The table of the secrets that sign callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.table import Table


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    """`old` signs beside `present` until `old_until`; both None when there is no old one."""

    present: str
    old: str | None = None
    old_until: int | None = None

    def valid_at(self, now: EpochMs) -> tuple[str, ...]:
        """The present one first."""
        if self.old is None or self.old_until is None or self.old_until <= now:
            return (self.present,)
        return self.present, self.old


class WebhookSecrets(Table):
    def of(self, account_id: AccountId) -> SigningSecrets:
        row = self._sql.webhook_secrets_of(self._db, account_id=account_id)
        return secrets_from_row(row)

    def rotate(self, account_id: AccountId, secret: str, old_until: int) -> None:
        self._sql.rotate_webhook_secret(self._db, account_id=account_id, secret=secret, until=old_until)


def secrets_from_row(row: Mapping[str, Any]) -> SigningSecrets:
    return SigningSecrets(row["webhook_secret"], row["old_webhook_secret"], row["old_secret_until"])
