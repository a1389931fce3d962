"""Bodies about callbacks: what became of them, where they go, and what signs them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.schemas.common import Incoming, Outgoing, Page
from api.schemas.fields import (
    CURSOR,
    WHOLE,
    BookingIdField,
    CallbackIdField,
    Count,
    Cursor,
    EndpointIdField,
    Instant,
    Url,
    told,
)
from engine.callbacks.attempt import HEADERS
from engine.callbacks.secrets import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from engine.domain.retry import CallbackState, Trouble, WhyDisabled
from engine.domain.times import NO_INSTANT, EpochMs, instant_from, rfc3339
from engine.storage.endpoints import Endpoint
from engine.storage.outbox import AttemptRecord, CallbackRecord
from engine.storage.webhook_secrets import SigningSecrets

MAX_INSTANT = 40


def _instant(text: str) -> str:
    if instant_from(text) is None:
        raise PydanticCustomError("instant", NO_INSTANT)
    return text


InstantSent = Annotated[str, Field(max_length=MAX_INSTANT), AfterValidator(_instant), told(format="date-time")]
CursorSent = Annotated[str, Field(max_length=200), told(CURSOR)]


def _time(instant: int | None) -> str | None:
    return None if instant is None else rfc3339(EpochMs(instant))


class CallbackBody(Outgoing):
    id: CallbackIdField
    """The `webhook-id` that it is sent with."""
    booking_id: BookingIdField
    url: Url
    state: CallbackState
    created_at: Instant
    attempt_count: Count
    """Tries so far."""
    next_attempt_at: Instant | None
    """`null`: it is being tried now, or nothing more is to come."""
    finished_at: Instant | None
    """Since when it is delivered, given up or held."""
    last_outcome: str | None
    """Of the last try, for people: `HTTP 503`, `timeout`."""

    @classmethod
    def of(cls, record: CallbackRecord) -> "CallbackBody":
        return cls(**_shown(record))


def _shown(record: CallbackRecord) -> dict[str, object]:
    waits = record.state is CallbackState.PENDING and not record.claimed
    return {
        "id": record.id,
        "booking_id": record.booking_id,
        "url": record.url,
        "state": record.state,
        "created_at": rfc3339(record.created_at),
        "attempt_count": record.attempts,
        "next_attempt_at": rfc3339(record.due_at) if waits else None,
        "finished_at": _time(record.finished_at),
        "last_outcome": record.last_outcome,
    }


class CallbackRequestBody(Outgoing):
    method: Literal["POST"]
    url: Url
    headers: dict[str, str]
    """Without `webhook-timestamp`, which is each try's `beganAt` in whole seconds, and the signature."""
    body: str
    """As it is signed, to the byte."""


class CallbackAttemptBody(Outgoing):
    attempt: Count
    """From 1. A number is missing where it is not known how a try went."""
    began_at: Instant
    took_ms: Count
    status: Count | None
    """`null`: there was no answer."""
    trouble: Trouble | None
    """Why there was none."""
    response: str
    """The first 1024 bytes of the answer's body, as text."""

    @classmethod
    def of(cls, record: AttemptRecord) -> "CallbackAttemptBody":
        return cls(
            attempt=record.attempt,
            began_at=rfc3339(record.began_at),
            took_ms=record.took_ms,
            status=record.status,
            trouble=None if record.trouble is None else Trouble(record.trouble),
            response=record.response,
        )


class CallbackDetailBody(CallbackBody):
    request: CallbackRequestBody
    attempts: list[CallbackAttemptBody]
    """The last 50, oldest first."""

    @classmethod
    def with_log(cls, record: CallbackRecord, attempts: Sequence[AttemptRecord]) -> "CallbackDetailBody":
        request = CallbackRequestBody(
            method="POST", url=record.url, headers=HEADERS | {"webhook-id": record.id}, body=record.body
        )
        return cls(**_shown(record), request=request, attempts=[CallbackAttemptBody.of(each) for each in attempts])


class Redelivery(Incoming):
    since: InstantSent = Field(alias="from")
    """The first moment at which they may have been put down."""
    until: InstantSent | None = Field(None, alias="to")
    """The moment before which they were; now, unless given."""
    state: Literal["FAILED", "PENDING", "DELIVERED"] = "FAILED"
    """`PENDING`: those that wait for their next try."""
    cursor: CursorSent | None = None
    """`nextCursor` of the answer before, with everything else as it was."""

    @field_validator("until")
    @classmethod
    def _not_before_since(cls, until: str | None, info: ValidationInfo) -> str | None:
        begin, end = (instant_from(text or "") for text in (info.data.get("since"), until))
        if begin is not None and end is not None and begin > end:
            raise PydanticCustomError("ends_before_it_begins", "must not be earlier than from")
        return until


class RedeliveredBody(Outgoing):
    redelivered: Count
    """How many this request had sent again."""
    has_more: bool
    next_cursor: Cursor | None
    """What the next request goes on with; `null` if nothing is left."""


class EndpointBody(Outgoing):
    id: EndpointIdField
    url: Url
    state: Literal["ENABLED", "DISABLED"]
    failing_since: Instant | None
    """The first failure after its last success."""
    disabled_at: Instant | None
    reason: WhyDisabled | None
    """`GONE`: it answered 410. `FAILING`: every try has failed for days."""

    @classmethod
    def of(cls, endpoint: Endpoint) -> "EndpointBody":
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            state="ENABLED" if endpoint.disabled_at is None else "DISABLED",
            failing_since=_time(endpoint.failing_since),
            disabled_at=_time(endpoint.disabled_at),
            reason=endpoint.reason,
        )


class NewWebhookSecret(Incoming):
    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS), WHOLE] = DEFAULT_OVERLAP_SECONDS
    """How long the present secret signs beside the new one; 0: not at all."""


class WebhookSecretBody(Outgoing):
    secret: str
    """`whsec_` and base64."""
    old_secret: str | None
    """The one before, while it still signs too."""
    old_secret_until: Instant | None

    @classmethod
    def of(cls, secrets: SigningSecrets, now: EpochMs) -> "WebhookSecretBody":
        both = len(secrets.valid_at(now)) > 1
        return cls(
            secret=secrets.present,
            old_secret=secrets.old if both else None,
            old_secret_until=_time(secrets.old_until) if both else None,
        )


CallbackPage = Page[CallbackBody]
EndpointPage = Page[EndpointBody]
