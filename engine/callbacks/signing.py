"""The headers that sign a callback, after Standard Webhooks.

A receiver checks with the signature that a callback comes from us, is complete and is recent. See
https://www.standardwebhooks.com: HMAC-SHA256 over `id.timestamp.body`, secret `whsec_` + base64.
"""

from datetime import UTC, datetime

from standardwebhooks import Webhook

from engine.domain.times import EpochMs


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
