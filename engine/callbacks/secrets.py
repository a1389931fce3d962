"""The secrets that sign an account's callbacks, and their rotation."""

import base64
import hashlib
import secrets

from engine.domain.errors import InvalidInput
from engine.domain.ids import AccountId
from engine.domain.times import EpochMs
from engine.storage.revocations import Kind
from engine.storage.transaction import Transaction
from engine.storage.webhook_secrets import SigningSecrets

DEFAULT_OVERLAP_SECONDS = 24 * 3_600


MAX_OVERLAP_SECONDS = 7 * 24 * 3_600


def new_secret() -> str:
    """Returns a new secret of 256 random bits in the spelling of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_digest(secret: str) -> str:
    """Returns the SHA-256 by which the revocation log names a secret. That is safe: a secret has 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


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
    tx.withdraw(Kind.SECRET, secret_digest(tx.webhook_secrets.of(account_id).present))
    tx.webhook_secrets.rotate(account_id, new_secret(), now + 1000 * overlap_seconds)
    return secrets_at(tx, account_id, now)


def _valid(kept: SigningSecrets, now: EpochMs) -> SigningSecrets:
    return kept if len(kept.valid_at(now)) > 1 else SigningSecrets(kept.present)
