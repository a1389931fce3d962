"""Standard Webhooks: the headers with which a receiver knows that a callback is ours, is whole, and is not old.

https://www.standardwebhooks.com: HMAC-SHA256 over `id.timestamp.body`, secret `whsec_` + base64.
"""

from datetime import UTC, datetime

from standardwebhooks import Webhook


def signature_headers(event_id: str, secrets: tuple[str, ...], body: str, now: int) -> dict[str, str]:
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
