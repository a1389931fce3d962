"""Bodies about the delivery of callbacks: their state, their endpoints and the secrets that sign them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Incoming, Outgoing, Page
from api.schemas.fields import (
    WHOLE,
    BookingIdField,
    Callback,
    CallbackIdField,
    Count,
    Cursor,
    CursorSent,
    EndpointIdField,
    Instant,
    InstantSent,
    Url,
)
from engine.callbacks.attempt import HEADERS
from engine.callbacks.secrets import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from engine.callbacks.twilio_webhooks import as_sent
from engine.domain.retry import CallbackState, Trouble, WhyDisabled
from engine.domain.times import EpochMs, instant_from, rfc3339
from engine.storage.endpoints import Endpoint
from engine.storage.outbox import AttemptRecord, CallbackRecord
from engine.storage.webhook_secrets import SigningSecrets


def _time(instant: int | None) -> str | None:
    return None if instant is None else rfc3339(EpochMs(instant))


class CallbackBody(Outgoing):
    """A callback and the state of its delivery."""

    id: CallbackIdField
    """The `webhook-id` header that it is sent with."""
    booking_id: BookingIdField | None
    """`null`: it is a test event."""
    test: bool
    """Whether it is a test event, from `POST /callbacks/test`."""
    url: Url
    state: CallbackState
    created_at: Instant
    attempt_count: Count
    """Delivery attempts so far."""
    next_attempt_at: Instant | None
    """`null`: an attempt is under way, or there will be no more attempts."""
    finished_at: Instant | None
    """When it was delivered, given up or held."""
    last_outcome: str | None
    """The outcome of the last attempt, for people: `HTTP 503`, `timeout`."""

    @classmethod
    def of(cls, record: CallbackRecord) -> "CallbackBody":
        """The callback as it is stored."""
        return cls(**_shown(record))


def _shown(record: CallbackRecord) -> dict[str, object]:
    waits = record.state is CallbackState.PENDING and not record.claimed
    return {
        "id": record.id,
        "booking_id": record.booking_id,
        "test": record.booking_id is None,
        "url": record.url,
        "state": record.state,
        "created_at": rfc3339(record.created_at),
        "attempt_count": record.attempts,
        "next_attempt_at": rfc3339(record.due_at) if waits else None,
        "finished_at": _time(record.finished_at),
        "last_outcome": record.last_outcome,
    }


class CallbackRequestBody(Outgoing):
    """The HTTP request of a callback."""

    method: Literal["POST"]
    url: Url
    headers: dict[str, str]
    """Without the signature and `webhook-timestamp`, which is the `beganAt` of each attempt in whole seconds."""
    body: str
    """The exact bytes that are signed."""


class CallbackAttemptBody(Outgoing):
    """One attempt to deliver a callback."""

    attempt: Count
    """From 1. A number is missing if the outcome of an attempt is unknown."""
    began_at: Instant
    took_ms: Count
    status: Count | None
    """The HTTP status; `null` if there was no answer."""
    trouble: Trouble | None
    """Why there was no answer."""
    response: str
    """The first 1024 bytes of the answer's body, as text."""

    @classmethod
    def of(cls, record: AttemptRecord) -> "CallbackAttemptBody":
        """The attempt as it is stored."""
        return cls(
            attempt=record.attempt,
            began_at=rfc3339(record.began_at),
            took_ms=record.took_ms,
            status=record.status,
            trouble=None if record.trouble is None else Trouble(record.trouble),
            response=record.response,
        )


class CallbackDetailBody(CallbackBody):
    """A callback with its request and its attempts."""

    request: CallbackRequestBody
    attempts: list[CallbackAttemptBody]
    """The last 50 attempts, oldest first."""

    @classmethod
    def with_log(cls, record: CallbackRecord, attempts: Sequence[AttemptRecord]) -> "CallbackDetailBody":
        """The callback with its log of attempts."""
        kind, body = as_sent(record.body)
        headers = HEADERS | {"Content-Type": kind, "webhook-id": record.id}
        request = CallbackRequestBody(method="POST", url=record.url, headers=headers, body=body)
        return cls(**_shown(record), request=request, attempts=[CallbackAttemptBody.of(each) for each in attempts])


class NewTestEvent(Incoming):
    """Where to send a test event."""

    url: Callback
    """The URL that receives it; the same URLs are accepted as for the `callback` of a booking."""


class Redelivery(Incoming):
    """Which callbacks to send again: those created in a time span."""

    since: InstantSent = Field(alias="from")
    """Only callbacks created at or after this time."""
    until: InstantSent | None = Field(None, alias="to")
    """Only callbacks created before this time. Default: now."""
    state: Literal["FAILED", "PENDING", "DELIVERED"] = "FAILED"
    """`PENDING`: callbacks that wait for their next attempt."""
    cursor: CursorSent | None = None
    """`nextCursor` of the previous answer. Send all other fields unchanged."""

    @field_validator("until")
    @classmethod
    def _not_before_since(cls, until: str | None, info: ValidationInfo) -> str | None:
        begin, end = (instant_from(text or "") for text in (info.data.get("since"), until))
        if begin is not None and end is not None and begin > end:
            raise PydanticCustomError("ends_before_it_begins", "must not be earlier than from")
        return until


class RedeliveredBody(Outgoing):
    """The result of a redelivery."""

    redelivered: Count
    """How many callbacks this request scheduled again."""
    has_more: bool
    next_cursor: Cursor | None
    """The `cursor` of the next request; `null` if nothing is left."""


class EndpointBody(Outgoing):
    """A URL that callbacks were sent to."""

    id: EndpointIdField
    url: Url
    state: Literal["ENABLED", "DISABLED"]
    failing_since: Instant | None
    """The first failure after the last success."""
    disabled_at: Instant | None
    reason: WhyDisabled | None
    """`GONE`: it answered 410. `FAILING`: every attempt has failed for days."""

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointBody":
        """The endpoint as it is stored."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            state="ENABLED" if endpoint.disabled_at is None else "DISABLED",
            failing_since=_time(endpoint.failing_since),
            disabled_at=_time(endpoint.disabled_at),
            reason=endpoint.reason,
        )


class NewWebhookSecret(Incoming):
    """How to replace the secret."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS), WHOLE] = DEFAULT_OVERLAP_SECONDS
    """How long the present secret signs as well as the new one; 0: it stops at once."""


class WebhookSecretBody(Outgoing):
    """The secret that signs callbacks."""

    secret: str
    """`whsec_` and base64."""
    old_secret: str | None
    """The previous secret, while it still signs as well."""
    old_secret_until: Instant | None

    @classmethod
    def of(cls, secrets: SigningSecrets, now: EpochMs) -> "WebhookSecretBody":
        """The secrets that sign at `now`."""
        both = len(secrets.valid_at(now)) > 1
        return cls(
            secret=secrets.present,
            old_secret=secrets.old if both else None,
            old_secret_until=_time(secrets.old_until) if both else None,
        )


CallbackPage = Page[CallbackBody]
EndpointPage = Page[EndpointBody]
