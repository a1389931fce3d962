"""Describes the callbacks, under `webhooks`: what a customer's receiver gets, and what its answers mean."""

from collections.abc import Mapping

from pydantic import BaseModel

from api.openapi.callback_bodies import BODIES
from api.openapi.components import Json, ref_to
from engine.domain.event_kinds import (
    BookingExpired,
    BookingExpiringSoon,
    BookingGone,
    BookingLowSeconds,
    BookingNumberSwapped,
    CallbackTest,
    CallEnded,
    CallMissed,
    CallStarted,
    ExpiredCall,
)

EVENTS: Mapping[str, tuple[type[BaseModel], str]] = {
    "callEnded": (BODIES[CallEnded], "An answered call has ended"),
    "expiredCall": (BODIES[ExpiredCall], "A call came in for an expired booking"),
    "callStarted": (BODIES[CallStarted], "A call was answered"),
    "callMissed": (BODIES[CallMissed], "A call was not answered"),
    "bookingExpiringSoon": (BODIES[BookingExpiringSoon], "A booking ends soon"),
    "bookingLowSeconds": (BODIES[BookingLowSeconds], "A booking has few seconds left"),
    "bookingExpired": (BODIES[BookingExpired], "A booking has expired"),
    "bookingNumberSwapped": (BODIES[BookingNumberSwapped], "A booking has another number"),
    "bookingGone": (BODIES[BookingGone], "A booking is gone"),
    "callbackTest": (BODIES[CallbackTest], "You have asked for a test event"),
}

# The headers of Standard Webhooks: https://www.standardwebhooks.com
SIGNATURE: Mapping[str, Json] = {
    "webhook-id": {
        "description": "The id of the event. It is the same in every attempt: ignore ids that you know.",
        "schema": {"type": "string"},
    },
    "webhook-timestamp": {
        "description": "The time of this attempt, in seconds since 1970. Refuse requests older than 5 minutes.",
        "schema": {"type": "integer"},
    },
    "webhook-signature": {
        "description": "`v1,` and the HMAC-SHA256 of `id.timestamp.body` with your account's secret, in base64. There "
        "may be several, separated by spaces: one of them must be right.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
    },
}

ANSWERS: Mapping[str, str] = {
    "2XX": "The callback is delivered.",
    "410": "The callback is given up and the URL is disabled. Later callbacks are held until you enable it.",
    "default": "Delivery is attempted again, for about a day. `Retry-After` of a 429 or 503 is respected.",
}

SENT_TO = "Sent to the `callback` URL that the booking had when it happened."
SENT_ON_REQUEST = (
    "Sent once, to the URL that `POST /callbacks/test` names. The answer is logged and has no other effect."
)
CHOSEN = " Only for accounts that have chosen its `type` with `PUT /account`."


def webhooks() -> Json:
    """Returns the description of all callbacks, by name."""
    return {name: {"post": _event(name, body, summary)} for name, (body, summary) in EVENTS.items()}


def _description(body: type[BaseModel]) -> str:
    if body is BODIES[CallbackTest]:
        return SENT_ON_REQUEST
    return SENT_TO + (CHOSEN if "type" in body.model_fields else "")


def _event(name: str, body: type[BaseModel], summary: str) -> Json:
    return {
        "operationId": name,
        "tags": ["Callbacks"],
        "summary": summary,
        "description": _description(body),
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "required": True, **details} for header, details in SIGNATURE.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref_to(body)}}},
        "responses": {status: {"description": meaning} for status, meaning in ANSWERS.items()},
    }
