"""Webhook secrets, and the signatures that are made with them, after Standard Webhooks.

A receiver checks with the signature that a callback comes from us, is complete and is recent. See
https://www.standardwebhooks.com: HMAC-SHA256 over `id.timestamp.body`, secret `whsec_` + base64.
"""

import base64
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook

from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets

DEFAULT_OVERLAP_SECONDS = 24 * 3_600
MAX_OVERLAP_SECONDS = 7 * 24 * 3_600


def signature_headers(event_id: str, secrets: tuple[str, ...], body: str, now: EpochMs) -> dict[str, str]:
    """Returns the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.

    Args:
        event_id: The callback's id. It is the same for every attempt, so that a receiver can drop duplicates.
        secrets: The secrets to sign with. While a secret is being replaced, a receiver may have the old or the new one.
        body: The body, exactly as it is sent.
        now: The time of this attempt.

    Raises:
        ValueError: A secret is not valid base64 (binascii.Error).
        EmptyWebhookSecretError: A secret is empty.
    """
    seconds = now // 1000
    # sign() replaces the time zone by UTC without converting the time, so the time must be UTC already.
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, moment, body) for secret in secrets),
    }


def new_secret() -> str:
    """Returns a new secret of 256 random bits in the spelling of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_at(tx: Transaction, account_id: AccountId, now: EpochMs) -> SigningSecrets:
    """Returns the secrets that sign at this time, without an old one that has run out."""
    return _valid(tx.webhook_secrets.of(account_id), now)


def rotate(tx: Transaction, account_id: AccountId, overlap_seconds: int, now: EpochMs) -> SigningSecrets:
    """Replaces an account's secret. The present secret continues to sign for a while, in addition to the new one.

    An even older secret that was still signing stops at once.

    Args:
        tx: The transaction.
        account_id: The account.
        overlap_seconds: How long the present secret continues to sign.
        now: The present time.

    Raises:
        InvalidInput: The overlap is out of bounds.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInput([f"the overlap must be 0 to {MAX_OVERLAP_SECONDS} seconds"])
    tx.webhook_secrets.rotate(account_id, new_secret(), now + 1000 * overlap_seconds)
    return secrets_at(tx, account_id, now)


def _valid(kept: SigningSecrets, now: EpochMs) -> SigningSecrets:
    return kept if len(kept.valid_at(now)) > 1 else SigningSecrets(kept.present)
