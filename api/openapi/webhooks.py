"""The callbacks, under `webhooks`: what a customer's receiver gets, and how its answers are taken."""

from collections.abc import Mapping

from pydantic import BaseModel

from api.openapi.callback_bodies import BODIES
from api.openapi.components import Json, ref_to
from engine.domain.event_kinds import (
    BookingExpired,
    BookingExpiringSoon,
    BookingGone,
    BookingLowSeconds,
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
    "bookingGone": (BODIES[BookingGone], "A booking is gone"),
}

# As Standard Webhooks has them: https://www.standardwebhooks.com
SIGNATURE: Mapping[str, Json] = {
    "webhook-id": {
        "description": "The event. The same on every try: drop what you have had.",
        "schema": {"type": "string"},
    },
    "webhook-timestamp": {
        "description": "When this try was made, in seconds since 1970. Refuse what is older than 5 minutes.",
        "schema": {"type": "integer"},
    },
    "webhook-signature": {
        "description": "`v1,` and in base64 the HMAC-SHA256 of `id.timestamp.body` with your account's secret. There "
        "may be several, with a blank between them: one must be right.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
    },
}

ANSWERS: Mapping[str, str] = {
    "2XX": "It is delivered.",
    "410": "It is given up, and the URL is disabled: what follows is held until you enable it.",
    "default": "It is tried again, for about a day; not before `Retry-After`, where 429 or 503 have it.",
}

SENT_TO = "Sent to the `callback` that the booking had at that moment."
CHOSEN = " Only for accounts that have chosen its `type`, by `PUT /account`."


def webhooks() -> Json:
    return {name: {"post": _event(name, body, summary)} for name, (body, summary) in EVENTS.items()}


def _event(name: str, body: type[BaseModel], summary: str) -> Json:
    return {
        "operationId": name,
        "tags": ["Callbacks"],
        "summary": summary,
        "description": SENT_TO + (CHOSEN if "type" in body.model_fields else ""),
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "required": True, **told} for header, told in SIGNATURE.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref_to(body)}}},
        "responses": {status: {"description": meaning} for status, meaning in ANSWERS.items()},
    }
