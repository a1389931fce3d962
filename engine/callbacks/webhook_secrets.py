"""What signs an account's callbacks: a secret, and while it is replaced two. Plain functions over a transaction."""

import base64
import secrets

from engine.domain.errors import InvalidInput
from engine.storage.delivery_rows import WebhookSecrets
from engine.storage.transaction import Transaction

DEFAULT_OVERLAP_SECONDS = 24 * 3_600
MAX_OVERLAP_SECONDS = 7 * 24 * 3_600


def new_secret() -> str:
    """256 random bits, as Standard Webhooks has it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_at(tx: Transaction, account_id: str, now: int) -> WebhookSecrets:
    """Without one that signs no more."""
    return _valid(tx.webhook_secrets.of(account_id), now)


def rotate(tx: Transaction, account_id: str, overlap_seconds: int, now: int) -> WebhookSecrets:
    """Make another secret. The present one signs beside it for that long; one that did so until now, no more.

    Raises InvalidInput for an overlap out of bounds.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInput([f"two secrets sign side by side for 0 to {MAX_OVERLAP_SECONDS} seconds"])
    tx.webhook_secrets.rotate(account_id, new_secret(), now + 1000 * overlap_seconds)
    return secrets_at(tx, account_id, now)


def _valid(kept: WebhookSecrets, now: int) -> WebhookSecrets:
    return kept if len(kept.valid_at(now)) > 1 else WebhookSecrets(kept.present)
