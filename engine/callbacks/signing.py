"""Standard Webhooks: the headers with which a receiver knows that a callback is ours, is whole, and is not old.

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


def signature_headers(event_id: str, secrets: tuple[str, ...], body: str, now: EpochMs) -> dict[str, str]:
    """`event_id` is the same on every try, so that a receiver can drop doubles; `now` (epoch ms) is this try's.

    Signed once with each of `secrets`: while a secret is replaced, a receiver may know the new one or the old.

    Raises ValueError (binascii.Error) or EmptyWebhookSecretError for a secret that is none.
    """
    seconds = now // 1000
    # sign() overwrites the time zone with UTC without converting, so it must be UTC already.
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, moment, body) for secret in secrets),
    }


DEFAULT_OVERLAP_SECONDS = 24 * 3_600


MAX_OVERLAP_SECONDS = 7 * 24 * 3_600


def new_secret() -> str:
    """256 random bits, as Standard Webhooks has it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secrets_at(tx: Transaction, account_id: AccountId, now: EpochMs) -> SigningSecrets:
    """Without one that signs no more."""
    return _valid(tx.webhook_secrets.of(account_id), now)


def rotate(tx: Transaction, account_id: AccountId, overlap_seconds: int, now: EpochMs) -> SigningSecrets:
    """Make another secret. The present one signs beside it for that long; one that did so until now, no more.

    Raises InvalidInput for an overlap out of bounds.
    """
    if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
        raise InvalidInput([f"two secrets sign side by side for 0 to {MAX_OVERLAP_SECONDS} seconds"])
    tx.webhook_secrets.rotate(account_id, new_secret(), now + 1000 * overlap_seconds)
    return secrets_at(tx, account_id, now)


def _valid(kept: SigningSecrets, now: EpochMs) -> SigningSecrets:
    return kept if len(kept.valid_at(now)) > 1 else SigningSecrets(kept.present)
