"""The columns of accounts with the secrets that sign callbacks."""

from dataclasses import dataclass

from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.table import Row, Table


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    """The secrets that sign an account's callbacks.

    Attributes:
        present: The current secret.
        old: The secret before the last rotation, which also signs until `old_until`. None: there is none.
        old_until: When the old secret stops signing (epoch milliseconds).
    """

    present: str
    old: str | None = None
    old_until: int | None = None

    def valid_at(self, now: EpochMs) -> tuple[str, ...]:
        """Returns the secrets that sign at `now`, the current one first."""
        if self.old is None or self.old_until is None or self.old_until <= now:
            return (self.present,)
        return self.present, self.old


class WebhookSecrets(Table):
    """The signing secrets of accounts."""

    def of(self, account_id: AccountId) -> SigningSecrets:
        """Returns the secrets of an account, which must exist."""
        return secrets_from_row(self._sql.webhook_secrets_of(self._db, account_id=account_id))

    def rotate(self, account_id: AccountId, secret: str, old_until: int) -> None:
        """Makes `secret` the current one. The previous one also signs until `old_until` (epoch milliseconds)."""
        self._sql.rotate_webhook_secret(self._db, account_id=account_id, secret=secret, until=old_until)


def secrets_from_row(row: Row) -> SigningSecrets:
    """Builds the secrets from their columns; the row may have more."""
    return SigningSecrets(row["webhook_secret"], row["old_webhook_secret"], row["old_secret_until"])
